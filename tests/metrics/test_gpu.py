"""GPUs are read as far as they tell, and no further."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.metrics.energy import PowerMeter, integrated_energy_j
from autosre_lab.metrics.gpu import RETRY_S, GpuReader, GpuReading
from tests.metrics.fake_nvml import (
    GIB,
    FakeNvml,
    GpuLostError,
    NoLibraryError,
    data_centre,
    gb10,
)


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
    assert "autosre-lab[gpu]" in GpuReader().read().unavailable


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


SECOND = 10**9


def test_energy_is_the_area_under_the_readings_over_the_stretch_only() -> None:
    readings = [(0, 10.0), (SECOND, 10.0), (2 * SECOND, 30.0), (3 * SECOND, 30.0)]
    assert integrated_energy_j(readings, 0, 3 * SECOND) == pytest.approx(10 + 20 + 30)
    assert integrated_energy_j(readings, SECOND + SECOND // 2, 2 * SECOND) == pytest.approx(
        (20 + 30) / 2 * 0.5
    )
    assert integrated_energy_j(readings, SECOND // 4, SECOND // 2) == pytest.approx(2.5)


def test_energy_without_readings_around_or_in_it_is_unknown() -> None:
    readings = [(SECOND, 10.0), (2 * SECOND, 10.0), (9 * SECOND, 10.0)]
    assert integrated_energy_j(readings, 0, 2 * SECOND) is None
    assert integrated_energy_j(readings, SECOND, 10 * SECOND) is None
    assert integrated_energy_j(readings, SECOND, 3 * SECOND) is None, "7 s without a reading"
    assert integrated_energy_j(readings, SECOND, 3 * SECOND, max_gap_s=8) == pytest.approx(20)
    assert integrated_energy_j(readings, SECOND, SECOND) is None
    assert integrated_energy_j([], 0, 1) is None


@given(
    st.lists(st.floats(0, 1000), min_size=3, max_size=30),
    st.data(),
)
def test_energy_of_parts_adds_up_to_the_whole(watts: list[float], data: Any) -> None:
    readings = [(i * SECOND, w) for i, w in enumerate(watts)]
    end = readings[-1][0]
    middle = data.draw(st.integers(1, end - 1))
    parts = [
        integrated_energy_j(readings, 0, middle),
        integrated_energy_j(readings, middle, end),
    ]
    whole = integrated_energy_j(readings, 0, end)
    assert None not in (*parts, whole)
    assert sum(part or 0 for part in parts) == pytest.approx(whole, abs=1e-6)
    assert min(watts) * end / SECOND - 1e-6 <= (whole or 0) <= max(watts) * end / SECOND + 1e-6


def test_a_meter_reads_on_and_answers_for_a_stretch() -> None:
    counter = [0.0]

    def energy_j() -> float:
        counter[0] = time.perf_counter_ns() / 1e9 * 50
        return counter[0]

    with PowerMeter(lambda: 50.0, energy_j=energy_j, interval_s=0.01) as meter:
        assert meter.energy(time.perf_counter_ns() - 10 * SECOND, time.perf_counter_ns()) is None
        while len(meter.samples()) < 3:
            time.sleep(0.001)
        begin = time.perf_counter_ns()
        while time.perf_counter_ns() < begin + SECOND // 10:
            time.sleep(0.005)
        end = time.perf_counter_ns()
        used = meter.energy(begin, end)
    assert used is not None
    assert used.joules == pytest.approx(50 * used.seconds)
    assert used.mean_w == pytest.approx(50)
    assert used.readings >= 3
    assert used.counter_j == pytest.approx(used.joules, rel=0.2)


def test_a_meter_survives_a_reading_that_fails() -> None:
    answers: Iterator[float | Exception] = iter([1.0, RuntimeError("driver"), 1.0])

    def power_w() -> float | None:
        answer = next(answers, 1.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with PowerMeter(power_w, interval_s=0.001) as meter:
        deadline = time.monotonic() + 5
        while len(meter.samples()) < 4 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(meter.samples()) >= 4
