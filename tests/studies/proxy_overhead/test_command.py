from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autosre_lab.bench.processes import MeasuredProcess, _exact_cpu_s, free_port, running
from autosre_lab.errors import ServiceCrashedError
from autosre_lab.studies.proxy_overhead.command import figures, report
from autosre_lab.studies.proxy_overhead.phases import Burst, StreamRun, Throughput
from autosre_lab.studies.proxy_overhead.run import (
    DIRECT,
    OURS,
    QUICK,
    Measured,
    Results,
    StudyPlan,
    run_benchmark,
)

TINY = StudyPlan(
    ttft_rounds=3,
    ttft_warm_up=1,
    ttft_chunks=2,
    cpu_rounds=1,
    requests=Burst(requests=2, concurrency=1, chunks=1),
    burst=Burst(requests=4, concurrency=2, chunks=150),
    paced=Burst(requests=2, concurrency=2, chunks=5),
    pace_ms=5,
    streams=Burst(requests=8, concurrency=8, chunks=3),
    streams_pace_ms=5,
)


def measured(version: str, ttft_ms: float) -> Measured:
    rounds = Throughput(cpu_s=[0.01, 0.03], wall_s=[1.0, 1.0], chunks=[1000, 1000])
    return Measured(
        version=version,
        ttft_ms={"small": [ttft_ms] * 5, "claude": [2 * ttft_ms] * 5},
        cpu={"small": rounds, "agent": rounds, "burst": rounds, "paced": rounds},
        rss_mb={"ttft": 40.0, "burst": 60.0},
        streams=StreamRun(
            asked=5, completed=5, peak=5, wall_s=1.0, cpu_s=0.1, rss_mb=61.0, faults=[]
        ),
    )


def some_results() -> Results:
    return Results(
        date="2026-11-23T12:00:00+00:00",
        machine={
            "cores": 2,
            "cpu": "a CPU",
            "system": "Linux",
            "python": "3.11",
            "node": None,
            "load_average": (0.5, 0.5, 0.5),
            "load_average_after": (1.5, 0.5, 0.5),
        },
        plan=QUICK,
        contenders={DIRECT: measured("", 0.5), OURS: measured("1.0", 1.5)},
    )


def test_figures_are_what_is_added_to_the_direct_way() -> None:
    direct, ours = figures(some_results())

    assert direct.small is None
    assert ours.small is not None
    assert ours.claude is not None
    assert (ours.small.p50_ms, ours.claude.p50_ms) == (1.0, 2.0)
    assert ours.burst_us == pytest.approx(20.0)
    assert ours.rss_mb == 60.0


def test_the_report_says_where_and_how_often_it_was_measured() -> None:
    text = report(some_results())

    assert "2 cores, a CPU" in text
    assert "load average 0.5 before, 1.5 after" in text
    assert "n = 100" in text
    assert "target missed: burst_us is 20.0, the target 15" in text


def test_the_report_cuts_a_long_list_of_faults() -> None:
    results = some_results()
    results.ttft_faults += [f"round {number}" for number in range(12)]

    text = report(results)

    assert "fault: round 4" in text
    assert "round 5" not in text
    assert "and 7 more" in text


def test_a_contender_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo no such model; exit 3"]

    with (
        pytest.raises(ServiceCrashedError, match="no such model") as caught,
        running(
            "broken",
            command,
            env=None,
            log=tmp_path / "log",
            port=free_port(),
            ready_path="/",
            timeout_s=20,
        ),
    ):
        pass

    assert caught.value.exit_code == 3


def test_cpu_time_is_counted_finer_than_the_kernels_ticks(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    with process:
        measured = MeasuredProcess("idle", process, tmp_path / "log")
        before = time.process_time()
        assert _exact_cpu_s(os.getpid()) >= before
        assert _exact_cpu_s(os.getpid()) <= time.process_time()
        used = psutil.Process(process.pid).cpu_times()
        assert measured.cpu_s() >= used.user + used.system
    assert measured.cpu_s() == 0.0


def test_our_proxy_is_measured_from_end_to_end(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    results = run_benchmark(TINY, run_folder=tmp_path)

    assert results.ttft_faults == []
    for raw in results.contenders.values():
        assert [len(samples) for samples in raw.ttft_ms.values()] == [3, 3]
        assert [fault for rounds in raw.cpu.values() for fault in rounds.faults] == []
        assert raw.cpu["burst"].chunks == [4 * 150]
        assert raw.cpu["small"].chunks == raw.cpu["agent"].chunks == [2]
        assert raw.streams is not None
        assert (raw.streams.completed, raw.streams.faults) == (8, [])
    assert json.loads(results.to_json())["contenders"][OURS]["ttft_ms"]["claude"]
    assert OURS in report(results)
    begun = set(psutil.Process().children(recursive=True)) - before
    assert psutil.wait_procs(begun, timeout=10)[1] == []
