"""What a user brings along into a Codex session."""

from __future__ import annotations

import json
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.agent import Prepared
from autosre_lab.agents.codex.additions import BRINGABLE, PROFILE, bring_along
from autosre_lab.agents.codex.agent import CODEX
from autosre_lab.agents.codex.profiles import PROFILES
from autosre_lab.agents.codex.trial import CodexTrial
from autosre_lab.agents.options import OwnOptions
from autosre_lab.agents.trial import by_round, call
from autosre_lab.errors import ConfigError
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.codex.test_plan import plan
from tests.support.folders import digest, write

COMMAND = (sys.executable, "-P", "-m", "autosre_lab.mcp_servers.capabilities")
SERVERS: dict[str, dict[str, Any]] = {
    "everywhere": {
        "command": COMMAND[0],
        "args": list(COMMAND[1:]),
        "default_tools_approval_mode": "approve",
        "env": {"A KEY": 's3cret "quoted" \\ ünïcödé 🙂 \x7f\n'},
    },
    "else.where": {"url": "http://127.0.0.1:1/mcp", "enabled": False, "startup_timeout_sec": 1.5},
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    theirs = home / ".codex"
    write(theirs / "AGENTS.md", "Remember the word heliotrope.\n")
    write(
        theirs / "skills/greet/SKILL.md",
        "---\nname: greet\ndescription: Greets whoever is named\n---\n" + "Hello. " * 900,
    )
    write(theirs / "skills/.system/made-by-codex/SKILL.md", "---\nname: x\n---\n")
    lines = [f"[mcp_servers.{json.dumps(name)}]" for name in SERVERS]
    tables = [
        "\n".join(f"{key} = {toml(value)}" for key, value in fields.items())
        for fields in SERVERS.values()
    ]
    pairs = zip(lines, tables, strict=True)
    write(theirs / "config.toml", "\n".join(f"{head}\n{table}" for head, table in pairs))
    return home


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def brought(home: Path, ours: Path, *kinds: str) -> Any:
    return bring_along(kinds, ours, environ={}, home=home)


def test_nothing_is_brought_unless_asked_and_what_was_is_taken_away_again(
    home: Path, tmp_path: Path
) -> None:
    ours, before = tmp_path / "ours", digest(home)
    write(ours / "skills/mine/SKILL.md", "---\nname: mine\n---\n")
    for kinds in (BRINGABLE, ()):
        brought(home, ours, *kinds)
        found = {str(file.relative_to(ours)) for file in ours.rglob("*") if file.is_file()}
        wanted = {"AGENTS.md", "skills/greet/SKILL.md", f"{PROFILE}.config.toml"} if kinds else ()
        assert found - {"brought.json"} == {"skills/mine/SKILL.md", *wanted}
    assert digest(home) == before


def test_servers_come_as_they_are_and_their_keys_are_private(home: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    note, uncounted = brought(home, ours, "mcp").notes
    file = ours / f"{PROFILE}.config.toml"
    awaited: dict[str, Any] = {"required": True, "startup_timeout_sec": 60}
    tables = {name: awaited | fields for name, fields in SERVERS.items()}
    assert tomllib.loads(file.read_text("utf-8")) == {"mcp_servers": tables}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "mcp: else.where, everywhere" in note
    assert "not counted" in uncounted
    launch = plan("exec", "hi", brought=brought(home, ours, "mcp"))
    at = launch.argv.index("--profile")
    assert launch.argv[at + 1] == PROFILE
    assert launch.argv[at + 2] == "exec"
    assert not any("s3cret" in word for word in launch.argv)


def test_a_server_of_the_sessions_own_folder_comes_first(home: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    write(ours / "config.toml", '[mcp_servers.everywhere]\ncommand = "mine"\n')
    brought(home, ours, "mcp")
    file = ours / f"{PROFILE}.config.toml"
    assert list(tomllib.loads(file.read_text("utf-8"))["mcp_servers"]) == ["else.where"]


def test_a_profile_of_a_persons_own_is_refused_beside_brought_servers(
    home: Path, tmp_path: Path
) -> None:
    servers = brought(home, tmp_path / "ours", "mcp")
    for words in (["-p", "mine"], ["exec", "--profile=mine", "hi"]):
        with pytest.raises(ConfigError, match="one --profile"):
            plan(*words, brought=servers)
        assert PROFILE not in plan(*words).argv
    assert PROFILE in plan("exec", "--", "-p", brought=servers).argv


def test_a_configuration_that_cannot_be_read_is_told(home: Path, tmp_path: Path) -> None:
    write(home / ".codex/config.toml", "[mcp_servers")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        brought(home, tmp_path / "ours", "mcp")
    assert not brought(home, tmp_path / "ours", "memory").has_servers


def test_the_window_check_counts_memory_and_the_descriptions_of_skills(
    home: Path, tmp_path: Path
) -> None:
    program: Any = None
    sizes = {
        kinds: CODEX.measure(
            program, None, [], {}, Prepared(more=brought(home, tmp_path / "ours", *kinds))
        )(PROFILES["full"])
        for kinds in ((), ("memory",), ("skills",))
    }
    nothing, memory, skills = sizes.values()
    assert nothing < memory < nothing + 20
    assert nothing < skills < nothing + 120  # not its 6,300 bytes of text


def test_the_setting_is_every_agents_and_each_takes_what_it_has() -> None:
    environ = {"AUTOSRE_BRING": "plugins,memory"}
    assert CODEX.brings(OwnOptions(), environ) == ("memory",)
    assert CODEX.brings(OwnOptions(bring=("mcp",)), environ) == ("mcp",)
    assert CODEX.brings(OwnOptions(), {"AUTOSRE_BRING": "all"}) == BRINGABLE
    with pytest.raises(ConfigError, match="hats"):
        CODEX.brings(OwnOptions(), {"AUTOSRE_BRING": "hats"})
    with pytest.raises(ConfigError, match="plugins"):
        CODEX.split(["--bring", "plugins"])


@pytest.mark.codex
def test_what_is_brought_works_and_the_users_folder_stays_as_it_is(
    make_lab: Callable[..., CodexTrial], home: Path
) -> None:
    lab = make_lab()
    theirs = lab.folder / ".codex"  # the trial's home
    (home / ".codex").rename(theirs)
    before = digest(theirs)
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__everywhere__get_command", name="autosre stop")]),
        Turn(text="All of it."),
    )
    ran = lab.exec("Use everything.", bring=BRINGABLE)
    assert (ran.code, ran.text) == (0, "All of it."), ran.err
    first, second = (json.dumps(chat.body["messages"]) for chat in lab.chats)
    assert "heliotrope" in first, "the memory is not in the prompt"
    assert "Greets whoever is named" in first, "the skill is not named"
    assert "Stop the engine" in second, "the MCP server did not answer"
    assert digest(theirs) == before
