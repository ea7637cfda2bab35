"""What Codex is started with: no secret in the command, nothing of another provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.codex.agent import CODEX
from autosre_lab.agents.codex.arguments import is_headless, needs_model, writes
from autosre_lab.agents.codex.plan import KEY_VARIABLE, plan_launch
from autosre_lab.agents.codex.profiles import PROFILES, SIZING, compacts_at, estimate
from autosre_lab.agents.launch import Launch, show_launch
from autosre_lab.agents.window import choose_profile
from autosre_lab.errors import ConfigError, WindowTooSmallError


class Served:
    proxy_url = "http://127.0.0.1:8011"
    token = "a-secret-token"
    model = "served"
    max_model_len = 32_768


def plan(*args: str, environ: dict[str, str] | None = None, **fields: Any) -> Launch:
    profile, fit = choose_profile(SIZING, Served.max_model_len, estimate)
    given: dict[str, Any] = {
        "fit": fit,
        "profile": profile,
        "executable": Path("/opt/codex"),
        "environ": environ or {"PATH": "/bin"},
        "config_dir": Path("/state/codex"),
    }
    return plan_launch(Served(), args, **(given | fields))


def settings(launch: Launch) -> dict[str, str]:
    words = launch.argv
    pairs = [words[at + 1] for at, word in enumerate(words) if word == "-c"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_command_holds_no_secret_and_neither_does_what_is_shown() -> None:
    launch = plan("exec", "hello")
    assert Served.token not in " ".join(launch.argv)
    assert Served.token not in show_launch(launch)
    assert launch.env[KEY_VARIABLE] == Served.token


def test_the_window_and_its_compaction_are_the_engines() -> None:
    given = settings(plan())
    assert given["model_context_window"] == "32768"
    assert given["model_auto_compact_token_limit"] == str(compacts_at(32_768))


def test_another_providers_variables_are_taken_out() -> None:
    environ = {"OPENAI_API_KEY": "x", "CODEX_HOME": "/home/me/.codex", "PATH": "/bin"}
    launch = plan(environ=environ)
    assert "OPENAI_API_KEY" not in launch.env
    assert launch.env["CODEX_HOME"] == "/state/codex"
    mine = plan(environ=environ, config_dir=None)
    assert mine.env["CODEX_HOME"] == "/home/me/.codex"


def test_loopback_is_never_asked_for_through_a_web_proxy() -> None:
    launch = plan(environ={"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "a.lab"})
    assert launch.env["NO_PROXY"] == "a.lab,127.0.0.1,localhost"


def test_nothing_is_asked_outside_and_no_daemon_is_left() -> None:
    given = settings(plan())
    off = ("analytics.enabled", "features.plugins", "features.daemon_auto_start")
    assert {given[name] for name in off} == {"false"}
    assert given["web_search"] == '"disabled"'


def test_a_script_does_not_wait_for_ever_and_a_person_is_told() -> None:
    assert "features.unbounded_connection_retries" in settings(plan("exec", "hello"))
    assert "features.unbounded_connection_retries" not in settings(plan())
    assert any("waiting for network" in note for note in plan().notes)


def test_our_servers_run_without_asking_but_for_what_cannot_be_undone() -> None:
    given = settings(plan(servers=("fetch", "browser")))
    assert 'default_tools_approval_mode="approve"' in given["mcp_servers.fetch"]
    assert "approve" not in given["mcp_servers.browser"]


@pytest.mark.parametrize(
    ("args", "added"),
    [
        (("exec", "hello"), True),
        (("-c", "a=exec", "exec", "hello"), True),
        (("exec", "-s", "workspace-write", "hello"), False),
        (("exec", "--sandbox=danger-full-access", "hello"), False),
        (("exec", "--dangerously-bypass-approvals-and-sandbox", "hello"), False),
        (("exec", "--skip-git-repo-check", "hello"), False),
        ((), False),
    ],
)
def test_outside_a_repository_only_what_cannot_write_is_answered(
    args: tuple[str, ...], added: bool
) -> None:
    own = plan(*args).argv
    theirs = args.count("--skip-git-repo-check")
    assert own.count("--skip-git-repo-check") == theirs + added


@pytest.mark.parametrize(
    ("args", "needs", "headless"),
    [
        ((), True, False),
        (("exec", "hi"), True, True),
        (("-m", "mcp", "exec", "hi"), True, True),
        (("mcp", "list"), False, False),
        (("--version",), False, False),
        (("exec", "--", "--version"), True, True),
        (("resume", "--last"), True, False),
        (("fix mcp please",), True, False),
    ],
)
def test_what_needs_a_model(args: tuple[str, ...], needs: bool, headless: bool) -> None:
    assert (needs_model(args), is_headless(args)) == (needs, headless)


def test_ours_stand_in_front() -> None:
    own, rest = CODEX.split(["--profile", "lean", "--dry-run", "exec", "--profile", "mine"])
    assert (own.profile, own.dry_run) == ("lean", True)
    assert rest == ["exec", "--profile", "mine"]
    with pytest.raises(ConfigError, match="profile"):
        CODEX.split(["--profile", "huge"])
    assert not writes(["exec", "-s", "read-only"])


@pytest.mark.parametrize(("window", "name"), [(262_144, "full"), (32_768, "full"), (8192, "lean")])
def test_the_widest_profile_that_fits_is_taken(window: int, name: str) -> None:
    assert choose_profile(SIZING, window, estimate)[0] is PROFILES[name]


def test_a_window_that_holds_no_session_is_refused_with_one_that_does() -> None:
    with pytest.raises(WindowTooSmallError, match="Codex") as refused:
        choose_profile(SIZING, 4096, estimate)
    assert "window of at least" in str(refused.value)
