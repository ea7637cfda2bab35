"""A log file that does not grow without end. Standard library only."""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from autosre_lab.private_files import open_private

__all__ = ["START_WORD", "WRITER", "RotatingFile", "lines_of_last_run", "tail_lines"]

WRITER = "[autosre supervisor]"
"""In each line that is not the service's own."""

START_WORD = "starts"
"""After `WRITER` in the line that begins each run."""


class RotatingFile:
    """Appends bytes; a full file becomes ``NAME.1``, ``NAME.1`` becomes ``NAME.2`` and so on.

    Args:
        path: The file.
        max_bytes: Size at which it is turned over.
        keep: Number of old files.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._opened()

    def write(self, data: bytes) -> None:
        """Append; the turn comes between two writes, so a line is cut only if its write is.

        What a full disk does not take is lost: a service must not stand still for its log.
        """
        with suppress(OSError):
            if self._file.tell() + len(data) > self._max_bytes and self._file.tell():
                self._turn_over()
            self._file.write(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _turn_over(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}")
            source = self._path if number == 1 else newer
            if source.exists():
                source.replace(older)
        # Opened before the old one is closed, so that there is always one to write to.
        full, self._file = self._file, self._opened()
        full.close()

    def _opened(self) -> FileIO:
        return FileIO(open_private(self._path, os.O_WRONLY | os.O_APPEND), "ab")


def lines_of_last_run(path: Path, count: int) -> list[str]:
    """Return the last lines of a service's log that its last run has written, oldest first."""
    lines = tail_lines(path, count)
    for number in range(len(lines) - 1, -1, -1):
        if f"{WRITER} {START_WORD}" in lines[number]:
            return lines[number + 1 :]
    return lines


def tail_lines(path: Path, count: int) -> list[str]:
    """Return a text file's last lines, oldest first; none if there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(0, size - 256 * count))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in text.replace("\r", "\n").splitlines()]
    return [line for line in lines if line][-count:]
