from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.agents.launch import show_launch
from tests.agents.claude.facts import plan


def test_every_model_name_and_the_address_point_at_our_proxy() -> None:
    env = plan("-p", "hi").env

    assert env["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8011"
    assert env["ANTHROPIC_AUTH_TOKEN"] == "s3cret-token"
    assert env["ANTHROPIC_API_KEY"] == ""
    names = {name for name in env if name.endswith("_MODEL")}
    assert len(names) == 6
    assert {env[name] for name in names} == {"some-model"}


def test_the_token_is_in_no_argument_and_in_no_repr() -> None:
    launch = plan("-p", "hi")

    assert not any("s3cret-token" in word for word in launch.argv)
    assert "s3cret-token" not in repr(launch)


def test_a_dry_run_shows_everything_but_the_token() -> None:
    launch = plan("-p", "what's up", environ={"CLAUDE_CODE_USE_BEDROCK": "1"})

    shown = show_launch(launch)

    assert "s3cret-token" not in shown
    assert "export ANTHROPIC_AUTH_TOKEN='********'" in shown
    assert "export ANTHROPIC_BASE_URL=http://127.0.0.1:8011" in shown
    assert "unset CLAUDE_CODE_USE_BEDROCK" in shown
    assert shown.endswith("""-p 'what'"'"'s up'\n""")


def test_the_session_of_another_provider_does_not_leak_in() -> None:
    leaking = {
        "ANTHROPIC_CUSTOM_HEADERS": "X: y",
        "ANTHROPIC_UNIX_SOCKET": "/somewhere",
        "CLAUDECODE": "1",
        "CLAUDE_CODE_OAUTH_TOKEN": "theirs",
        "CLAUDE_CODE_USE_VERTEX": "1",
        "CLAUDE_CODE_AUTO_COMPACT_WINDOW": "200000",
    }

    launch = plan(
        "-p",
        "hi",
        environ={**leaking, "PATH": "/bin"},
        profile="lean",
        window=8192,
        first_prompt=1100,
    )

    assert launch.removed == tuple(sorted(leaking))
    assert not leaking.keys() & launch.env.keys()
    assert launch.env["PATH"] == "/bin"


def test_the_users_clocks_and_stricter_limits_stand() -> None:
    environ = {
        "API_TIMEOUT_MS": "5000",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "512",
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "999999",
    }

    env = plan("-p", "hi", environ=environ).env

    assert env["API_TIMEOUT_MS"] == "5000"
    assert env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "512"
    assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "131072"


def test_an_answer_longer_than_the_window_allows_is_cut_back() -> None:
    env = plan("-p", "hi", environ={"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "64000"}).env

    assert env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "16384"


def test_a_roomy_window_compacts_ahead_and_keeps_claudes_own_limits() -> None:
    env = plan("-p", "hi", window=262_144).env
    old = plan("-p", "hi", window=262_144, version="2.1.197").env

    assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "262144"
    # The old one watches the window only where both say so; the new one complains of the second.
    assert "CLAUDE_CODE_AUTO_COMPACT_WINDOW" not in env
    assert old["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == "262144"
    assert "CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS" not in env
    assert "BASH_MAX_OUTPUT_LENGTH" not in env


def test_a_small_window_waits_for_the_refusal_and_limits_outputs() -> None:
    env = plan("-p", "hi", profile="lean", window=8_192, first_prompt=1_100).env

    assert env["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "8192"
    assert "CLAUDE_CODE_AUTO_COMPACT_WINDOW" not in env
    assert env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "1024"
    # A third of the 6,068 tokens left, and three characters a token.
    assert env["CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS"] == "2022"
    assert env["MAX_MCP_OUTPUT_TOKENS"] == "2022"
    assert env["BASH_MAX_OUTPUT_LENGTH"] == "6066"


def test_the_web_tools_are_withheld_and_the_prompt_stays_last() -> None:
    assert plan("-p", "hi").argv == (
        "/opt/claude",
        "--exclude-dynamic-system-prompt-sections",
        "--disallowedTools=WebFetch,WebSearch,Workflow",
        "--strict-mcp-config",
        "-p",
        "hi",
    )


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("trimmed", ["--tools=Bash,Read,Edit,Write", "--exclude-dynamic-system-prompt-sections"]),
        ("lean", ["--bare", "--append-system-prompt=Keep answers short."]),
    ],
)
def test_smaller_profiles_load_less(profile: str, expected: list[str]) -> None:
    launch = plan("-p", "hi", profile=profile, first_prompt=1_000)

    assert list(launch.argv[1:-2]) == [*expected, "--strict-mcp-config"]


@pytest.mark.parametrize("profile", ["full", "trimmed", "lean"])
def test_the_users_tools_stand_alone(profile: str) -> None:
    args = ("-p", "hi", "--tools", "Read", "WebSearch")

    launch = plan(*args, profile=profile, first_prompt=1_000)

    ours = launch.argv[1 : -len(args)]
    assert launch.argv[-len(args) :] == args
    assert not any(word.startswith(("--tools", "--bare")) for word in ours)
    assert not any("WebSearch" in word for word in ours)


@pytest.mark.parametrize("option", ["--system-prompt", "--append-system-prompt-file"])
def test_the_users_system_prompt_stands_alone(option: str) -> None:
    argv = plan("-p", "hi", option, "Talk.", profile="lean", first_prompt=1_000).argv

    assert argv == ("/opt/claude", "--bare", "--strict-mcp-config", "-p", "hi", option, "Talk.")


def test_a_tool_the_user_allows_is_not_withheld() -> None:
    argv = plan("-p", "hi", "--allowedTools", "WebFetch(domain:localhost)").argv

    assert "--disallowedTools=WebSearch,Workflow" in argv
    # Nor does it ask Anthropic about each domain.
    assert '--settings={"skipWebFetchPreflight":true}' in argv


def test_subcommands_get_the_environment_and_no_options() -> None:
    assert plan("agents", "--json").argv == ("/opt/claude", "agents", "--json")


def test_the_users_own_configuration_stays_theirs_when_asked() -> None:
    assert plan("-p", "hi").env["CLAUDE_CONFIG_DIR"] == "/state/claude"

    theirs = plan("-p", "hi", config_dir=None, environ={"CLAUDE_CONFIG_DIR": "/home/me/.claude"})

    assert theirs.env["CLAUDE_CONFIG_DIR"] == "/home/me/.claude"


def test_loopback_joins_what_the_user_exempts_from_proxies() -> None:
    env = plan("-p", "hi", environ={"no_proxy": ".corp, 10.0.0.1", "NO_PROXY": ".corp"}).env

    assert env["NO_PROXY"] == env["no_proxy"] == ".corp,10.0.0.1,127.0.0.1,localhost"


def test_a_claude_named_model_is_allowed_with_a_warning() -> None:
    assert any("their own window" in note for note in plan("--model", "claude-opus-4-8").notes)
    assert not any("own window" in note for note in plan("--model", "opus").notes)


def test_the_configuration_folder_is_a_plain_path() -> None:
    launch = plan("-p", "hi", config_dir=Path("/state with space/claude"))

    assert "export CLAUDE_CONFIG_DIR='/state with space/claude'" in show_launch(launch)


def test_a_small_window_is_not_watched_by_any_version() -> None:
    small = plan("-p", "hi", profile="lean", window=8_192, first_prompt=1_100)
    large = plan("-p", "hi", window=262_144)

    variable = "CLAUDE_CODE_DISABLE_UNKNOWN_MODEL_WINDOW_ENFORCEMENT"
    assert small.env[variable] == "1"
    # A user's own value would make the sessions of a large window end at its limit.
    ahead = plan("-p", "hi", window=262_144, environ={variable: "1"})
    assert variable not in large.env.keys() | ahead.env.keys()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), ['--settings={"disableAutoMode":"disable"}']),
        (("-p", "hi"), []),
        (("--permission-mode", "auto"), []),
        (("--permission-mode", "plan", "--settings", "mine.json"), []),
        (("--settings", "mine.json"), ["--permission-mode=default"]),
    ],
)
def test_no_model_judges_commands_unless_a_person_says_so(
    args: tuple[str, ...], expected: list[str]
) -> None:
    argv = plan(*args).argv
    ours = argv[1 : len(argv) - len(args)]
    found = [word for word in ours if word.startswith(("--settings", "--permission-mode"))]
    assert found == expected


