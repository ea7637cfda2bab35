"""What was appended to log files since the last look, and lines that come from elsewhere."""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from autosre_lab.logs import get_logger

__all__ = ["FollowedFile", "LineStream", "LogFeed", "LogLine", "appended_lines"]

logger = get_logger(__name__)

_LINE_BYTES = 4096
_POLL = re.compile(r'"(?:GET|HEAD) (?:/health|/metrics|/ping|/v1/models)[ ?"]')


class LogLine(msgspec.Struct, frozen=True):
    """One line of a log.

    Attributes:
        source: Whose log it is.
        text: The line, cut if it was very long.
    """

    source: str
    text: str

    @property
    def is_poll(self) -> bool:
        """Whether it only says that somebody looked whether the service lives."""
        return _POLL.search(self.text) is not None


class FollowedFile:
    """Reads what is appended to a file that may be turned over, truncated or not be there yet.

    Args:
        path: The file.
        from_end_bytes: How much of what it holds already is read at the first look.
        max_bytes: The most that one look returns; what is older is left out.
    """

    def __init__(self, path: Path, *, from_end_bytes: int = 0, max_bytes: int = 1 << 16) -> None:
        self.path = path
        self._from_end_bytes = from_end_bytes
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._rest = b""
        self._first = True
        self._cut = False
        self.left_out_bytes = 0

    def read_lines(self) -> list[bytes]:
        """Return the whole lines since the last look; a half line waits for its end."""
        data = b""
        if self._file is not None:
            data = self._read_on(self._file)
        if self._turned_over():
            if self._file is not None:
                # Written between the look above and the turn.
                data += self._read_on(self._file)
            self._open()
            if self._file is not None:
                data += self._read_on(self._file)
        self._first = False
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[-self._max_bytes :]
        if self._cut and lines:
            self._cut = False
            del lines[0]
        return [line.rstrip(b"\r") for line in lines if line.strip()]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _turned_over(self) -> bool:
        try:
            now = self.path.stat()
        except OSError:
            return False
        if self._file is None:
            return True
        ours = os.fstat(self._file.fileno())
        return (ours.st_dev, ours.st_ino) != (now.st_dev, now.st_ino)

    def _open(self) -> None:
        self.close()
        try:
            self._file = self.path.open("rb")
        except OSError:
            return
        if self._first:
            size = self._file.seek(0, os.SEEK_END)
            begin = max(0, size - self._from_end_bytes)
            self._cut = begin > 0 and self._from_end_bytes > 0 and not self._after_newline(begin)
            self._file.seek(begin)

    def _after_newline(self, begin: int) -> bool:
        assert self._file is not None  # noqa: S101 - asked only after it was opened
        self._file.seek(begin - 1)
        return self._file.read(1) == b"\n"

    def _read_on(self, file: BinaryIO) -> bytes:
        size = os.fstat(file.fileno()).st_size
        if size < file.tell():
            file.seek(0)
            self._rest = b""
        backlog = size - file.tell() - self._max_bytes
        if backlog > 0:
            # A service that writes faster than is read: its newest lines are wanted.
            self.left_out_bytes += backlog
            self._rest, self._cut = b"", True
            file.seek(backlog, os.SEEK_CUR)
        return file.read(self._max_bytes)


class LineStream:
    """Lines of an endless iterator, such as a Pod's log, drained by a thread of its own.

    Args:
        lines: The iterator; its end ends the thread. An empty line is left out: one that waits
            yields it from time to time, so as to end once nobody looks any more.
        max_lines: What is kept between two looks; older lines are left out.
    """

    def __init__(self, lines: Iterable[str], *, max_lines: int = 1000) -> None:
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._source = lines
        self.error = ""
        self._stopped = False
        threading.Thread(target=self._drain, name="log-lines", daemon=True).start()

    def read_lines(self) -> list[str]:
        """Return the lines since the last look."""
        found = []
        while self._lines:
            found.append(self._lines.popleft())
        return found

    def close(self) -> None:
        """Take no more lines; the iterator itself is its owner's to end."""
        self._stopped = True

    def _drain(self) -> None:
        try:
            for line in self._source:
                if self._stopped:
                    return
                if line.strip():
                    self._lines.append(line.rstrip("\r\n"))
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"


class LogFeed:
    """The new lines of several logs.

    Args:
        files: Asked at each look: files by whose they are.
        streams: Iterators of lines by whose they are, for example of Pods.
        tail_bytes: How much of what a file holds already is shown at first.
        max_lines: The most that one look returns of each log, the newest.
        first: What the first look returns before anything else.
    """

    def __init__(
        self,
        files: Callable[[], Mapping[str, Path]] = dict,
        *,
        streams: Mapping[str, Iterable[str]] | None = None,
        tail_bytes: int = 4096,
        max_lines: int = 100,
        first: Sequence[LogLine] = (),
    ) -> None:
        self._asked = files
        self._first = tuple(first)
        self._tail_bytes = tail_bytes
        self._max_lines = max_lines
        self._files: dict[tuple[str, Path], FollowedFile] = {}
        self._streams = {name: LineStream(lines) for name, lines in (streams or {}).items()}

    def read(self) -> tuple[LogLine, ...]:
        """Return the new lines, log by log."""
        asked = {(name, path) for name, path in self._asked().items()}
        for gone in set(self._files) - asked:
            self._files.pop(gone).close()
        for name, path in sorted(asked - set(self._files)):
            self._files[name, path] = FollowedFile(
                path,
                from_end_bytes=self._tail_bytes,
                max_bytes=max(1 << 16, self._tail_bytes),
            )
        found = list(self._first)
        self._first = ()
        for (name, _), file in self._files.items():
            for raw in file.read_lines()[-self._max_lines :]:
                text = raw[:_LINE_BYTES].decode("utf-8", "replace")
                found.append(LogLine(source=name, text=text))
        for name, stream in self._streams.items():
            lines = stream.read_lines()[-self._max_lines :]
            found.extend(LogLine(source=name, text=line[:_LINE_BYTES]) for line in lines)
            if stream.error:
                found.append(LogLine(source=name, text=f"[the log ended: {stream.error}]"))
                stream.error = ""
        return tuple(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        for stream in self._streams.values():
            stream.close()


def appended_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return what was appended between two looks at the end of a log.

    Args:
        before: The last lines at the first look.
        after: The last lines at the second.
    """
    for kept in range(min(len(before), len(after)), 0, -1):
        if list(before[-kept:]) == list(after[:kept]):
            return list(after[kept:])
    return list(after)
