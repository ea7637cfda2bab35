"""The machine: memory that can be had, pressure, swap, CPU, processes, connections.

On unified memory `MemAvailable` is the only trustworthy number, and memory pressure the earliest
sign of running out. In a Pod, give the node's ``/proc``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec
import psutil

__all__ = ["Connections", "HostReader", "HostSample", "Pressure", "ProcessSample", "connections"]

_TREE_S = 10.0
_KIB = 1024

_TCP_STATES = {
    "01": "established",
    "02": "syn_sent",
    "03": "syn_received",
    "04": "fin_wait_1",
    "05": "fin_wait_2",
    "06": "time_wait",
    "07": "close",
    "08": "close_wait",
    "09": "last_ack",
    "0A": "listen",
    "0B": "closing",
}


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``/proc/pressure``, as shares of time 0 to 1.

    Attributes:
        avg10: Of the last 10 seconds.
        avg60: Of the last minute.
        total_s: Seconds of stall since boot.
    """

    avg10: float
    avg60: float
    total_s: float


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True):
    """A process and its children.

    Attributes:
        name: As it was named by whoever asked for it.
        pid: Its id.
        processes: It and its children.
        resident_bytes: Sum over them; memory that they share counts once for each.
        cpu_s: CPU seconds of those alive.
        cpu: CPUs in use since the last reading; None in the first.
        threads: Sum over them.
    """

    name: str
    pid: int
    processes: int
    resident_bytes: int
    cpu_s: float
    cpu: float | None
    threads: int


class HostSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The machine at one moment; None for what its kernel does not tell.

    Attributes:
        memory_total_bytes: All of it.
        memory_available_bytes: What a program can still get without swapping.
        memory_free_bytes: What is not used at all; says little.
        swap_total_bytes: Size of the swap.
        swap_used_bytes: Of it in use.
        pressure_memory_some: Some task waited for memory.
        pressure_memory_full: Nothing ran because of it.
        pressure_io_some: Some task waited for a disk.
        pressure_io_full: Nothing ran because of it.
        pressure_cpu_some: Some task waited for a CPU.
        major_faults: Pages read from disk since boot.
        load_1: Load average of a minute.
        load_5: Of five.
        load_15: Of fifteen.
        cpus: Number of CPUs.
        cpu_busy: CPUs busy since the last reading; None in the first.
        processes: Those that were asked for and are alive.
    """

    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_free_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    pressure_memory_some: Pressure | None = None
    pressure_memory_full: Pressure | None = None
    pressure_io_some: Pressure | None = None
    pressure_io_full: Pressure | None = None
    pressure_cpu_some: Pressure | None = None
    major_faults: int | None = None
    load_1: float | None = None
    load_5: float | None = None
    load_15: float | None = None
    cpus: int | None = None
    cpu_busy: float | None = None
    processes: tuple[ProcessSample, ...] = ()


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """TCP connections at one of the stack's ports.

    Attributes:
        name: The service.
        port: Its port.
        states: Number of sockets by state; those that have only a listener have no other.
    """

    name: str
    port: int
    states: dict[str, int]

    @property
    def established(self) -> int:
        """Open connections."""
        return self.states.get("established", 0)


class HostReader:
    """Reads the kernel's files.

    Args:
        proc: Where ``/proc`` is; a node's own, mounted elsewhere, in a Pod.
        processes: Asked at each reading: process ids by the names they shall have.
    """

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        processes: Callable[[], dict[str, int]] = dict,
    ) -> None:
        self._proc = proc
        self._asked = processes
        self._cpu_before: tuple[float, float] | None = None
        self._trees: dict[int, tuple[float, list[psutil.Process]]] = {}
        self._process_cpu: dict[int, tuple[float, float]] = {}

    def read(self) -> HostSample:
        """Return the machine as it is now."""
        memory = _numbers(self._lines("meminfo"))
        load = self._lines("loadavg")
        loads = [float(word) for word in load[0].split()[:3]] if load else [None, None, None]
        total, free = memory.get("SwapTotal"), memory.get("SwapFree")
        return HostSample(
            memory_total_bytes=memory.get("MemTotal"),
            memory_available_bytes=memory.get("MemAvailable"),
            memory_free_bytes=memory.get("MemFree"),
            swap_total_bytes=total,
            swap_used_bytes=None if total is None or free is None else total - free,
            pressure_memory_some=self._pressure("memory", "some"),
            pressure_memory_full=self._pressure("memory", "full"),
            pressure_io_some=self._pressure("io", "some"),
            pressure_io_full=self._pressure("io", "full"),
            pressure_cpu_some=self._pressure("cpu", "some"),
            major_faults=_counted(self._lines("vmstat"), "pgmajfault"),
            load_1=loads[0],
            load_5=loads[1],
            load_15=loads[2],
            cpus=self._cpus(),
            cpu_busy=self._cpu_busy(),
            processes=tuple(self._processes()),
        )

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._proc / name).read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return []

    def _pressure(self, what: str, who: str) -> Pressure | None:
        for line in self._lines(f"pressure/{what}"):
            kind, *words = line.split()
            if kind == who:
                fields = dict(word.split("=", 1) for word in words)
                return Pressure(
                    avg10=float(fields["avg10"]) / 100,
                    avg60=float(fields["avg60"]) / 100,
                    total_s=int(fields["total"]) / 1e6,
                )
        return None

    def _cpus(self) -> int | None:
        named = [line for line in self._lines("stat") if line[:3] == "cpu" and line[3:4].isdigit()]
        return len(named) or None

    def _cpu_busy(self) -> float | None:
        lines = self._lines("stat")
        if not lines:
            return None
        ticks = [int(word) for word in lines[0].split()[1:9]]
        # user nice system idle iowait irq softirq steal
        idle = ticks[3] + ticks[4]
        hertz = os.sysconf("SC_CLK_TCK")
        now = ((sum(ticks) - idle) / hertz, time.monotonic())
        before, self._cpu_before = self._cpu_before, now
        if before is None or now[1] <= before[1]:
            return None
        return max(0.0, (now[0] - before[0]) / (now[1] - before[1]))

    def _processes(self) -> Iterable[ProcessSample]:
        asked = self._asked()
        for gone in set(self._trees) - set(asked.values()):
            del self._trees[gone]
            self._process_cpu.pop(gone, None)
        for name, pid in asked.items():
            sample = self._process(name, pid)
            if sample is not None:
                yield sample

    def _process(self, name: str, pid: int) -> ProcessSample | None:
        resident = threads = alive = 0
        cpu_s = 0.0
        for process in self._tree(pid):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
                    threads += process.num_threads()
                    cpu_s += times.user + times.system
                    alive += 1
            except psutil.Error:
                self._trees.pop(pid, None)
        if not alive:
            return None
        now = (cpu_s, time.monotonic())
        before = self._process_cpu.get(pid)
        self._process_cpu[pid] = now
        cpu = None
        if before is not None and now[1] > before[1]:
            cpu = max(0.0, (now[0] - before[0]) / (now[1] - before[1]))
        return ProcessSample(
            name=name,
            pid=pid,
            processes=alive,
            resident_bytes=resident,
            cpu_s=cpu_s,
            cpu=cpu,
            threads=threads,
        )

    def _tree(self, pid: int) -> list[psutil.Process]:
        # Finding children reads every process of the machine: not each second.
        looked_at, tree = self._trees.get(pid, (-_TREE_S, []))
        if tree and time.monotonic() - looked_at < _TREE_S:
            return tree
        try:
            parent = psutil.Process(pid)
            tree = [parent, *parent.children(recursive=True)]
        except psutil.Error:
            self._trees.pop(pid, None)
            return []
        self._trees[pid] = (time.monotonic(), tree)
        return tree


def connections(ports: dict[str, int], *, proc: Path = Path("/proc")) -> tuple[Connections, ...]:
    """Count the TCP connections of services on this machine.

    Args:
        ports: Ports by service.
        proc: Where ``/proc`` is.

    Returns:
        One for each port, also those with no socket.
    """
    states: dict[int, dict[str, int]] = {port: {} for port in ports.values()}
    for name in ("tcp", "tcp6") if states else ():
        for port, state in _sockets(proc, name, states):
            states[port][state] = states[port].get(state, 0) + 1
    return tuple(
        Connections(name=name, port=port, states=states[port]) for name, port in ports.items()
    )


def _sockets(proc: Path, name: str, ports: Collection[int]) -> Iterable[tuple[int, str]]:
    # Read here and not by psutil: it would look through the open files of every process.
    # A node's /proc mounted elsewhere: its `net` is a link to the reader's own process.
    init = proc / "1" / "net" / name
    path = init if proc != Path("/proc") and init.exists() else proc / "net" / name
    try:
        lines = path.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for line in lines:
        words = line.split()
        port = int(words[1].rpartition(":")[2], 16)
        if port in ports:
            yield port, _TCP_STATES.get(words[3], words[3])


def _numbers(lines: list[str]) -> dict[str, int]:
    """Read ``Name:   123 kB`` lines as bytes."""
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * (_KIB if words[1:] == ["kB"] else 1)
    return found


def _counted(lines: list[str], name: str) -> int | None:
    for line in lines:
        word, _, value = line.partition(" ")
        if word == name:
            return int(value)
    return None
