"""A log file that does not grow without end. Standard library only."""

from __future__ import annotations

from pathlib import Path

__all__ = ["RotatingFile", "tail_lines"]


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
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append; the turn comes between two writes, so a line is cut only if its write is."""
        if self._file.tell() + len(data) > self._max_bytes and self._file.tell():
            self._turn_over()
        self._file.write(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _turn_over(self) -> None:
        self._file.close()
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}")
            source = self._path if number == 1 else newer
            if source.exists():
                source.replace(older)
        self._file = self._path.open("ab", buffering=0)


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
