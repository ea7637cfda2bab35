"""Files and folders for one user only, and what the operating system refused, in words.

Modes do not depend on the umask, and links are not followed: in a folder that others could once
write to, a link would lead our writing to a file of theirs. Standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autosre_lab.errors import AutosreError, FileError

__all__ = [
    "explain_os_error",
    "in_words",
    "open_private",
    "os_errors_explained",
    "private_folder",
    "write_whole",
]

_REMEDIES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space; `df -h {folder}` shows the disk"),
    errno.EDQUOT: ("your quota is used up", "free some space; `quota` shows how much"),
    errno.EROFS: ("the file system is read-only", "choose another folder, or mount it writable"),
    errno.EACCES: ("no permission", "make {folder} yours: sudo chown -R $USER {folder}"),
    errno.EPERM: ("not allowed", "make {folder} yours: sudo chown -R $USER {folder}"),
    errno.ENAMETOOLONG: ("the name is too long", "give a shorter name or path"),
    errno.ENOTDIR: ("a file stands where a folder should be", "move that file away"),
    errno.EEXIST: ("a file stands where a folder should be", "move that file away"),
    errno.EISDIR: ("a folder stands where a file should be", "move that folder away"),
    errno.ELOOP: ("it is a link, which is not followed", "remove the link"),
    errno.ENOENT: ("it does not exist", "give the path of something that exists"),
    errno.ENXIO: ("it is a pipe, not a file", "remove it"),
    errno.EMFILE: ("too many files are open", "raise the limit: ulimit -n 65535"),
    errno.ENFILE: ("too many files are open on this machine", "close other programs"),
    errno.EIO: ("the disk reports an error", "look at `dmesg`, and move the folder elsewhere"),
    errno.ETXTBSY: ("it is being run", "end the program that runs it"),
    errno.EBUSY: ("it is in use", "end what uses it"),
}
_MOVED = (
    "; our folders are moved with AUTOSRE_STATE_DIR, AUTOSRE_CACHE_DIR, AUTOSRE_DATA_DIR and "
    "AUTOSRE_CONFIG_DIR"
)


def explain_os_error(error: OSError, path: str | os.PathLike[str] | None = None) -> FileError:
    """Return what the operating system refused as an error with a remedy.

    Args:
        error: As Python raised it.
        path: What it was about, where the error itself does not name it.
    """
    if isinstance(error, FileError):
        return error
    if isinstance(error, (ConnectionError, TimeoutError)):
        return FileError(
            error.strerror or str(error) or type(error).__name__,
            remedy="check that the address can be reached; `autosre status` tells of the stack",
            number=error.errno or 0,
        )
    named = error.filename if isinstance(error.filename, (str, os.PathLike)) else path
    where = os.fspath(named) if named is not None else ""
    folder = os.path.dirname(where) or "."  # noqa: PTH120 - the text of any path, NULs included
    number = error.errno or 0
    what, remedy = _REMEDIES.get(
        number, (error.strerror or str(error), "see whether {folder} can be read and written")
    )
    if number == errno.ENOSPC and _without_inodes(folder):
        what, remedy = (
            "the disk has no room for another file (no inodes)",
            ("delete files; `df -i {folder}` shows how many there are"),
        )
    shown = f"{where[:300]}: {what}" if where else what
    return FileError(shown, remedy=remedy.format(folder=folder[:300]) + _MOVED, number=number)


def in_words(error: AutosreError | OSError) -> AutosreError:
    """Return an error as it is shown to a person."""
    return error if isinstance(error, AutosreError) else explain_os_error(error)


@contextmanager
def os_errors_explained(path: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Raise what the operating system refuses in the block as `FileError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise explain_os_error(error, path) from error


def private_folder(path: Path) -> Path:
    """Make a folder, with those above it, that only its owner can enter; returns it.

    One that is there already is closed to others, if it is ours.

    Raises:
        FileError: It cannot be made.
    """
    with os_errors_explained(path):
        missing = []
        for folder in (path, *path.parents):
            if os.path.lexists(folder):
                break
            missing.append(folder)
        for folder in reversed(missing):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue  # another process was faster
            folder.chmod(0o700)
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    return path


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner can read, made if it is not there; returns a descriptor.

    Args:
        path: The file; a link or a pipe there is refused.
        flags: As for `os.open`.

    Raises:
        FileError: It cannot be opened.
    """
    with os_errors_explained(path):
        wanted = flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, wanted, 0o600)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISCHR(found.st_mode):  # such as /dev/null
                return descriptor
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file that others may read, whole or not at all; returns its path.

    Args:
        path: Its folder is made. What is no file, such as /dev/stdout, is written to as it is.
        content: A text is written as UTF-8.

    Raises:
        FileError: It cannot be written; an old file stays as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    with os_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return path
        file = path.resolve()  # a link stays one
        partial = file.with_name(f".{os.getpid()}.{threading.get_ident()}.partial")
        try:
            partial.write_bytes(data)
            partial.replace(file)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
    return path


def _without_inodes(folder: str) -> bool:
    try:
        found = os.statvfs(folder)
    except (OSError, ValueError):
        return False
    return found.f_files > 0 and found.f_favail == 0
