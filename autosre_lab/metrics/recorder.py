"""Samples on disk: JSON lines, appended whole, bounded, readable after a kill.

`FILE` is written; a full one becomes `FILE.1`, the next one `FILE.2`, and the oldest are deleted
when all of them together grow too large. Each begins with a header. Whatever ends the recorder,
at most its last line is torn, and reading leaves that out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from autosre_lab import __version__
from autosre_lab.errors import ConfigError
from autosre_lab.metrics.samples import FeedSample

__all__ = ["Mark", "Recorder", "RecordingHeader", "segments"]


class RecordingHeader(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="header"
):
    """What a segment begins with.

    Attributes:
        run: The same in all segments of one recorder.
        segment: Counted from 0.
        started_s: Begin of the recording, seconds since the epoch.
        host: The machine's name.
        kernel: Its kernel.
        machine: Its architecture.
        python: Version of Python.
        autosre: Version of this library.
        facts: What the caller wanted kept: recipe, engine, badge.
    """

    run: str
    segment: int
    started_s: float
    host: str
    kernel: str
    machine: str
    python: str
    autosre: str
    facts: dict[str, str] = {}


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="mark"):
    """Something that happened meanwhile, told by whoever records.

    Attributes:
        time_s: When, seconds since the epoch.
        clock_ns: The same on `time.perf_counter_ns`.
        text: What.
    """

    time_s: float
    clock_ns: int
    text: str


class Recorder:
    """Appends samples to a file.

    Args:
        path: The file; its folder is made. One that exists is continued.
        max_bytes: Size of all segments together.
        segment_bytes: Size at which a segment is full; a quarter of all where not given.
        facts: Kept in the header.

    Raises:
        ConfigError: It cannot be written, or another recorder writes it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = 512 << 20,
        segment_bytes: int | None = None,
        facts: dict[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes or max(1, min(64 << 20, max_bytes // 4))
        self._lock = threading.Lock()
        self._file: int | None = None
        self._header = RecordingHeader(
            run=f"{time.time_ns():x}-{os.getpid()}",
            segment=0,
            started_s=time.time(),
            host=platform.node(),
            kernel=platform.release(),
            machine=platform.machine(),
            python=platform.python_version(),
            autosre=__version__,
            facts=facts or {},
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._opened()
        except OSError as error:
            raise ConfigError(
                f"the recording {self.path} cannot be written: {error.strerror}",
                remedy="give another file, or end the recorder that writes this one",
            ) from error
        # A line that was torn before must not spoil the first of ours.
        self._torn = self._size() > 0
        failed = self._append(msgspec.json.encode(self._header))
        if failed:
            self.close()
            raise ConfigError(
                f"the recording cannot be written: {failed}", remedy="give a file on another disk"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, sample: FeedSample) -> str:
        """Append a sample; return why it is not on disk, nothing where it is."""
        return self._append(msgspec.json.encode(sample))

    def mark(self, text: str) -> str:
        """Append what happens now; return likewise."""
        mark = Mark(time_s=time.time(), clock_ns=time.perf_counter_ns(), text=text)
        return self._append(msgspec.json.encode(mark))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _append(self, line: bytes) -> str:
        with self._lock:
            if self._file is None:
                return "the recorder is closed"
            try:
                if self._size() + len(line) > self._segment_bytes:
                    self._turn_over()
                self._write(line)
            except OSError as error:
                return f"{self.path}: {error.strerror}"
        return ""

    def _opened(self) -> int:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        return file

    def _size(self) -> int:
        assert self._file is not None  # noqa: S101 - asked only while it is open
        return os.fstat(self._file).st_size

    def _write(self, line: bytes) -> None:
        # One call a line: a kill comes before it or after it, and a full disk tears one line.
        assert self._file is not None  # noqa: S101 - written only while it is open
        data = (b"\n" if self._torn else b"") + line + b"\n"
        self._torn = True
        if os.write(self._file, data) < len(data):
            raise OSError(errno.ENOSPC, "a line was written in part")
        self._torn = False

    def _turn_over(self) -> None:
        # Not there: the last turn got as far as this, and no further.
        if self.path.exists():
            numbers = [number for number, _ in _full_segments(self.path)]
            self.path.rename(self.path.with_name(f"{self.path.name}.{max(numbers, default=0) + 1}"))
        full, self._file = self._file, self._opened()
        assert full is not None  # noqa: S101 - it was just renamed
        os.close(full)
        self._torn = False
        self._header = msgspec.structs.replace(self._header, segment=self._header.segment + 1)
        self._write(msgspec.json.encode(self._header))
        room = self._max_bytes - self._segment_bytes
        for _, old in reversed(_full_segments(self.path)):
            room -= old.stat().st_size
            if room < 0:
                old.unlink()


def segments(path: Path) -> list[Path]:
    """Return a recording's files, oldest first."""
    current = [path] if path.exists() else []
    return [old for _, old in _full_segments(path)] + current


def _full_segments(path: Path) -> list[tuple[int, Path]]:
    numbered = re.compile(re.escape(path.name) + r"\.(\d+)")
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    found = [(numbered.fullmatch(one.name), one) for one in beside]
    return sorted((int(match[1]), one) for match, one in found if match)
