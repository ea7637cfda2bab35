"""Installing the pinned Claude Code, with scripts in the place of node and npm."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from autosre_lab.errors import ProvisionError
from autosre_lab.provision.claude_code import (
    CLAUDE_CODE_VERSION,
    CLAUDE_CODE_VERSIONS,
    claude_code_executable,
    provision_claude_code,
)
from tests.support.programs import calls, program


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AUTOSRE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def node(folder: Path, version: str = "v20.11.0") -> None:
    program(folder / "node", f"echo {version}")


def npm(folder: Path, says: str = CLAUDE_CODE_VERSION) -> Path:
    target = claude_code_executable()
    return program(
        folder / "npm",
        f'mkdir -p "{target.parent}"; printf \'#!/bin/sh\\necho "{says} (Claude Code)"\\n\''
        f' > "{target}"; chmod +x "{target}"',
    )


def test_it_is_installed_once_and_pinned(programs: Path) -> None:
    node(programs)
    installer = npm(programs)
    assert provision_claude_code() == claude_code_executable()
    assert provision_claude_code() == claude_code_executable()
    (call,) = calls(installer)
    assert call.endswith(" ci")
    lock = json.loads(
        (claude_code_executable().parents[2] / "package-lock.json").read_text("utf-8")
    )
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert {one["version"] for one in packages.values()} == {CLAUDE_CODE_VERSION}
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert f"--prefix {claude_code_executable().parents[2]}" in call


def test_every_tested_version_has_a_lock() -> None:
    locks = resources.files("autosre_lab.provision") / "locks"
    for version in CLAUDE_CODE_VERSIONS:
        assert (locks / f"claude-code-{version}" / "package-lock.json").is_file(), version


def test_a_version_without_a_lock_is_installed_by_its_number(programs: Path) -> None:
    node(programs)
    installer = npm(programs)
    with pytest.raises(ProvisionError):  # the script installs the pinned one
        provision_claude_code("9.9.9")
    assert calls(installer)[0].endswith("install --no-save @anthropic-ai/claude-code@9.9.9")


def test_what_a_killed_install_has_left_is_not_built_upon(programs: Path) -> None:
    node(programs)
    npm(programs)
    left = claude_code_executable().parents[1] / "half"
    left.mkdir(parents=True)
    provision_claude_code()
    assert not left.exists()


@pytest.mark.parametrize("version", ["v16.20.0", "nonsense"])
def test_an_old_node_is_told(programs: Path, version: str) -> None:
    node(programs, version)
    npm(programs)
    with pytest.raises(ProvisionError, match=version) as failed:
        provision_claude_code()
    assert "newer Node.js" in failed.value.remedy


def test_a_missing_npm_is_told(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node(programs)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(ProvisionError, match="no `npm`") as failed:
        provision_claude_code()
    assert "apt-get install nodejs npm" in failed.value.remedy


def test_npms_last_words_are_shown(programs: Path) -> None:
    node(programs)
    program(programs / "npm", 'echo "npm error code ENOTFOUND"; exit 1')
    with pytest.raises(ProvisionError, match="ENOTFOUND") as failed:
        provision_claude_code()
    assert "network" in failed.value.remedy


def test_another_version_than_the_pinned_one_is_refused_each_time(programs: Path) -> None:
    node(programs)
    npm(programs, says="9.9.9")
    for _ in range(2):
        with pytest.raises(ProvisionError, match=r"9\.9\.9"):
            provision_claude_code()
