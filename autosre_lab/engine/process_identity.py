"""Which process is meant: a pid alone may be another's by now. Linux, standard library only."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ProcessIdentity",
    "end_session",
    "identify",
    "is_alive",
    "is_of_this_boot",
    "session_members",
]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATE, _SESSION, _START = 0, 3, 19  # fields of /proc/PID/stat, counted behind the name


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


def end_session(leader: ProcessIdentity, number: signal.Signals) -> None:
    """Send a signal to every process of a session."""
    for pid in session_members(leader):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets of its own.
    return text[text.rindex(")") + 2 :].split()
