"""A card says on which GPUs it was measured, and what they did."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import msgspec
import pytest

from autosre_lab.bench.card_text import gpu_text
from autosre_lab.bench.gpu_use import GpuWatch, MeasuredGpu, gpu_reader_for
from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.target import Target
from autosre_lab.metrics import GpuReader
from autosre_lab.scripted.chat_engine import Turn
from tests.bench.sessions import target_at, workload
from tests.bench.test_measure import scripted
from tests.metrics.fake_nvml import GIB, FakeNvml, data_centre, gb10, process

LOCAL = msgspec.structs.replace(target_at("http://127.0.0.1:9"), badge="gpu")
ELSEWHERE = msgspec.structs.replace(LOCAL, url="http://10.96.0.31:8011")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """Two H100 of this machine."""
    fake = data_centre(sm_clock=1755)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def watched(fake: FakeNvml, *, tokens: int = 100) -> MeasuredGpu:
    with GpuWatch(GpuReader(fake)) as watch:
        begin = time.perf_counter_ns()
        found = watch.result(begin, time.perf_counter_ns(), tokens=tokens)
    assert found is not None
    assert fake.open == 0, "the driver is let go"
    return found


def test_a_card_of_a_gpu_has_its_facts(driver: FakeNvml) -> None:
    with scripted(*[Turn(text="one two three four")] * 20) as upstream:
        target = msgspec.structs.replace(target_at(upstream.url), badge="gpu")
        result = run_benchmark(workload(), target, Plan(check_tokens=0))
    gpu = result.gpu
    assert gpu is not None
    assert (gpu.name, gpu.count, gpu.driver) == ("NVIDIA H100 80GB HBM3", 2, "580.95.05")
    assert (gpu.memory_bytes, gpu.power_limit_w) == (80 * GIB, 700)
    assert (gpu.sm_clock_max_mhz, gpu.memory_clock_mhz) == (1980, 2619)
    assert gpu.use.sm_clock_mhz == (1755, 1755)
    assert gpu.use.slowed_by == ()
    assert gpu.use.energy is not None
    assert gpu.use.energy.mean_w == pytest.approx(1224)
    assert gpu.use.joules_per_token == gpu.use.energy.joules / result.summary.output_tokens
    assert driver.open == 0
    text = gpu_text(gpu)
    for told in ("2 x NVIDIA H100", "driver 580", "80.0 GiB", "limit 700 W", "1755", "not slowed"):
        assert told in text


def test_a_gpu_that_was_slowed_makes_a_card_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", gb10())
    with scripted(*[Turn(text="one two three four")] * 20) as upstream:
        target = msgspec.structs.replace(target_at(upstream.url), badge="gpu")
        result = run_benchmark(workload(), target, Plan(check_tokens=0))
    assert any("software thermal" in one for one in result.warnings)


def test_what_a_gb10_does_not_tell_is_left_out() -> None:
    found = watched(gb10())
    assert (found.memory_bytes, found.power_limit_w, found.use.memory_used_bytes) == (None,) * 3
    text = gpu_text(found)
    assert "GiB" not in text
    assert "limit" not in text
    assert found.use.slowed_by == ("software power cap", "software thermal")


def test_without_tokens_there_is_no_energy_of_one() -> None:
    assert watched(data_centre(), tokens=0).use.joules_per_token is None


@pytest.fixture
def a_vllm_process() -> Iterator[int]:
    ended = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "VLLM::Engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert ended.stdout is not None
    ended.stdout.readline()
    yield ended.pid
    ended.kill()
    ended.communicate()


def test_one_rule_says_whose_gpu_is_read(driver: FakeNvml, a_vllm_process: int) -> None:
    def asked(target: Target) -> bool:
        reader = gpu_reader_for(target)
        if reader is not None:
            reader.close()
        return reader is not None

    assert asked(LOCAL)
    assert asked(msgspec.structs.replace(LOCAL, url="http://[::1]:9"))
    assert not asked(msgspec.structs.replace(LOCAL, badge="scripted"))
    assert not asked(msgspec.structs.replace(LOCAL, badge="cpu-engine"))
    assert not asked(ELSEWHERE), "the operator's own GPU served nothing"
    driver.answers["ComputeRunningProcesses"] = [process(a_vllm_process, GIB)]
    assert asked(ELSEWHERE), "a Pod of this node"
    assert driver.open == 0


def test_no_gpu_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml({}, gpus=0))
    assert gpu_reader_for(LOCAL) is None


def test_the_highest_and_the_lowest_are_kept() -> None:
    fake = data_centre()
    with GpuWatch(GpuReader(fake)) as watch:
        begin = time.perf_counter_ns()
        fake.answers |= {
            "sm_clock": 900,
            "temperature": 91,
            "CurrentClocksThrottleReasons": 0x40,
            "MemoryInfo": SimpleNamespace(total=80 * GIB, used=79 * GIB),
        }
        found = watch.result(begin, time.perf_counter_ns(), tokens=1)
    assert found is not None
    assert found.use.sm_clock_mhz == (900, 1980)
    assert found.use.temperature_c == 91
    assert found.use.memory_used_bytes == 2 * 79 * GIB
    assert found.use.slowed_by == ("hardware thermal",)
