"""What a program may take, and what a whole group of processes takes now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

__all__ = ["SandboxLimits", "excess"]

_THREADS_PER_PROCESS = 16
_PAGE = os.sysconf("SC_PAGESIZE")


class SandboxLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a program and everything that it starts may take together.

    Attributes:
        seconds: Of wall clock; all of it is killed then.
        memory_bytes: Of memory, all processes together; also the address space of each.
        file_bytes: Of each file.
        folder_bytes: That its folder may grow by.
        output_bytes: Of standard output and errors.
        processes: At the same time, threads' children included.
    """

    seconds: float = 10.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 1 << 24
    folder_bytes: int = 1 << 28
    output_bytes: int = 1 << 24
    processes: int = 64

    def of_each_process(self, *, own_user: bool) -> dict[str, int]:
        """Return the kernel's limits by their names in `resource`, less ``RLIMIT_``."""
        found = {
            "CPU": max(1, round(self.seconds) + 1),
            "AS": self.memory_bytes,
            "FSIZE": self.file_bytes,
            "CORE": 0,
            "NOFILE": 256,
        }
        # It counts all that a user runs: of use only where the sandbox has a user of its own.
        return found | ({"NPROC": self.processes * _THREADS_PER_PROCESS} if own_user else {})


def excess(pid: int, limits: SandboxLimits) -> str:
    """Return which limit a process and its descendants exceed together, in words, or ""."""
    processes, threads, pages = 0, 0, 0
    found = []
    for one, tasks in _descendants(pid):
        found.append(one)
        processes, threads = processes + 1, threads + tasks
        if processes > limits.processes:
            return f"more than {limits.processes} processes"
        if threads > limits.processes * _THREADS_PER_PROCESS:
            return f"more than {limits.processes * _THREADS_PER_PROCESS} threads"
        pages += _resident_pages(one)
    if pages * _PAGE <= limits.memory_bytes:
        return ""
    # Pages that a fork shares were counted for each; the kernel can share them out.
    if sum(map(_shared_out_bytes, found)) <= limits.memory_bytes:
        return ""
    return f"more than {limits.memory_bytes >> 20} MiB of memory"


def _descendants(pid: int) -> Iterator[tuple[int, int]]:
    """Yield each descendant's id and count of threads; every thread may have children."""
    left = [pid]
    while left:
        one = left.pop()
        try:
            tasks = os.listdir(f"/proc/{one}/task")  # noqa: PTH208
        except OSError:
            continue
        if one != pid:
            yield one, len(tasks)
        for task in tasks:
            try:
                told = Path(f"/proc/{one}/task/{task}/children").read_text("ascii")
            except OSError:
                continue
            left += map(int, told.split())


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0


def _shared_out_bytes(pid: int) -> int:
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        return sum(int(line.split()[1]) << 10 for line in told.splitlines() if line[:4] == "Pss:")
    except OSError:  # it hides: then all that it uses counts
        return _resident_pages(pid) * _PAGE
