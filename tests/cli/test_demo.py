"""`autosre demo` on a machine that cannot run it; what it does where it can is `make demo`'s."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from autosre_lab.cli.main import main


def test_no_node_is_told_before_anything_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "uname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    told = CliRunner().invoke(main, ["demo"])
    assert told.exit_code == 1
    assert "Claude Code needs Node.js" in told.output
    assert not (tmp_path / "data" / "engines").exists()
