"""Folders in which a stranger's program has worked: measured, handed over and removed.

By coreutils, which manage any depth and follow no link; Python's own walk is recursive, and ends at
a thousand nested folders.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["give_to", "remove", "scratch_folder", "size_bytes"]

_SECONDS = 120


@contextlib.contextmanager
def scratch_folder(prefix: str = "autosre-") -> Iterator[Path]:
    """Make a folder for a block; it is removed whatever a program left in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder, however deep, whatever its rights."""
    _run("chmod", "-R", "u+rwX", "--", str(folder))
    _run("rm", "-rf", "--one-file-system", "--", str(folder))


def give_to(folder: Path, uid: int, gid: int) -> None:
    """Make a user the owner of a folder and all that is in it; links stay what they are."""
    _run("chown", "-R", "-P", "-h", f"{uid}:{gid}", "--", str(folder))


def size_bytes(folder: Path) -> int:
    """Return what a folder takes on the disk."""
    told = _run("du", "-s", "-x", "--block-size=1", "--", str(folder)).split()
    return int(told[0]) if told and told[0].isdigit() else 0


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout
