"""A session gets the web tools that were asked for, or those there is room for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.agents.claude.agent import CLAUDE
from autosre_lab.agents.claude.plan import mcp_config
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.claude.window import SIZING
from autosre_lab.agents.launch import show_launch
from autosre_lab.agents.web_choice import MISSING, fit_session
from autosre_lab.agents.web_servers import WEB_SERVERS, schema_tokens
from autosre_lab.browser import browser_config
from autosre_lab.cluster.browser_service import BrowserPod
from autosre_lab.errors import ConfigError, WindowTooSmallError
from autosre_lab.extras import how_to_install
from autosre_lab.proxy.messages.search_refusal import refusal_message
from tests.agents.claude.facts import plan

ALL = tuple(WEB_SERVERS)
FIRST_PROMPT = {"full": 15_000, "trimmed": 3_500, "lean": 1_100}


def measure(profile: Profile) -> int:
    return FIRST_PROMPT[profile.name]


def test_a_large_window_gets_all_of_them_and_counts_their_schemas() -> None:
    chosen = fit_session(SIZING, 262_144, measure, web=None, installed=True)

    assert (chosen.profile.name, chosen.servers, chosen.notes) == ("full", ALL, ())
    assert chosen.fit.first_prompt == 15_000 + schema_tokens(ALL)


@pytest.mark.parametrize("window", [8_192, 16_384, 32_768])
def test_a_small_window_gets_only_those_asked_for(window: int) -> None:
    none = fit_session(SIZING, window, measure, web=None, installed=True)
    some = fit_session(SIZING, window, measure, web=("fetch",), installed=True)

    assert none.servers == ()
    assert some.servers == ("fetch",)
    assert some.fit.first_prompt == measure(some.profile) + schema_tokens(("fetch",))
    assert some.fit.room > 0


@pytest.mark.parametrize("window", range(8_192, 270_000, 1_024))
def test_no_window_that_holds_a_session_is_lost_to_the_web_tools(window: int) -> None:
    without = fit_session(SIZING, window, measure, web=(), installed=True)
    chosen = fit_session(SIZING, window, measure, web=None, installed=True)

    assert (chosen.profile, chosen.fit.compaction) == (without.profile, without.fit.compaction)
    assert chosen.fit.room >= min(without.fit.room, without.profile.room_tokens)


def test_what_was_asked_for_and_does_not_fit_is_said() -> None:
    with pytest.raises(WindowTooSmallError) as caught:
        fit_session(SIZING, 6_144, lambda _: 1_000, web=ALL, installed=True, asked="lean")

    assert "--web" in str(caught.value)
    assert "fewer web tools" in caught.value.remedy


@pytest.mark.parametrize(
    ("window", "web", "notes"),
    [
        (262_144, None, (MISSING,)),
        (8_192, ("fetch",), (MISSING,)),
        (8_192, None, ()),
        (262_144, (), ()),
    ],
)
def test_without_the_extra_a_session_goes_on_and_says_how_to_get_them(
    window: int, web: tuple[str, ...] | None, notes: tuple[str, ...]
) -> None:
    chosen = fit_session(SIZING, window, measure, web=web, installed=False)

    assert (chosen.servers, chosen.notes) == ((), notes)
    assert how_to_install("web") in MISSING
    assert "\n" not in MISSING


@pytest.mark.parametrize(
    ("given", "web"),
    [
        ([], None),
        (["--web", "auto"], None),
        (["--web=none"], ()),
        (["--web", "search,fetch"], ("fetch", "search")),
        (["--web=capabilities"], ("capabilities",)),
    ],
)
def test_the_option_names_servers(given: list[str], web: tuple[str, ...] | None) -> None:
    own, rest = CLAUDE.split([*given, "-p", "hi"])

    assert (own.web, rest) == (web, ["-p", "hi"])


def test_an_unknown_server_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="fetsh") as caught:
        CLAUDE.split(["--web", "fetch,fetsh"])
    assert all(name in caught.value.remedy for name in WEB_SERVERS)


def test_the_plan_names_servers_permissions_and_waits_for_them() -> None:
    launch = plan("-p", "hi", servers=("fetch", "search"))

    assert launch.argv[-6:] == (
        "--disallowedTools=WebFetch,WebSearch,Workflow",
        "--strict-mcp-config",
        f"--mcp-config={mcp_config(('fetch', 'search'))}",
        "--allowedTools=mcp__fetch__fetch,mcp__search__search",
        "-p",
        "hi",
    )
    assert launch.added["MCP_CONNECTION_NONBLOCKING"] == "0"
    assert "web tools: fetch, search" in launch.notes


def test_a_browser_elsewhere_is_in_the_environment_and_its_token_in_no_argument() -> None:
    pod = BrowserPod(url="http://10.96.0.33:3010", token="pod-token")

    launch = plan("-p", "hi", servers=("browser",), browser=pod)

    assert launch.env["AUTOSRE_BROWSER_URL"] == "http://10.96.0.33:3010"
    assert launch.env["AUTOSRE_BROWSER_TOKEN"] == "pod-token"
    assert not any("pod-token" in word for word in launch.argv)
    assert "pod-token" not in repr(launch) + show_launch(launch)
    assert browser_config(launch.env).token == "pod-token"


def test_without_servers_nothing_of_them_is_planned() -> None:
    launch = plan("-p", "hi")

    added = ("--mcp-config", "--allowedTools")
    assert not any(word.startswith(added) for word in launch.argv)
    assert "MCP_CONNECTION_NONBLOCKING" not in launch.added


def test_the_users_own_configuration_folder_keeps_its_own_servers() -> None:
    argv = plan("-p", "hi", config_dir=None, servers=("fetch",)).argv

    assert "--strict-mcp-config" not in argv
    assert any(word.startswith("--mcp-config=") for word in argv)


def test_the_servers_run_in_this_python_away_from_the_folder_of_the_session() -> None:
    config = json.loads(mcp_config(ALL))

    assert set(config["mcpServers"]) == set(WEB_SERVERS)
    for name, server in config["mcpServers"].items():
        assert server["command"] == sys.executable
        assert server["args"] == ["-P", "-m", f"autosre_lab.mcp_servers.{name}"]


def test_a_module_in_the_sessions_folder_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')")
    server = json.loads(mcp_config(("fetch",)))["mcpServers"]["fetch"]

    done = subprocess.run(
        [server["command"], *server["args"], "--help"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_launcher_needs_no_mcp_to_plan() -> None:
    parts = (
        "autosre_lab.agents.session, autosre_lab.agents.claude.agent, autosre_lab.agents.web_choice"
    )
    code = f"import sys, {parts}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert not {"mcp", "curl_cffi", "trafilatura"} & set(done.stdout.split())


def test_the_proxys_refusal_names_the_tool_that_does_search() -> None:
    text = json.dumps(refusal_message("msg_1", "some-model"))
    assert set(WEB_SERVERS["search"].allowed) <= set(re.findall(r"mcp__\w+", text))
