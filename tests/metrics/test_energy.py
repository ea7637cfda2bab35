"""Energy is the area under the power, over exactly the stretch that was asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.metrics import GpuReader
from autosre_lab.metrics.energy import PowerMeter, integrated_energy_j
from tests.metrics.fake_nvml import data_centre

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


def test_a_stretch_that_begins_with_the_meter_has_an_energy() -> None:
    # As documented: on an H100 the first of five such stretches had none.
    gpu = GpuReader(data_centre())
    for _ in range(50):
        with PowerMeter(gpu.power_w, energy_j=gpu.energy_j) as meter:
            begin = time.perf_counter_ns()
            used = meter.energy(begin, time.perf_counter_ns())
        assert used is not None
        assert used.mean_w == pytest.approx(1224)


def test_a_driver_that_is_slow_to_answer_costs_no_energy() -> None:
    asked = threading.Event()

    def power_w() -> float:
        if asked.is_set():
            time.sleep(0.7)
        asked.set()
        return 50.0

    with PowerMeter(power_w, interval_s=0.01) as meter:
        begin = time.perf_counter_ns()
        used = meter.energy(begin, time.perf_counter_ns())
    assert used is not None
    assert used.mean_w == pytest.approx(50)


def test_without_power_the_energy_counter_tells() -> None:
    def energy_j() -> float:
        return time.perf_counter_ns() / 1e9 * 50

    with PowerMeter(lambda: None, energy_j=energy_j, interval_s=0.01) as meter:
        begin = time.perf_counter_ns()
        while time.perf_counter_ns() < begin + SECOND // 50:
            time.sleep(0.001)
        used = meter.energy(begin, time.perf_counter_ns())
    assert used is not None
    assert used.readings == 0
    assert used.joules == used.counter_j == pytest.approx(50 * used.seconds, rel=0.2)


def test_a_meter_of_nothing_has_no_energy() -> None:
    with PowerMeter(lambda: None, interval_s=0.01) as meter:
        begin = time.perf_counter_ns()
        assert meter.energy(begin, time.perf_counter_ns()) is None
