"""The file of the request log, whatever others do with it meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import psutil
import pytest

from autosre_lab.proxy.request_log import RequestLog, RequestRecord


class Lines:
    """A log, and a wait for its lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = RequestLog(path, max_bytes=10**6)

    def add(self, name: str) -> None:
        """Log one request and wait for its line."""
        self.log.add(RequestRecord(time="t", request_id=name))
        deadline = time.monotonic() + 20
        while name not in ids(self.path):
            assert time.monotonic() < deadline, f"{name} was not written"
            time.sleep(0.005)


def ids(path: Path) -> list[str]:
    """The requests of a log file; its last line may be half written."""
    if not path.exists():
        return []
    lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
    return [msgspec.json.decode(line, type=RequestRecord).request_id for line in lines]


@pytest.mark.parametrize("undo", ["moved", "deleted"])
def test_a_log_that_was_taken_away_is_not_written_after(tmp_path: Path, undo: str) -> None:
    lines = Lines(tmp_path / "requests.jsonl")
    lines.add("r1")
    lines.add("r2")
    kept = tmp_path / "kept.jsonl"
    if undo == "moved":
        lines.path.rename(kept)
    else:
        lines.path.unlink()
    lines.add("r3")
    lines.add("r4")
    lines.log.close()
    assert ids(lines.path) == ["r3", "r4"]
    assert ids(kept) == (["r1", "r2"] if undo == "moved" else [])


def test_a_log_that_was_opened_to_others_is_closed_to_them(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "requests.jsonl")
    lines.add("r1")
    lines.path.chmod(0o666)
    lines.add("r2")
    lines.log.close()
    assert lines.path.stat().st_mode & 0o777 == 0o600
    assert ids(lines.path) == ["r1", "r2"]


def test_a_log_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "requests.jsonl")
    lines.add("r1")
    target = tmp_path / "another's"
    target.write_bytes(b"")
    lines.path.unlink()
    lines.path.symlink_to(target)
    lines.log.add(RequestRecord(time="t", request_id="r2"))
    lines.log.close()
    assert target.read_bytes() == b""


def test_it_is_opened_once_and_closed_at_the_end(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "requests.jsonl")
    for number in range(20):
        lines.add(f"r{number}")
    assert open_files().count(str(lines.path)) == 1
    lines.log.close()
    assert str(lines.path) not in open_files()


def open_files() -> list[str]:
    """Files that this process has open."""
    return [file.path for file in psutil.Process().open_files()]
