"""State files: whole or not at all, one writer at a time."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.processes.files import is_locked, locked, read_json, write_private_json


def test_what_is_written_is_read_and_only_by_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "stack.json"
    write_private_json(file, {"token": "t"})
    assert read_json(file) == {"token": "t"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["stack.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "stack.json"
    write_private_json(file, {"token": "old"})
    with pytest.raises(TypeError):
        write_private_json(file, {"token": object()})
    assert read_json(file) == {"token": "old"}


@pytest.mark.parametrize("content", [None, b"", b'{"a":', b"[1]", b"\xff\xfe"])
def test_what_is_no_mapping_counts_as_no_file(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "stack.json"
    if content is not None:
        file.write_bytes(content)
    assert read_json(file) is None


def test_a_lock_is_seen_by_others_while_it_is_held(tmp_path: Path) -> None:
    file = tmp_path / "stack.lock"
    assert not is_locked(file)
    with locked(file):
        assert is_locked(file)
    assert not is_locked(file)


def test_a_lock_ends_with_its_killed_holder(tmp_path: Path) -> None:
    file = tmp_path / "stack.lock"
    hold = (
        "import sys, pathlib, time; from autosre_lab.processes.files import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print(1, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(file)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_locked(file)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert not is_locked(file)
