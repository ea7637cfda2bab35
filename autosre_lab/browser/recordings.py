"""Recordings of sessions: listed, and deleted when they are old. Nothing outside their folder."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.processes.identity import ProcessIdentity, identify, is_alive

__all__ = [
    "BrowserRecording",
    "Pruned",
    "list_recordings",
    "mark_finished",
    "mark_running",
    "prune_recordings",
]

SUFFIXES = (".webm", ".mp4")
_MARK = ".recording"
"""Names the process that records into this folder; without effect once that has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserRecording:
    """One finished or running recording.

    Attributes:
        path: Its file.
        size_bytes: Its size.
        modified: Seconds since the epoch at its last change.
        running: Whether its session still writes to it.
    """

    path: Path
    size_bytes: int
    modified: float
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was deleted, or would be.

    Attributes:
        paths: The recordings, oldest first.
        size_bytes: Their sizes together.
        kept: How many are left.
        dry_run: Whether nothing was deleted.
    """

    paths: tuple[Path, ...]
    size_bytes: int
    kept: int
    dry_run: bool


def list_recordings(folder: Path) -> list[BrowserRecording]:
    """Return the recordings in a folder and its sub-folders, oldest first.

    Links are not followed, neither files nor folders; a missing folder holds none.
    """
    return sorted(_walk(folder, dir_fd=None), key=lambda found: (found.modified, found.path))


def prune_recordings(
    folder: Path,
    *,
    ttl_h: float,
    dry_run: bool = False,
    clock: Callable[[], float] = time.time,
) -> Pruned:
    """Delete the recordings that are older than so many hours.

    What a running session writes is kept, and so is everything that is no recording. A file is
    deleted in the folder that was looked at, even if somebody puts a link in its place meanwhile.

    Args:
        folder: Where recordings are.
        ttl_h: Hours since a recording's last change.
        dry_run: Only say what would be deleted.
        clock: Seconds since the epoch.

    Raises:
        ConfigError: The age is negative or no number.
    """
    if not 0 <= ttl_h < float("inf"):
        raise ConfigError(f"{ttl_h} is not an age in hours", remedy="give 0 or more hours")
    before = clock() - ttl_h * 3600
    found = list_recordings(folder)
    old = [one for one in found if one.modified <= before and not one.running]
    gone = old if dry_run else [one for one in old if _delete(folder, one)]
    return Pruned(
        paths=tuple(one.path for one in gone),
        size_bytes=sum(one.size_bytes for one in gone),
        kept=len(found) - len(gone),
        dry_run=dry_run,
    )


def mark_running(folder: Path) -> None:
    """Keep the recordings in a folder from being pruned while this process lives."""
    owner = identify(os.getpid())
    assert owner is not None  # noqa: S101 - we run
    (folder / _MARK).write_text(f"{owner.pid} {owner.born}", encoding="ascii")


def mark_finished(folder: Path) -> None:
    """Let the recordings in a folder be pruned when they are old."""
    (folder / _MARK).unlink(missing_ok=True)


def _is_marked_running(folder_fd: int) -> bool:
    try:
        fd = os.open(_MARK, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder_fd)
        with os.fdopen(fd, "rb") as file:
            pid, _, born = file.read(200).decode("ascii").partition(" ")
        return is_alive(ProcessIdentity(int(pid), born))
    except (OSError, ValueError):
        return False


def _walk(folder: Path, *, dir_fd: int | None) -> Iterator[BrowserRecording]:
    try:
        # A folder that is a link is none of ours, whoever put it there.
        fd = os.open(
            folder if dir_fd is None else folder.name,
            os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW,
            dir_fd=dir_fd,
        )
    except OSError:
        return
    try:
        names = sorted(os.listdir(fd))  # noqa: PTH208 - of a descriptor
        running = _MARK in names and _is_marked_running(fd)
        for name in names:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from _walk(folder / name, dir_fd=fd)
            elif stat.S_ISREG(status.st_mode) and name.endswith(SUFFIXES):
                yield BrowserRecording(
                    path=folder / name,
                    size_bytes=status.st_size,
                    modified=status.st_mtime,
                    running=running,
                )
    finally:
        os.close(fd)


def _delete(root: Path, recording: BrowserRecording) -> bool:
    """Delete a file by way of its folder's descriptor; False if it is not the one that was seen."""
    parts = recording.path.relative_to(root).parts
    fds: list[int] = []
    try:
        fds.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            fds.append(os.open(part, flags, dir_fd=fds[-1]))
        status = os.stat(parts[-1], dir_fd=fds[-1], follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_mtime != recording.modified:
            return False
        os.unlink(parts[-1], dir_fd=fds[-1])
        if len(parts) > 1 and set(os.listdir(fds[-1])) <= {_MARK}:  # noqa: PTH208
            with suppress(FileNotFoundError):
                os.unlink(_MARK, dir_fd=fds[-1])
            os.rmdir(parts[-2], dir_fd=fds[-2])
    except OSError:
        return False
    finally:
        for fd in fds:
            os.close(fd)
    return True
