"""What a session has beyond Claude Code: what was added to our folder, what a user brings along."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.claude.additions import (
    BRINGABLE,
    additions_of,
    place,
    recorded_additions,
)
from autosre_lab.agents.claude.agent import CLAUDE
from autosre_lab.agents.claude.first_request import first_request
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.version import CLAUDE_CODE
from autosre_lab.agents.trial import call
from autosre_lab.errors import ConfigError
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.conftest import EACH_VERSION, MakeLab
from tests.agents.claude.facts import plan
from tests.support.folders import digest, write

COMMAND = (sys.executable, "-P", "-m", "autosre_lab.mcp_servers.capabilities")
SERVER = {"command": COMMAND[0], "args": list(COMMAND[1:])}
LOCAL = {"command": "local-server", "env": {"API_KEY": "s3cret"}}
MODULES = "__list_modules"


def described(name: str, text: str) -> str:
    return f"---\nname: {name}\ndescription: {text}\n---\nYou are the {name}.\n"


def marking(file: str) -> dict[str, Any]:
    hook = {"type": "command", "command": f"echo ran >> $CLAUDE_PROJECT_DIR/{file}"}
    return {"PostToolUse": [{"matcher": "Bash", "hooks": [hook]}]}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home, with what Claude Code itself writes after `plugin install demo@market`."""
    home = tmp_path / "home"
    folder = home / ".claude"
    demo = folder / "plugins" / "cache" / "market" / "demo" / "1.0.0"
    write(demo / ".claude-plugin/plugin.json", {"name": "demo", "version": "1.0.0"})
    write(demo / "agents/reviewer.md", described("reviewer", "Reviews what it is given"))
    write(demo / "skills/greet/SKILL.md", described("greet", "Greets whoever is named"))
    write(demo / "hooks/hooks.json", {"hooks": marking("plugins-hook")})
    write(demo / ".mcp.json", {"mcpServers": {"tool": SERVER | {"cwd": "${CLAUDE_PLUGIN_ROOT}"}}})
    entry = {"scope": "user", "installPath": str(demo), "version": "1.0.0"}
    gone = {"scope": "user", "installPath": str(folder / "gone"), "version": "1"}
    installed = {"demo@market": [entry], "off@market": [entry], "gone@market": [gone]}
    write(folder / "plugins/installed_plugins.json", {"version": 2, "plugins": installed})
    enabled = {"demo@market": True, "off@market": False, "gone@market": True}
    write(folder / "settings.json", {"enabledPlugins": enabled, "hooks": marking("users-hook")})
    write(folder / "agents/tester.md", described("tester", "Tests what it is given"))
    write(folder / "skills/part/SKILL.md", described("part", "Says good-bye"))
    write(folder / "CLAUDE.md", "Remember the word heliotrope.\n")
    write(home / ".claude.json", {"mcpServers": {"everywhere": SERVER}})
    return home


def test_nothing_is_brought_unless_asked_and_what_was_is_taken_away_again(
    home: Path, tmp_path: Path
) -> None:
    ours, before = tmp_path / "ours", digest(home)
    write(ours / "agents/mine.md", described("mine", "Made in our folder"))
    for bring in (("agents", "memory"), ()):
        placed = place(
            additions_of(ours, tmp_path, bring=bring, environ={}, home=home), ours, tmp_path
        )
        assert (ours / "agents/tester.md").exists() is bool(bring)
        assert (ours / "CLAUDE.md").exists() is bool(bring)
        assert (placed.mcp_file, placed.plugin_dirs) == (None, ())
    assert (ours / "agents/mine.md").exists()
    assert digest(home) == before


