"""The GPUs that a run is measured on: what they are, and what they did meanwhile."""

from __future__ import annotations

import threading
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from autosre_lab.bench.target import Target
from autosre_lab.metrics import Energy, GpuReader, GpuSample, PowerMeter

__all__ = ["GpuUse", "GpuWatch", "MeasuredGpu", "gpu_reader_for"]

_INTERVAL_S = 0.25


class GpuUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the GPUs did during a run.

    Attributes:
        energy: Of all of them; None where none of them tells it.
        joules_per_token: Over the run's output tokens.
        sm_clock_mhz: The lowest and the highest clock seen.
        temperature_c: The highest seen.
        memory_used_bytes: The highest seen, all GPUs together.
        util: Mean share of time in which a kernel ran.
        slowed_by: Reasons for a lower clock that were seen; being idle is none.
    """

    energy: Energy | None = None
    joules_per_token: float | None = None
    sm_clock_mhz: tuple[int, int] | None = None
    temperature_c: int | None = None
    memory_used_bytes: int | None = None
    util: float | None = None
    slowed_by: tuple[str, ...] = ()


class MeasuredGpu(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The GPUs of the machine that served; None for what they do not tell.

    Attributes:
        name: Of the first, as NVML gives it.
        count: How many there are.
        driver: Its version.
        memory_bytes: Of one.
        power_limit_w: The cap in force.
        sm_clock_max_mhz: Of the multiprocessors.
        memory_clock_mhz: Of the memory.
        use: What they did during the run.
    """

    name: str
    count: int = 1
    driver: str | None = None
    memory_bytes: int | None = None
    power_limit_w: float | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_mhz: int | None = None
    use: GpuUse = GpuUse()


def gpu_reader_for(target: Target) -> GpuReader | None:
    """Return a reader of the GPUs that answer, to be closed; None where they cannot be read here.

    The one rule: the engine needs a GPU, and it runs on this machine: at loopback, or as a process
    of vLLM that the driver here lists (a Pod of this node).
    """
    if target.badge != "gpu":
        return None
    reader = GpuReader()
    gpus = reader.read().gpus
    if gpus and (_is_loopback(target.engine_url or target.url) or any(map(_serves, gpus))):
        return reader
    reader.close()
    return None


class GpuWatch:
    """Reads the GPUs in threads of its own from its begin to its end.

    Args:
        reader: From `gpu_reader_for`; closed at the end. None watches nothing.
    """

    def __init__(self, reader: GpuReader | None) -> None:
        self._reader = reader
        self._meter: PowerMeter | None = None
        self._seen: list[tuple[GpuSample, ...]] = []
        self._driver: str | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._reader is not None:
            self._driver = self._reader.driver_version()
            self._seen.append(self._reader.read().gpus)
            self._meter = PowerMeter(
                self._reader.power_w, energy_j=self._reader.energy_j, interval_s=_INTERVAL_S
            )
            self._thread = threading.Thread(target=self._run, name="gpu-watch", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5.0)
        if self._meter is not None:
            self._meter.stop()
        if self._reader is not None:
            self._reader.close()

    def result(self, start_ns: int, end_ns: int, *, tokens: int) -> MeasuredGpu | None:
        """Return the GPUs and what they did in a stretch of time; to be asked before the end.

        Args:
            start_ns: Its begin, on `time.perf_counter_ns`, after the watch's.
            end_ns: Its end.
            tokens: Output tokens generated in it.
        """
        if self._reader is None or self._meter is None:
            return None
        self._seen.append(self._reader.read().gpus)
        seen = [gpus for gpus in self._seen if gpus]
        if not seen:
            return None
        energy = self._meter.energy(start_ns, end_ns)
        first = seen[0][0]
        return MeasuredGpu(
            name=first.name or "a GPU without a name",
            count=len(seen[0]),
            driver=self._driver,
            memory_bytes=first.memory_total_bytes,
            power_limit_w=first.power_limit_w,
            sm_clock_max_mhz=first.sm_clock_max_mhz,
            memory_clock_mhz=first.memory_clock_mhz,
            use=_use(seen, energy, tokens),
        )

    def _run(self) -> None:
        assert self._reader is not None  # noqa: S101 - the thread is started with one only
        while not self._ended.wait(_INTERVAL_S):
            self._seen.append(self._reader.read().gpus)


def _use(seen: list[tuple[GpuSample, ...]], energy: Energy | None, tokens: int) -> GpuUse:
    every = [gpu for gpus in seen for gpu in gpus]
    clocks = [one.sm_clock_mhz for one in every if one.sm_clock_mhz is not None]
    warmth = [one.temperature_c for one in every if one.temperature_c is not None]
    shares = [one.util for one in every if one.util is not None]
    memory = [
        sum(gpu.memory_used_bytes or 0 for gpu in gpus)
        for gpus in seen
        if any(gpu.memory_used_bytes is not None for gpu in gpus)
    ]
    reasons = dict.fromkeys(reason for one in every for reason in one.slowed_by or ())
    return GpuUse(
        energy=energy,
        joules_per_token=energy.joules / tokens if energy is not None and tokens else None,
        sm_clock_mhz=(min(clocks), max(clocks)) if clocks else None,
        temperature_c=max(warmth, default=None),
        memory_used_bytes=max(memory, default=None),
        util=sum(shares) / len(shares) if shares else None,
        slowed_by=tuple(reasons),
    )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _serves(gpu: GpuSample) -> bool:
    """Whether a process of vLLM works on a GPU, as far as this user may see processes."""
    import psutil

    for one in gpu.processes or ():
        try:
            if "vllm" in " ".join(psutil.Process(one.pid).cmdline()).lower():
                return True
        except psutil.Error:
            continue
    return False
