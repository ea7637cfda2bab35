"""Which process is meant: a pid alone may be another's by now. Linux, standard library only."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ProcessIdentity",
    "children",
    "end_session",
    "holders",
    "identify",
    "is_alive",
    "is_of_this_boot",
    "is_paused",
    "session_members",
    "wake_session",
]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TRACKER_S = 2.0
"""Seconds more that a process gets which only cleans up after the others."""

_POLL_S = 0.05
_STATE, _PARENT, _SESSION, _START = 0, 1, 3, 19  # fields of /proc/PID/stat, counted behind the name


class ProcessIdentity(NamedTuple):
    """A process, told apart from any other that gets its pid later or after a reboot.

    Attributes:
        pid: Its number.
        born: The boot it runs in and its start time in that boot's clock ticks.
    """

    pid: int
    born: str


def identify(pid: int) -> ProcessIdentity | None:
    """Return a running process's identity; None if it does not run."""
    fields = _stat(pid)
    if fields is None or fields[_STATE] in ("Z", "X"):
        return None
    boot = _BOOT_ID.read_text(encoding="ascii").strip()
    return ProcessIdentity(pid, f"{boot}:{fields[_START]}")


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process still runs; a zombie does not."""
    return identify(identity.pid) == identity


def is_of_this_boot(identity: ProcessIdentity) -> bool:
    """Whether that process, alive or not, was started since the machine was."""
    return identity.born.startswith(_BOOT_ID.read_text(encoding="ascii").strip() + ":")


def session_members(leader: ProcessIdentity) -> list[int]:
    """Return the processes of a session, also when its leader has ended.

    Our services lead a session each. While a member lives the kernel does not give the leader's
    number away, so a session is empty, ours, or of a later leader, who would then be alive with
    that pid and another birth.
    """
    current = identify(leader.pid)
    if current is not None and current != leader:
        return []
    if not is_of_this_boot(leader):
        return []
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields and fields[_SESSION] == str(leader.pid) and fields[_STATE] not in ("Z", "X"):
                members.append(int(entry.name))
    return members


def is_paused(identity: ProcessIdentity) -> bool:
    """Whether that very process runs and has been stopped by a signal, such as SIGSTOP."""
    fields = _stat(identity.pid)
    return fields is not None and fields[_STATE] in ("T", "t") and is_alive(identity)


def holders(path: Path) -> list[ProcessIdentity]:
    """Return the processes of this user, ourselves left out, that have a file open."""
    try:
        wanted = path.stat()
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # another user's, or it has ended
            if any(_is_same(one, wanted) for one in (entry / "fd").iterdir()):
                identity = identify(int(entry.name))
                found += [identity] if identity is not None else []
    return found


def children(parent: ProcessIdentity) -> list[ProcessIdentity]:
    """Return the processes that a process has started itself, as far as they run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields and fields[_PARENT] == str(parent.pid) and is_alive(parent):
                identity = identify(int(entry.name))
                found += [identity] if identity is not None else []
    return found


def wake_session(leader: ProcessIdentity) -> None:
    """Let every process of a session go on that a signal has stopped: it hears no other one."""
    _send(session_members(leader), signal.SIGCONT)


def end_session(leader: ProcessIdentity, *, grace_s: float) -> None:
    """End every process of a session: asked first, then made to. Returns when all are gone.

    Args:
        leader: The session's leader, which may have ended.
        grace_s: Seconds from SIGTERM to SIGKILL.
    """
    wake_session(leader)
    _send(session_members(leader), signal.SIGTERM)
    kill_at = time.monotonic() + grace_s
    while members := session_members(leader):
        if time.monotonic() > kill_at + TRACKER_S:
            _send(members, signal.SIGKILL)
        elif time.monotonic() > kill_at:
            _send([pid for pid in members if not _is_tracker(pid)], signal.SIGKILL)
        time.sleep(_POLL_S)


def _is_tracker(pid: int) -> bool:
    """Whether it is Python's resource tracker, which frees shared memory when all others end."""
    try:
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets of its own.
    return text[text.rindex(")") + 2 :].split()


def _is_same(descriptor: Path, wanted: os.stat_result) -> bool:
    try:
        found = descriptor.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)