def test_what_a_person_made_in_our_folder_is_not_overwritten(home: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    write(ours / "CLAUDE.md", "Mine.")
    for bring in (BRINGABLE, ()):
        place(additions_of(ours, tmp_path, bring=bring, environ={}, home=home), ours, tmp_path)
        assert (ours / "CLAUDE.md").read_text() == "Mine."


def test_a_change_of_theirs_reaches_the_next_session(home: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    seen = []
    for text in ("One.", "Another."):
        write(home / ".claude/CLAUDE.md", text)
        added = additions_of(ours, tmp_path, bring=("memory",), environ={}, home=home)
        place(added, ours, tmp_path)
        seen.append((added.digest, (ours / "CLAUDE.md").read_text()))
    assert [text for _, text in seen] == ["One.", "Another."]
    assert seen[0][0] != seen[1][0], "its first request would not be counted again"


def test_a_plugin_is_copied_and_its_server_runs_from_the_copy(home: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    added = additions_of(ours, tmp_path, bring=("plugins",), environ={}, home=home)
    placed = place(added, ours, tmp_path)

    (copy,) = placed.plugin_dirs
    assert copy.is_relative_to(ours)
    assert (copy / "hooks/hooks.json").is_file()
    assert placed.mcp_file is not None
    servers = json.loads(placed.mcp_file.read_text())["mcpServers"]
    assert servers == {"plugin_demo_tool": SERVER | {"cwd": str(copy)}}
    assert any("gone@market is not in its cache" in note for note in added.notes)
    assert f"--plugin-dir={copy}" in plan("-p", "hi", placed=placed).argv


def test_what_was_found_is_said_with_what_was_not(home: Path, tmp_path: Path) -> None:
    (home / ".claude.json").unlink()
    added = additions_of(tmp_path, tmp_path, bring=BRINGABLE, environ={}, home=home)
    told = next(note for note in added.notes if note.startswith("brought from"))
    for part in ("plugins: demo", "hooks: PostToolUse", "agents: agents", "mcp: none"):
        assert part in told


def test_another_configuration_folder_of_the_users_counts(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other / "CLAUDE.md", "Elsewhere.")
    write(other / ".claude.json", {"mcpServers": {"there": SERVER}})
    environ = {"CLAUDE_CONFIG_DIR": str(other)}
    added = additions_of(tmp_path / "ours", tmp_path, bring=BRINGABLE, environ=environ, home=home)
    assert (list(added.servers), list(added.files)) == (["there"], ["CLAUDE.md"])


def test_circles_of_links_end(home: Path, tmp_path: Path) -> None:
    (home / ".claude/skills/part/again").symlink_to(home / ".claude/skills")
    ours = tmp_path / "ours"
    place(additions_of(ours, tmp_path, bring=("skills",), environ={}, home=home), ours, tmp_path)
    assert (ours / "skills/part/SKILL.md").is_file()


@pytest.mark.parametrize(
    ("given", "brought"),
    [("all", BRINGABLE), ("none", ()), ("mcp,plugins", ("plugins", "mcp"))],
)
def test_a_person_chooses_what_to_bring(given: str, brought: tuple[str, ...]) -> None:
    own, rest = CLAUDE.split(["--bring", given, "-p", "hi"])
    assert (own.bring, rest) == (brought, ["-p", "hi"])


@pytest.mark.parametrize("words", [["--bring", "hats"], ["--bring=all", "--use-my-config"]])
def test_what_cannot_be_brought_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="bring"):
        CLAUDE.split(words)


def test_servers_added_to_our_folder_are_loaded_and_their_keys_are_private(tmp_path: Path) -> None:
    ours, here = tmp_path / "ours", tmp_path / "here"
    projects = {str(here): {"mcpServers": {"here": LOCAL}}, "/other": {"mcpServers": {"x": {}}}}
    write(ours / ".claude.json", {"mcpServers": {"everywhere": SERVER}, "projects": projects})

    added = additions_of(ours, here, bring=(), environ={}, home=tmp_path)
    placed = place(added, ours, here)

    assert placed.mcp_file is not None
    assert stat.S_IMODE(placed.mcp_file.stat().st_mode) == 0o600
    servers = json.loads(placed.mcp_file.read_text())["mcpServers"]
    assert servers == {"everywhere": SERVER, "here": LOCAL}
    (note,) = added.notes
    assert "everywhere, here" in note
    assert "s3cret" not in note
    launch = plan("-p", "hi", placed=placed)
    assert f"--mcp-config={placed.mcp_file}" in launch.argv
    assert not any("s3cret" in word for word in launch.argv)


def test_a_folders_own_servers_are_said_not_to_be_loaded(tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text("{}")
    below = tmp_path / "below"
    added = additions_of(tmp_path / "config", below, bring=(), environ={}, home=tmp_path)
    assert added.servers == {}
    assert any(f"--mcp-config {tmp_path / '.mcp.json'}" in note for note in added.notes)


@pytest.mark.claude
@EACH_VERSION
def test_what_is_brought_works_and_the_users_folder_stays_as_it_is(
    make_lab: MakeLab, home: Path
) -> None:
    lab = make_lab()
    for file in home.iterdir():
        file.rename(lab.folder / file.name)  # the trial's home
    (lab.folder / ".claude/plugins/installed_plugins.json").write_text(
        (lab.folder / ".claude/plugins/installed_plugins.json")
        .read_text()
        .replace(str(home), str(lab.folder))
    )
    before = digest(lab.folder / ".claude")
    server = f"mcp__plugin_demo_tool{MODULES}"
    turns = [
        Turn(tool_calls=[call("Bash", command="echo one")]),
        Turn(tool_calls=[call("Skill", skill="demo:greet")]),
        Turn(tool_calls=[call(server)]),
        Turn(
            tool_calls=[
                call(
                    "Agent",
                    description="Review",
                    prompt="REVIEW-TASK",
                    subagent_type="demo:reviewer",
                )
            ]
        ),
        Turn(text="All of it."),
    ]

    def script(body: Any) -> Turn:
        if any("You are the reviewer." in str(m["content"]) for m in body["messages"][:1]):
            return Turn(text="Reviewed.")
        spoken: int = sum(message["role"] == "assistant" for message in body["messages"])
        return turns[min(spoken, len(turns) - 1)]

    lab.upstream.script = script
    ran = lab.ask(
        "Use everything.",
        f"--allowedTools=Skill,{server}",
        profile="full",
        bring=BRINGABLE,
    )

    assert (ran.code, ran.text) == (0, "All of it."), ran.err
    assert {hook for hook in ("plugins-hook", "users-hook") if (lab.work / hook).exists()} == {
        "plugins-hook",
        "users-hook",
    }
    start = next(event for event in ran.events if event.get("subtype") == "init")
    assert {"demo:reviewer", "tester"} <= set(start["agents"])
    assert {"demo:greet", "part"} <= set(start["skills"])
    told = json.dumps([chat.body["messages"] for chat in lab.chats])
    assert "heliotrope" in told, "the memory is not in the prompt"
    assert "You are the greet." in told, "the skill was not loaded"
    assert "autosre_lab.proxy" in told, "the MCP server did not answer"
    assert any("REVIEW-TASK" in str(chat.body["messages"]) for chat in lab.chats)
    assert digest(lab.folder / ".claude") == before


@pytest.mark.claude
def test_the_window_check_counts_what_is_brought_and_runs_no_hook(
    claude_code: Path, home: Path, tmp_path: Path
) -> None:
    ours, work = tmp_path / "ours", tmp_path / "work"
    touched = home / "a-hook-ran"
    hook = {"hooks": [{"type": "command", "command": f"touch {touched}"}]}
    demo = home / ".claude/plugins/cache/market/demo/1.0.0"
    write(demo / "hooks/hooks.json", {"hooks": {"SessionStart": [hook]}})
    added = additions_of(ours, work, bring=BRINGABLE, environ={}, home=home)
    place(added, ours, work)
    recorded = [
        first_request(
            PROFILES["trimmed"],
            executable=claude_code,
            version=CLAUDE_CODE.versions[0],
            cache_dir=tmp_path / "cache",
            environ=os.environ,
            **more,
        )
        for more in ({}, {"additions": recorded_additions(added, ours, work)})
    ]

    bare, full = (json.dumps(one) for one in recorded)
    assert "heliotrope" in full
    assert f"mcp__plugin_demo_tool{MODULES}" in full
    assert f"mcp__everywhere{MODULES}" in full
    assert "heliotrope" not in bare
    assert not touched.exists()


@pytest.mark.claude
@EACH_VERSION
def test_what_mcp_add_added_can_be_used(make_lab: MakeLab, claude_code: Path) -> None:
    lab = make_lab()
    added = subprocess.run(
        [claude_code, "mcp", "add", "mine", "--", *COMMAND],
        env={**os.environ, "CLAUDE_CONFIG_DIR": str(lab.config_dir)},
        cwd=lab.work,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert added.returncode == 0, added.stderr
    lab.upstream.script = lambda _: Turn(text="Hello.")

    ran = lab.ask("Hello.")

    (start,) = (event for event in ran.events if event.get("subtype") == "init")
    assert {"name": "mine", "status": "connected"}.items() <= start["mcp_servers"][0].items()
    assert "mcp__mine__get_command" in start["tools"]
