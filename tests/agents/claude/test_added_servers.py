"""What `autosre claude mcp add` added is loaded by later sessions, or said not to be."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.agents.claude.config_home import added_servers, servers_of
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.conftest import EACH_VERSION, MakeLab
from tests.agents.claude.facts import plan

HERE = Path("/home/me/here")
USERS = {"command": "users-server"}
LOCAL = {"command": "local-server", "env": {"API_KEY": "s3cret"}}
STATE = {
    "mcpServers": {"everywhere": USERS},
    "projects": {str(HERE): {"mcpServers": {"here": LOCAL}}, "/other": {"mcpServers": {"x": {}}}},
}


def test_the_servers_of_the_user_and_of_the_folder_are_loaded() -> None:
    assert servers_of(STATE, HERE) == {"everywhere": USERS, "here": LOCAL}
    assert servers_of({}, HERE) == {}


def test_their_keys_go_into_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text(json.dumps(STATE))

    file, note = added_servers(tmp_path, HERE)

    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["mcpServers"]["here"] == LOCAL
    assert note is not None
    assert "everywhere, here" in note
    assert "s3cret" not in note


def test_a_folders_own_servers_are_said_not_to_be_loaded(tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text("{}")
    below = tmp_path / "below"
    below.mkdir()

    file, note = added_servers(tmp_path / "config", below)

    assert file is None
    assert note is not None
    assert f"--mcp-config {tmp_path / '.mcp.json'}" in note


def test_a_session_names_the_file_and_no_key() -> None:
    from autosre_lab.agents.claude.plan import plan_launch
    from autosre_lab.agents.claude.profiles import PROFILES
    from autosre_lab.agents.claude.window import fit_window
    from tests.agents.claude.facts import Facts

    fit = fit_window(131_072, PROFILES["full"], 15_000)
    assert fit is not None
    launch = plan_launch(
        Facts(),
        ["-p", "hi"],
        fit=fit,
        profile=PROFILES["full"],
        executable=Path("/opt/claude"),
        version="2.1.332",
        environ={},
        config_dir=Path("/state/claude"),
        mcp_file=Path("/state/claude/mcp-1.json"),
    )

    assert "--mcp-config=/state/claude/mcp-1.json" in launch.argv
    assert not any(word.startswith("--mcp-config=/state") for word in plan("-p", "hi").argv)


@pytest.mark.claude
@EACH_VERSION
def test_what_mcp_add_added_can_be_used(make_lab: MakeLab, claude_code: Path) -> None:
    lab = make_lab()
    lab.plan()  # makes the configuration folder
    added = subprocess.run(
        [
            *(str(claude_code), "mcp", "add", "mine", "--"),
            *(sys.executable, "-P", "-m", "autosre_lab.mcp_servers.capabilities"),
        ],
        env={**os.environ, "CLAUDE_CONFIG_DIR": str(lab.folder / "config")},
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
