from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.claude.config_home import brings_configuration, prepare_config_dir
from autosre_lab.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / ".claude").mkdir(parents=True)
    return folder


def prepared(folder: Path, cwd: Path, home: Path) -> dict[str, Any]:
    prepare_config_dir(folder, cwd, home=home)
    loaded: dict[str, Any] = json.loads((folder / ".claude.json").read_text())
    return loaded


def test_a_first_start_asks_nothing_in_a_plain_folder(tmp_path: Path, home: Path) -> None:
    work = home / "work"
    work.mkdir()

    config = prepared(tmp_path / "config", work, home)

    assert config["hasCompletedOnboarding"] is True
    assert config["projects"][str(work)]["hasTrustDialogAccepted"] is True


@pytest.mark.parametrize("brought", [".mcp.json", ".claude"])
def test_a_folder_that_could_run_things_is_left_to_the_person(
    tmp_path: Path, home: Path, brought: str
) -> None:
    work = home / "repo" / "src"
    work.mkdir(parents=True)
    (home / "repo" / brought).mkdir()

    config = prepared(tmp_path / "config", work, home)

    assert brings_configuration(work, home=home)
    assert "projects" not in config


def test_a_folder_the_user_trusts_in_their_own_claude_code_is_trusted(
    tmp_path: Path, home: Path
) -> None:
    work = home / "repo" / "src"
    (work / ".claude").mkdir(parents=True)
    own = home / ".claude.json"
    own.write_text(json.dumps({"projects": {str(home / "repo"): {"hasTrustDialogAccepted": True}}}))
    before = own.read_bytes()

    config = prepared(tmp_path / "config", work, home)

    assert config["projects"][str(work)]["hasTrustDialogAccepted"] is True
    assert own.read_bytes() == before


def test_what_claude_code_has_written_is_kept(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    state = {"numStartups": 7, "projects": {"/other": {"x": 1}, str(home): {"lastCost": 2}}}
    (folder / ".claude.json").write_text(json.dumps(state))

    config = prepared(folder, home, home)

    assert config["numStartups"] == 7
    assert config["projects"]["/other"] == {"x": 1}
    assert config["projects"][str(home)]["lastCost"] == 2
    assert config["projects"][str(home)]["hasTrustDialogAccepted"] is True


def test_a_second_start_writes_nothing(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "config"
    prepared(folder, home, home)
    file = folder / ".claude.json"
    written = file.stat()

    prepared(folder, home, home)

    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, home: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="AUTOSRE_STATE_DIR"):
        prepare_config_dir(tmp_path / "file" / "config", home, home=home)
