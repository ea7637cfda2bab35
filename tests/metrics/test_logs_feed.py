"""Logs are followed through everything that happens to log files, and never without bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.metrics.logs_feed import FollowedFile, LineStream, LogFeed, LogLine, appended_lines
from autosre_lab.processes.rotating_file import RotatingFile


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Path, FollowedFile]]:
    followed = FollowedFile(tmp_path / "engine.log")
    yield tmp_path / "engine.log", followed
    followed.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_file_that_is_not_there_yet_is_read_when_it_comes(
    log: tuple[Path, FollowedFile],
) -> None:
    path, followed = log
    assert followed.read_lines() == []
    append(path, "one\ntwo\n")
    assert followed.read_lines() == [b"one", b"two"]
    assert followed.read_lines() == []


def test_a_half_line_waits_for_its_end(log: tuple[Path, FollowedFile]) -> None:
    path, followed = log
    followed.read_lines()
    append(path, "whole\nha")
    assert followed.read_lines() == [b"whole"]
    append(path, "lf\n")
    assert followed.read_lines() == [b"half"]


def test_what_was_there_before_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append(path, "old\nolder\nnew\n")
    followed, with_tail = FollowedFile(path), FollowedFile(path, from_end_bytes=6)
    assert followed.read_lines() == []
    assert with_tail.read_lines() == [b"new"], "a line that the tail begins in is cut"
    append(path, "next\n")
    assert followed.read_lines() == [b"next"]
    whole = FollowedFile(path, from_end_bytes=9)
    assert whole.read_lines() == [b"new", b"next"], "unless the tail begins with it"
    for one in (followed, with_tail, whole):
        one.close()


def test_a_file_that_is_turned_over_or_truncated_is_followed(
    log: tuple[Path, FollowedFile],
) -> None:
    path, followed = log
    followed.read_lines()
    append(path, "one\n")
    assert followed.read_lines() == [b"one"]
    append(path, "two\n")
    path.rename(path.with_name("engine.log.1"))
    append(path, "three\n")
    assert followed.read_lines() == [b"two", b"three"]
    path.write_text("4\n")
    assert followed.read_lines() == [b"4"]
    path.unlink()
    assert followed.read_lines() == []


@given(
    st.lists(st.lists(st.text("ab", min_size=1, max_size=8), max_size=6), max_size=8),
    st.integers(8, 60),
)
def test_no_line_of_the_stacks_own_rotating_log_is_lost_or_doubled(
    bursts: list[list[str]], max_bytes: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "engine.log"
        writer = RotatingFile(path, max_bytes=max_bytes, keep=3)
        followed = FollowedFile(path)
        followed.read_lines()
        read: list[str] = []
        for burst in bursts:
            for line in burst:
                writer.write(f"{line}\n".encode())
                # Once a write, so that at most one turn lies between two looks.
                read += [found.decode() for found in followed.read_lines()]
        writer.close()
        followed.close()
    assert read == [line for burst in bursts for line in burst]


def test_a_flood_is_bounded_its_newest_lines_kept_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    followed = FollowedFile(path, max_bytes=100)
    followed.read_lines()
    append(path, "".join(f"line {i:04}\n" for i in range(1000)))
    lines = followed.read_lines()
    assert lines[-1] == b"line 0999"
    assert len(lines) <= 10
    assert followed.left_out_bytes == 10 * 1000 - 100
    followed.close()


def test_lines_of_an_iterator_are_bounded_and_its_failure_is_a_line() -> None:
    done = threading.Event()

    def pod() -> Iterator[str]:
        for number in range(50):
            yield f"{number}\n"
        done.set()
        raise ConnectionError("the Pod is gone")

    feed = LogFeed(streams={"engine": pod()}, max_lines=5)
    assert done.wait(5)
    found: list[LogLine] = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not any("gone" in line.text for line in found):
        found += feed.read()
    assert [line.text for line in found[:5]] == ["45", "46", "47", "48", "49"]
    assert "ConnectionError: the Pod is gone" in found[-1].text
    assert feed.read() == ()
    feed.close()


def test_a_stream_keeps_the_newest_lines_between_looks() -> None:
    release = threading.Event()

    def lines() -> Iterator[str]:
        yield from "abcdef"
        release.wait(5)

    stream = LineStream(lines(), max_lines=3)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if (found := stream.read_lines()) and found[-1] == "f":
            break
    assert found[-1] == "f"
    release.set()
    stream.close()


def test_files_come_and_go_with_the_stack(tmp_path: Path) -> None:
    files: dict[str, Path] = {}
    feed = LogFeed(lambda: files, max_lines=2)
    assert feed.read() == ()
    append(tmp_path / "a", "1\n2\n3\n")
    files["engine"] = tmp_path / "a"
    assert [(line.source, line.text) for line in feed.read()] == [("engine", "2"), ("engine", "3")]
    files.clear()
    assert feed.read() == ()
    feed.close()


@given(st.lists(st.integers(0, 10**6).map(str), unique=True, max_size=30), st.data())
def test_two_looks_at_the_end_of_a_log_give_what_came_between(
    lines: list[str], data: st.DataObject
) -> None:
    earlier = data.draw(st.integers(0, len(lines)))
    tail = data.draw(st.integers(1, 40))
    before, after = lines[:earlier][-tail:], lines[-tail:]
    new = lines[earlier:]
    # What the second look does not reach back to is lost; nothing comes twice.
    assert appended_lines(before, after) == new[-tail:]
