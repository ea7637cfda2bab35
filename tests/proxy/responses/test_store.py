"""The files of stored responses: bounded, and whole however their writer ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.errors import AutosreError
from autosre_lab.proxy.responses.store import ResponseStore

WRITER = """
import sys
from pathlib import Path
from autosre_lab.proxy.responses.store import ResponseStore
store = ResponseStore(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    text = f"{number:08x}".encode()
    store.put(f"resp_{number % 50:08x}", text * 50_000)
    if number == 60:
        print("running", flush=True)
"""


def ids(*numbers: int) -> list[str]:
    return [f"resp_{number:08x}" for number in numbers]


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, max_responses=3)
    one, two, three, four = ids(1, 2, 3, 4)
    for name in (one, two, three):
        store.put(name, b"{}")
    store.put(one, b"[]")  # a newer state of it
    store.put(four, b"{}")
    assert [store.get(name) for name in (one, two, three, four)] == [b"[]", None, b"{}", b"{}"]


def test_the_oldest_go_when_they_are_too_large_also_those_found_at_the_start(
    tmp_path: Path,
) -> None:
    store = ResponseStore(tmp_path)
    for at, name in enumerate(ids(1, 2, 3)):
        store.put(name, b"x" * 100)
        os.utime(tmp_path / f"{name}.json", (at, at))
    again = ResponseStore(tmp_path, max_bytes=250)
    assert [again.get(name) is None for name in ids(1, 2, 3)] == [True, False, False]
    again.put(ids(4)[0], b"x" * 100)
    assert [again.get(name) is None for name in ids(2, 3, 4)] == [True, False, False]


def test_one_that_is_larger_than_all_may_be_is_not_kept(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, max_bytes=10)
    store.put(ids(1)[0], b"x" * 11)
    assert not list(tmp_path.iterdir())


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.json", "resp_zz.json", "resp_00000001"):
        (tmp_path / name).write_text("mine", "utf-8")
    ResponseStore(tmp_path, max_bytes=1)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_writer_left_an_hour_ago_goes_away(tmp_path: Path) -> None:
    old, young = (tmp_path / f".resp_0000000{n}.aa.part" for n in (1, 2))
    for path in (old, young):
        path.write_text("half", "utf-8")
    os.utime(old, (0, 0))
    ResponseStore(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_written_to_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(AutosreError, match="file"):
        ResponseStore(tmp_path / "file")


def test_killed_in_the_middle_it_leaves_only_whole_files(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"running\n"
        writer.send_signal(signal.SIGKILL)
    store = ResponseStore(tmp_path)
    found = [store.get(name) for name in ids(*range(50))]
    assert all(data is not None and data == data[:8] * 50_000 for data in found)
