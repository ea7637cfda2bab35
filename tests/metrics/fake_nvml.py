"""Modules that behave like `pynvml` on a GB10 and on a data-centre GPU.

The names, the errors and the units are those of nvidia-ml-py; what a GB10 answers is what its
owners report (memory, power limit, fan, memory clock: not supported).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

GIB = 2**30


class NVMLError(Exception):
    """As in pynvml, there with its prefix."""


class NotSupportedError(NVMLError):
    """As in pynvml, there with its prefix."""


class GpuLostError(NVMLError):
    """As in pynvml, there with its prefix."""


class NoLibraryError(NVMLError):
    """As in pynvml, there with its prefix."""


class FakeNvml:
    """One driver with some GPUs of one kind."""

    NVMLError = NVMLError
    NVMLError_NotSupported = NotSupportedError
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0
    nvmlMemory_v2 = 0x02000028  # noqa: N815 - as pynvml calls it

    def __init__(self, answers: dict[str, Any], *, gpus: int = 1) -> None:
        self.answers = answers
        self.gpus = gpus
        self.missing: tuple[str, ...] = ()
        self.calls: list[str] = []
        self.open = 0

    def nvmlInit(self) -> None:
        if "init" in self.answers:
            raise self.answers["init"]
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"handle {index}"

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.95.05"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> Any:
        return self._answer("sm_clock" if kind == self.NVML_CLOCK_SM else "memory_clock")

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> Any:
        return self._answer("sm_clock_max")

    def nvmlDeviceGetTemperature(self, handle: str, kind: int) -> Any:
        return self._answer("temperature")

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> Any:
        return self._answer("MemoryInfo_v2" if version == self.nvmlMemory_v2 else "MemoryInfo")

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvmlDeviceGet") or name in self.missing:
            raise AttributeError(name)
        return lambda handle: self._answer(name.removeprefix("nvmlDeviceGet"))

    def _answer(self, name: str) -> Any:
        self.calls.append(name)
        value = self.answers.get(name, NotSupportedError("Not Supported"))
        if isinstance(value, Exception):
            raise value
        return value


def process(pid: int, memory: int | None) -> SimpleNamespace:
    """Return a process as NVML lists it."""
    return SimpleNamespace(pid=pid, usedGpuMemory=memory)


def gb10(**other: Any) -> FakeNvml:
    """Return the driver of a DGX Spark."""
    return FakeNvml(
        {
            "Name": "NVIDIA GB10",
            "UUID": "GPU-gb10",
            "UtilizationRates": SimpleNamespace(gpu=96, memory=0),
            "sm_clock": 2405,
            "sm_clock_max": 3003,
            "memory_clock": 0,
            "temperature": 67,
            "PowerUsage": 42_310,
            "TotalEnergyConsumption": 1_234_567,
            "PerformanceState": 0,
            "CurrentClocksThrottleReasons": 0x4 | 0x20,
            "ComputeRunningProcesses": [process(4242, 61 * GIB)],
            "GraphicsRunningProcesses": [process(900, 200 * 2**20), process(4242, 61 * GIB)],
            **other,
        }
    )


def data_centre(**other: Any) -> FakeNvml:
    """Return the driver of a machine with two cards that tell everything."""
    return FakeNvml(
        {
            "Name": b"NVIDIA H100 80GB HBM3",
            "UUID": b"GPU-h100",
            "MemoryInfo": SimpleNamespace(total=80 * GIB, used=72 * GIB, free=8 * GIB),
            "UtilizationRates": SimpleNamespace(gpu=99, memory=61),
            "sm_clock": 1980,
            "sm_clock_max": 1980,
            "memory_clock": 2619,
            "temperature": 54,
            "PowerUsage": 612_000,
            "EnforcedPowerLimit": 700_000,
            "TotalEnergyConsumption": 9_876_543_210,
            "PerformanceState": 0,
            "FanSpeed": NotSupportedError("Not Supported"),
            "CurrentClocksThrottleReasons": 0x1,
            "ComputeRunningProcesses": [process(77, 71 * GIB), process(78, None)],
            "GraphicsRunningProcesses": [],
            **other,
        },
        gpus=2,
    )
