"""Files that several processes read and write: whole or not at all, one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

from autosre_lab.errors import FileError
from autosre_lab.private_files import open_private, os_errors_explained

__all__ = ["is_locked", "locked", "read_json", "write_private_json", "write_private_text"]

_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)


def write_private_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, as `write_private_text` does.

    Raises:
        FileError: It cannot be written; the old file stays.
    """
    write_private_text(path, json.dumps(content, indent=1))


def write_private_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    The file is readable by its owner only, because it may hold a token. What a writer that was
    killed has left beside it is taken away.

    Raises:
        FileError: It cannot be written; the old file stays.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with os_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clean(path)
        try:
            descriptor = open_private(partial, os.O_WRONLY | os.O_TRUNC)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


def _clean(path: Path) -> None:
    """Take away what killed writers of a file have left."""
    for partial in path.parent.glob(f"{escape(path.name)}.*.partial"):
        writer = partial.name.removesuffix(".partial").rpartition(".")[2]
        if not writer.isdecimal() or not Path(f"/proc/{writer}").exists():
            with suppress(OSError):
                partial.unlink()


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a file's mapping; None if there is no file or it holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


@contextmanager
def locked(path: Path, *, waiting: str | None = None) -> Iterator[None]:
    """Hold a file's lock; it ends with the process, however that ends.

    Args:
        path: The file; it is made. Where nothing can be written any more, one that is there is
            enough: a stack has to be stopped on a full disk too.
        waiting: Shown as a step while somebody else holds the lock.

    Raises:
        FileError: There is none, and none can be made.
    """
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_for(file, waiting)
        yield


def _opened(path: Path) -> BinaryIO:
    try:
        with os_errors_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.fdopen(open_private(path, os.O_RDWR), "r+b")
    except FileError as error:
        if error.errno not in _UNWRITABLE:
            raise
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError:
            raise error from None


def _wait_for(file: BinaryIO, waiting: str | None) -> None:
    if waiting is None:
        fcntl.flock(file, fcntl.LOCK_EX)
        return
    from autosre_lab.progress import step

    with step(waiting):
        fcntl.flock(file, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Whether some process holds a file's lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
