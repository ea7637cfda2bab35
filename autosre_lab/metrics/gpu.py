"""NVIDIA GPUs, by NVML. What a GPU does not tell is None, and recorded as such.

A GB10 has no memory of its own to report: total, used and free are "not supported" there, as are
the memory clock, the power limit and the fan, while power, energy, temperature, SM clock and
per-process memory work. `MemAvailable` of `host.py` is what counts on such a machine.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

__all__ = ["GpuProcess", "GpuReader", "GpuReading", "GpuSample"]

RETRY_S = 30.0
"""How often a missing driver is looked for again."""

_THROTTLE = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal",
    0x40: "hardware thermal",
    0x80: "power brake",
    0x100: "display clocks",
}
_NOT_SLOWED = {"idle", "application clocks", "sync boost", "display clocks"}


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process on a GPU.

    Attributes:
        pid: As NVML gives it: the host's, even inside a container.
        memory_bytes: None where the driver does not tell.
    """

    pid: int
    memory_bytes: int | None


class GpuSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One GPU at one moment; None for what it does not tell.

    Attributes:
        index: NVML's.
        name: For example ``NVIDIA GB10``.
        uuid: NVML's.
        util: Share of time in which a kernel ran, 0 to 1; says nothing about how much of the GPU.
        memory_util: Share of time in which memory was read or written, 0 to 1.
        memory_total_bytes: None with unified memory.
        memory_used_bytes: As `nvidia-smi` shows it: without what the driver reserves for itself.
            None with unified memory.
        sm_clock_mhz: Of the multiprocessors.
        sm_clock_max_mhz: Its maximum.
        memory_clock_mhz: Of the memory.
        temperature_c: Of the chip.
        power_w: As the driver averages it, on recent GPUs over a second.
        power_limit_w: The cap in force.
        energy_j: Since the driver was loaded.
        pstate: Performance state; 0 is the fastest.
        fan: 0 to 1.
        throttle: Why clocks are below their maximum.
        processes: Compute and graphics processes.
        errors: Signals that failed otherwise than by not being supported.
    """

    index: int
    name: str | None = None
    uuid: str | None = None
    util: float | None = None
    memory_util: float | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    energy_j: float | None = None
    pstate: int | None = None
    fan: float | None = None
    throttle: tuple[str, ...] | None = None
    processes: tuple[GpuProcess, ...] | None = None
    errors: dict[str, str] = {}

    @property
    def slowed_by(self) -> tuple[str, ...] | None:
        """Throttle reasons that slow work down; being idle does not."""
        if self.throttle is None:
            return None
        return tuple(reason for reason in self.throttle if reason not in _NOT_SLOWED)

    @property
    def process_memory_bytes(self) -> int | None:
        """Memory of all processes; the only figure of memory in use on a GB10."""
        told = [one.memory_bytes for one in self.processes or () if one.memory_bytes is not None]
        return sum(told) if told else None


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """All GPUs at one moment.

    Attributes:
        gpus: Empty where there is none.
        unavailable: Why there is none; empty where there is.
    """

    gpus: tuple[GpuSample, ...]
    unavailable: str = ""


class GpuReader:
    """Reads NVML; works, and says so, where there is no GPU.

    Args:
        nvml: A module like ``pynvml``; the installed one where not given.
        clock: Seconds, rising.

    Attributes:
        unavailable: Why nothing can be read; empty where it can.
        capabilities: By GPU, for each signal ``ok``, ``not supported``, or the error met last.
    """

    def __init__(self, nvml: Any = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._nvml = nvml
        self._clock = clock
        self._handles: list[Any] = []
        self._ready = False
        self._closed = False
        self._tried_at: float | None = None
        self._lock = threading.Lock()
        self.unavailable = ""
        self.capabilities: dict[int, dict[str, str]] = {}
        self._begin()

    def read(self) -> GpuReading:
        """Return all GPUs as they are now. Raises nothing."""
        if not self._begin():
            return GpuReading(gpus=(), unavailable=self.unavailable)
        gpus = tuple(self._sample(index, handle) for index, handle in enumerate(self._handles))
        return GpuReading(gpus=gpus)

    def power_w(self) -> float | None:
        """Return the power of all GPUs together; None where one does not tell it."""
        if not self._begin():
            return None
        watts = [
            self._ask(index, "power_w", partial(self._power, handle), {})
            for index, handle in enumerate(self._handles)
        ]
        return sum(watts) if watts and None not in watts else None

    def energy_j(self) -> float | None:
        """Return the energy counters of all GPUs together; None where one has none."""
        if not self._begin():
            return None
        joules = [
            self._ask(index, "energy_j", partial(self._energy, handle), {})
            for index, handle in enumerate(self._handles)
        ]
        return sum(joules) if joules and None not in joules else None

    def driver_version(self) -> str | None:
        """Return the driver's version; None without one."""
        if not self._begin():
            return None
        try:
            return _text(self._nvml.nvmlSystemGetDriverVersion())
        except self._nvml.NVMLError:
            return None

    def close(self) -> None:
        """Let go of the driver for good."""
        with self._lock:
            self._closed = True
            self.unavailable = "this reader is closed"
            if self._ready:
                self._ready = False
                self._handles = []
                try:
                    self._nvml.nvmlShutdown()
                except self._nvml.NVMLError:
                    return

    def _begin(self) -> bool:
        with self._lock:
            if self._ready or self._closed:
                return self._ready
            now = self._clock()
            if self._tried_at is not None and now - self._tried_at < RETRY_S:
                return False
            self._tried_at = now
            self.unavailable = self._open()
            self._ready = not self.unavailable
            return self._ready

    def _open(self) -> str:
        """Load NVML and find the GPUs; return why not."""
        if self._nvml is None:
            try:
                self._nvml = importlib.import_module("pynvml")
            except ImportError:
                return "nvidia-ml-py is not installed: pip install nvidia-ml-py"
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            return f"NVML cannot be used: {error}"
        try:
            count = self._nvml.nvmlDeviceGetCount()
            self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        except self._nvml.NVMLError as error:
            self._nvml.nvmlShutdown()
            return f"the GPUs cannot be listed: {error}"
        if not self._handles:
            self._nvml.nvmlShutdown()
            return "the driver knows no GPU"
        return ""

    def _sample(self, index: int, handle: Any) -> GpuSample:
        errors: dict[str, str] = {}

        def ask(signal: str, call: Callable[[], Any]) -> Any:
            return self._ask(index, signal, call, errors)

        nvml = self._nvml
        memory = ask("memory", lambda: self._memory(handle))
        util = ask("util", lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        fan = ask("fan", lambda: nvml.nvmlDeviceGetFanSpeed(handle))
        sm, mem = nvml.NVML_CLOCK_SM, nvml.NVML_CLOCK_MEM
        return GpuSample(
            index=index,
            name=ask("name", lambda: _text(nvml.nvmlDeviceGetName(handle))),
            uuid=ask("uuid", lambda: _text(nvml.nvmlDeviceGetUUID(handle))),
            util=None if util is None else util.gpu / 100,
            # 0 on a GB10 whatever happens there: it has no memory controller to count on.
            memory_util=None if util is None or memory is None else util.memory / 100,
            memory_total_bytes=None if memory is None else memory.total,
            memory_used_bytes=None if memory is None else memory.used,
            sm_clock_mhz=ask("sm_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(handle, sm)),
            sm_clock_max_mhz=ask(
                "sm_clock_max_mhz", lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, sm)
            ),
            memory_clock_mhz=ask(
                "memory_clock_mhz", lambda: _above_zero(nvml.nvmlDeviceGetClockInfo(handle, mem))
            ),
            temperature_c=ask(
                "temperature_c",
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            ),
            power_w=ask("power_w", lambda: self._power(handle)),
            power_limit_w=ask(
                "power_limit_w", lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
            ),
            energy_j=ask("energy_j", lambda: self._energy(handle)),
            pstate=ask("pstate", lambda: _pstate(nvml.nvmlDeviceGetPerformanceState(handle))),
            fan=None if fan is None else fan / 100,
            throttle=ask("throttle", lambda: self._throttle(handle)),
            processes=ask("processes", lambda: self._processes(handle)),
            errors=errors,
        )

    def _ask(self, index: int, signal: str, call: Callable[[], Any], errors: dict[str, str]) -> Any:
        known = self.capabilities.setdefault(index, {})
        if known.get(signal) == "not supported":
            return None
        try:
            value = call()
        except self._nvml.NVMLError_NotSupported:
            known[signal] = "not supported"
            return None
        except (self._nvml.NVMLError, AttributeError, TypeError, ValueError) as error:
            # A lost GPU, a missing right, a library of another age: told each time, asked again.
            errors[signal] = known[signal] = str(error)
            return None
        known[signal] = "ok" if value is not None else "not supported"
        return value

    def _memory(self, handle: Any) -> Any:
        nvml = self._nvml
        version = getattr(nvml, "nvmlMemory_v2", None)
        if version is not None:
            try:
                # The first version counts the driver's reserve as used: 480 MiB on an H100.
                return nvml.nvmlDeviceGetMemoryInfo(handle, version=version)
            except (nvml.NVMLError, TypeError):
                pass  # a driver or a library from before that version
        return nvml.nvmlDeviceGetMemoryInfo(handle)

    def _power(self, handle: Any) -> float:
        milliwatts: float = self._nvml.nvmlDeviceGetPowerUsage(handle)
        return milliwatts / 1000

    def _energy(self, handle: Any) -> float:
        millijoules: float = self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return millijoules / 1000

    def _throttle(self, handle: Any) -> tuple[str, ...]:
        nvml = self._nvml
        # The older name of the same question, which every driver knows, is to go.
        ask = getattr(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
        bits = (ask or nvml.nvmlDeviceGetCurrentClocksEventReasons)(handle)
        return tuple(reason for bit, reason in _THROTTLE.items() if bits & bit)

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...]:
        found: dict[int, int | None] = {}
        for call in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            try:
                running = call(handle)
            except self._nvml.NVMLError_NotSupported:
                if call is self._nvml.nvmlDeviceGetComputeRunningProcesses:
                    raise
                continue
            for one in running:
                # A process may be listed as both; its memory is the same memory.
                found[one.pid] = found.get(one.pid) or one.usedGpuMemory
        return tuple(
            GpuProcess(pid=pid, memory_bytes=memory) for pid, memory in sorted(found.items())
        )


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _above_zero(value: int) -> int | None:
    return value or None


def _pstate(value: int) -> int | None:
    return value if 0 <= value <= 15 else None
