"""GPUs are read as far as they tell, and no further."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import msgspec
import pytest

from autosre_lab.metrics.gpu import RETRY_S, GpuReader, GpuReading
from tests.metrics.fake_nvml import (
    GIB,
    FakeNvml,
    GpuLostError,
    NoLibraryError,
    data_centre,
    gb10,
)
from tests.support.h100 import facts


def test_a_gb10_tells_no_memory_but_power_clock_and_processes() -> None:
    reader = GpuReader(gb10())
    (gpu,) = reader.read().gpus
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes, gpu.memory_util) == (None, None, None)
    assert (gpu.memory_clock_mhz, gpu.power_limit_w, gpu.fan) == (None, None, None)
    assert (gpu.util, gpu.sm_clock_mhz, gpu.temperature_c) == (0.96, 2405, 67)
    assert (gpu.power_w, gpu.energy_j) == (42.31, 1234.567)
    assert gpu.process_memory_bytes == 61 * GIB + 200 * 2**20, "listed twice, used once"
    assert gpu.throttle == ("software power cap", "software thermal")
    assert gpu.errors == {}
    told = reader.capabilities[0]
    assert {signal for signal, state in told.items() if state == "not supported"} == {
        "memory",
        "memory_clock_mhz",
        "power_limit_w",
        "fan",
    }
    assert told["power_w"] == "ok"


def test_a_data_centre_gpu_tells_everything() -> None:
    reading = GpuReader(data_centre()).read()
    assert len(reading.gpus) == 2
    gpu = reading.gpus[1]
    assert gpu.index == 1
    assert gpu.name == "NVIDIA H100 80GB HBM3"
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (80 * GIB, 72 * GIB)
    assert (gpu.memory_util, gpu.memory_clock_mhz, gpu.power_limit_w) == (0.61, 2619, 700)
    assert gpu.throttle == ("idle",)
    assert gpu.slowed_by == ()
    assert gpu.process_memory_bytes == 71 * GIB, "one process does not tell its memory"


def test_what_is_not_supported_is_asked_once() -> None:
    nvml = gb10()
    reader = GpuReader(nvml)
    reader.read()
    nvml.calls.clear()
    reader.read()
    assert "MemoryInfo" not in nvml.calls
    assert "PowerUsage" in nvml.calls


def test_a_lost_gpu_is_an_error_of_each_signal_and_comes_back() -> None:
    nvml = gb10(PowerUsage=GpuLostError("GPU is lost"))
    reader = GpuReader(nvml)
    (gpu,) = reader.read().gpus
    assert gpu.power_w is None
    assert gpu.errors == {"power_w": "GPU is lost"}
    assert gpu.temperature_c == 67
    nvml.answers["PowerUsage"] = 9000
    (gpu,) = reader.read().gpus
    assert gpu.power_w == 9.0
    assert gpu.errors == {}


def test_power_of_several_gpus_is_summed_and_of_a_silent_one_unknown() -> None:
    assert GpuReader(data_centre()).power_w() == 1224
    assert GpuReader(data_centre(PowerUsage=GpuLostError("lost"))).power_w() is None


@pytest.mark.parametrize(
    ("nvml", "why"),
    [
        (FakeNvml({"init": NoLibraryError("NVML Shared Library Not Found")}), "Not F"),
        (FakeNvml({}, gpus=0), "no GPU"),
    ],
)
def test_without_a_gpu_everything_works_and_says_why_there_is_nothing(
    nvml: FakeNvml, why: str
) -> None:
    reader = GpuReader(nvml)
    reading = reader.read()
    assert reading.gpus == ()
    assert why in reading.unavailable
    assert reader.power_w() is None
    assert reader.energy_j() is None
    assert reader.driver_version() is None
    reader.close()
    assert nvml.open == 0


def test_without_nvidia_ml_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install nvidia-ml-py" in GpuReader().read().unavailable


def test_the_real_library_answers_on_this_machine_whatever_it_has() -> None:
    reader = GpuReader()
    reading = reader.read()
    reader.close()
    assert bool(reading.gpus) != bool(reading.unavailable)
    assert msgspec.json.decode(msgspec.json.encode(reading), type=GpuReading) == reading


def test_a_driver_that_comes_up_later_is_found() -> None:
    now = [0.0]
    nvml = gb10(init=NoLibraryError("no"))
    reader = GpuReader(nvml, clock=lambda: now[0])
    del nvml.answers["init"]
    assert reader.read().gpus == ()
    now[0] = RETRY_S
    assert len(reader.read().gpus) == 1
    reader.close()
    assert reader.read().unavailable == "this reader is closed"
    assert nvml.open == 0


def test_a_sample_goes_through_json_unchanged() -> None:
    for nvml in (gb10(), data_centre()):
        reading = GpuReader(nvml).read()
        assert msgspec.json.decode(msgspec.json.encode(reading), type=GpuReading) == reading


def test_memory_in_use_is_what_nvidia_smi_shows() -> None:
    said = facts()
    smi = {name: mib * 2**20 for name, mib in said["smi_memory_mib"].items()}
    both = {"MemoryInfo": SimpleNamespace(total=smi["total"], used=smi["used"] + smi["reserved"])}
    assert both["MemoryInfo"].used == pytest.approx(
        said["reading"]["gpus"][0]["memory_used_bytes"], abs=2**20
    )
    v2 = SimpleNamespace(total=smi["total"], used=smi["used"], reserved=smi["reserved"])
    (new, _) = GpuReader(data_centre(**both, MemoryInfo_v2=v2)).read().gpus
    assert (new.memory_used_bytes, new.memory_total_bytes) == (smi["used"], smi["total"])
    (old, _) = GpuReader(data_centre(**both)).read().gpus
    assert old.memory_used_bytes == smi["used"] + smi["reserved"], "a driver without version 2"


def test_a_library_of_another_age_costs_the_one_signal_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml = data_centre(CurrentClocksEventReasons=0x4)
    nvml.missing = (
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
    )

    def first_version_only(handle: str) -> SimpleNamespace:
        return SimpleNamespace(total=80 * GIB, used=72 * GIB)

    monkeypatch.setattr(nvml, "nvmlDeviceGetMemoryInfo", first_version_only)
    reader = GpuReader(nvml)
    gpu = reader.read().gpus[0]
    assert (gpu.memory_used_bytes, gpu.power_w) == (72 * GIB, 612)
    assert gpu.throttle == ("software power cap",)
    assert gpu.energy_j is None
    assert list(gpu.errors) == ["energy_j"]
    assert reader.energy_j() is None
