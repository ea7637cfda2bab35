"""The machine that produced the numbers, and how fast its memory is."""

from __future__ import annotations

import os
import platform
import threading
import time
from pathlib import Path

import msgspec

__all__ = ["Machine", "machine_facts", "measure_bandwidth", "memory_pressure"]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a result card says of the machine.

    Attributes:
        cpu: Its name.
        cores: That this process may use.
        memory_bytes: In all.
        kernel: Release.
        system: As it names itself.
        load: Load average over a minute, as the run began.
        python: Version.
    """

    cpu: str
    cores: int
    memory_bytes: int
    kernel: str
    system: str
    load: float
    python: str


def machine_facts() -> Machine:
    """Return what this machine is. The engine may run elsewhere."""
    import psutil

    return Machine(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        system=platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        load=os.getloadavg()[0],
        python=platform.python_version(),
    )


def measure_bandwidth(*, megabytes: int = 256, tries: int = 3) -> float:
    """Measure this machine's memory: bytes read and written a second while copying.

    Args:
        megabytes: Size of what each thread copies; far above the caches.
        tries: The fastest counts: others only ever slow it down.

    Returns:
        Bytes a second, all cores together.
    """
    import numpy

    threads = len(os.sched_getaffinity(0))
    size = megabytes * 1_000_000 // 8
    pairs = [(numpy.ones(size), numpy.empty(size)) for _ in range(threads)]
    best = 0.0
    for _ in range(tries):
        copies = [
            threading.Thread(target=numpy.copyto, args=(target, source)) for source, target in pairs
        ]
        started = time.perf_counter()
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
        moved = 2 * 8 * size * threads
        best = max(best, moved / (time.perf_counter() - started))
    return best


def memory_pressure() -> float | None:
    """Share of the last ten seconds in which something waited for memory; None if not told."""
    try:
        line = Path("/proc/pressure/memory").read_text("utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None
    fields = dict(part.split("=") for part in line.split() if "=" in part)
    return float(fields["avg10"]) / 100


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
