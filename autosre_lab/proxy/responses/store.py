"""Stored responses: one private file each, bounded, and never half of one.

A file is written under another name and then renamed, so whoever reads it finds a whole one,
however its writer ended.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from pathlib import Path

from autosre_lab.logs import get_logger
from autosre_lab.private_files import open_private, os_errors_explained, private_folder

__all__ = ["ResponseStore"]

logger = get_logger(__name__)

MAX_BYTES = 1024**3
MAX_RESPONSES = 10_000

_ID = re.compile(r"resp_[0-9a-f]{8,64}")
_ENDING = ".json"
_UNFINISHED = ".part"
_ABANDONED_S = 3600.0


class ResponseStore:
    """Responses by id, in a folder; beyond its bounds the oldest are deleted.

    Methods are for threads: each waits for the disk.

    Args:
        folder: Where the files are; it is made, for its owner alone.
        max_bytes: Size of all files together.
        max_responses: Number of files.

    Raises:
        FileError: The folder cannot be written to.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = MAX_BYTES, max_responses: int = MAX_RESPONSES
    ) -> None:
        self._folder = private_folder(folder)
        self._max_bytes = max_bytes
        self._max_responses = max_responses
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._bytes = 0
        with os_errors_explained(folder):
            self._find()
            self._write(f"resp_{secrets.token_hex(12)}", b"").unlink()
        self._make_room()

    def put(self, response_id: str, data: bytes) -> None:
        """Store a response, in place of an earlier state of it.

        Raises:
            FileError: The disk took it not.
        """
        path = self._path(response_id)
        if path is None:
            raise ValueError(f"no id of a response: {response_id!r}")
        with os_errors_explained(path):
            self._write(response_id, data).replace(path)
        with self._lock:
            self._note(response_id, len(data))
        self._make_room()

    def get(self, response_id: str) -> bytes | None:
        """Return a stored response; None if there is none of this id."""
        path = self._path(response_id)
        if path is None:
            return None
        try:
            return path.read_bytes()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                logger.warning("a stored response cannot be read: %s", error)
            return None

    def delete(self, response_id: str) -> bool:
        """Delete a response; returns whether there was one."""
        path = self._path(response_id)
        if path is None:
            return False
        with self._lock:
            self._bytes -= self._sizes.pop(response_id, 0)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, response_id: str) -> Path | None:
        """Return a response's file; None for what is no id, such as a path."""
        if _ID.fullmatch(response_id) is None:
            return None
        return self._folder / f"{response_id}{_ENDING}"

    def _write(self, response_id: str, data: bytes) -> Path:
        path = self._folder / f".{response_id}.{secrets.token_hex(4)}{_UNFINISHED}"
        try:
            with os.fdopen(open_private(path, os.O_WRONLY | os.O_EXCL), "wb") as file:
                file.write(data)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _find(self) -> None:
        """Note what is stored, oldest first; what a killed writer left half-written goes away."""
        found: list[tuple[float, str, int]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    held = entry.stat(follow_symlinks=False)
                    name, ending = os.path.splitext(entry.name)  # noqa: PTH122 - of a bare name
                    # A young one may be what another proxy writes at this moment.
                    if ending == _UNFINISHED and time.time() - held.st_mtime > _ABANDONED_S:
                        Path(entry.path).unlink()
                    if ending == _ENDING and _ID.fullmatch(name):
                        found.append((held.st_mtime, name, held.st_size))
        for _, response_id, size in sorted(found):
            self._note(response_id, size)

    def _note(self, response_id: str, size: int) -> None:
        self._bytes += size - self._sizes.pop(response_id, 0)
        self._sizes[response_id] = size

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes or len(self._sizes) > self._max_responses:
            with self._lock:
                oldest = next(iter(self._sizes), None)
            if oldest is None:
                return
            self.delete(oldest)