def test_the_window_of_a_million_is_not_offered_and_models_are_named() -> None:
    env = plan("-p", "hi").env

    assert env["CLAUDE_CODE_DISABLE_1M_CONTEXT"] == "1"
    assert env["ANTHROPIC_DEFAULT_OPUS_MODEL_NAME"] == "some-model as Opus"


@pytest.mark.parametrize(
    "name",
    [
        *("CLAUDE_RUNNER_X", "CLAUDE_GATEWAY_URL", "CLAUDE_CODE_BRIDGE_X", "CLAUDE_CODE_CCR_X"),
        *("CLAUDE_CODE_AUTO_MODE_MODEL", "CLAUDE_CODE_BG_CLASSIFIER_MODEL"),
        *("CLAUDE_CODE_MODEL_CATALOG_URL", "CLAUDE_CODE_SUBAGENT_MODEL_FORCE"),
        *("CLAUDE_CODE_SESSIONS_OAUTH_TOKEN", "CLAUDE_CODE_HTTPS_PROXY"),
        *("CLAUDE_CODE_RESTRICTED", "_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL"),
        *("CLAUDE_CODE_RELAUNCH_X", "CLAUDE_CODE_GATEWAY_X", "CLAUDE_CODE_MESSAGING_X"),
        *("CLAUDE_CODE_MEMORY_API_X", "CLAUDE_CODE_WORKFLOW_SUBAGENT_MODEL"),
        *("CLAUDE_CODE_MODEL_CATALOG", "CLAUDE_CODE_MODEL_CAPABILITIES"),
        *("CLAUDE_CODE_ARTIFACTS_API_TOKEN", "CLAUDE_CODE_CLOUD_SESSION_ID"),
        "CLAUDE_CODE_HTTP_PROXY",
    ],
)
def test_what_newer_versions_read_does_not_leak_in(name: str) -> None:
    assert plan("-p", "hi", environ={name: "theirs"}).removed == (name,)


def test_one_line_that_says_nothing_is_left_out_of_single_questions() -> None:
    assert plan("-p", "hi").noise == (
        "[claude-code:unrecognized_model]",
        "CLAUDE_CODE_DISABLE_1M_CONTEXT is set, but",
    )
    assert plan().noise == ()
