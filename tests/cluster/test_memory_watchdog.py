"""The engine is ended before the host dies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from autosre_lab.cluster.gpu_gate import GIB
from autosre_lab.cluster.memory_watchdog import watch_memory
from autosre_lab.errors import KubeError, RolloutError
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.objects import deployment
from tests.cluster.test_gpu_gate import meminfo

QUICK_S = 0.005


class Memory:
    """A node whose memory the test sets."""

    def __init__(self) -> None:
        self.why = "exec failed"
        self.available_gib: float | None = 100.0
        self.looks = 0

    def meminfo(self) -> str | None:
        self.looks += 1
        return None if self.available_gib is None else meminfo(self.available_gib)

    def compute_processes(self) -> str | None:
        return None

    def devices(self) -> str | None:
        return None


def awaited(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "not in 10 s"
        time.sleep(0.002)


def running() -> FakeKube:
    kube = FakeKube(FakeCluster())
    kube.apply(deployment())
    kube.cluster.advance(10)
    return kube


def replicas(kube: FakeKube) -> int:
    live = kube.get("Deployment", "vllm")
    assert live is not None
    return int(live["spec"]["replicas"])


def test_enough_memory_ends_nothing_and_the_least_is_remembered() -> None:
    kube, memory = running(), Memory()
    with watch_memory(kube, "vllm", memory, every_s=QUICK_S) as watchdog:
        memory.available_gib = 40
        awaited(lambda: watchdog.least_bytes == 40 * GIB)
        memory.available_gib = 60
        looks = memory.looks
        awaited(lambda: memory.looks > looks + 3)
        watchdog.check()
    assert watchdog.least_bytes == 40 * GIB
    assert replicas(kube) == 1


def test_too_little_memory_ends_the_engine_for_good_and_says_so() -> None:
    kube, memory = running(), Memory()
    with watch_memory(kube, "vllm", memory, every_s=QUICK_S) as watchdog:
        memory.available_gib = 2.5
        awaited(lambda: watchdog.ended_at_bytes is not None)
        with pytest.raises(RolloutError, match=r"only 2.5 GiB of the host's memory") as told:
            watchdog.check()
    assert told.value.reason == "HostMemory"
    assert "gpu-memory-utilization" in told.value.remedy
    assert replicas(kube) == 0
    kube.cluster.advance(2)
    assert kube.find("Pod") == []


def test_one_low_look_is_no_danger() -> None:
    kube, memory = running(), Memory()
    lows = iter([2.0])
    read = memory.meminfo
    memory.meminfo = lambda: meminfo(next(lows, 50.0)) if read() else None  # type: ignore[method-assign]
    with watch_memory(kube, "vllm", memory, every_s=QUICK_S) as watchdog:
        awaited(lambda: memory.looks > 5)
        watchdog.check()
    assert replicas(kube) == 1


def test_a_server_that_is_silent_just_then_is_asked_again() -> None:
    kube, memory = running(), Memory()
    cluster = kube.cluster
    silent = KubeError("no answer", remedy="-", status=503)
    cluster.refuse = lambda *_: silent
    with watch_memory(kube, "vllm", memory, every_s=QUICK_S) as watchdog:
        memory.available_gib = 1
        asked = len(cluster.requests)
        awaited(lambda: len(cluster.requests) > asked + 2)
        assert watchdog.ended_at_bytes is None
        cluster.refuse = lambda *_: None
        awaited(lambda: watchdog.ended_at_bytes is not None)
    assert replicas(kube) == 0


def test_a_watchdog_that_cannot_see_says_so_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kube, memory = running(), Memory()
    memory.available_gib = None
    logging.getLogger("autosre_lab").addHandler(caplog.handler)
    try:
        with watch_memory(kube, "vllm", memory, every_s=QUICK_S):
            awaited(lambda: memory.looks > 8)
    finally:
        logging.getLogger("autosre_lab").removeHandler(caplog.handler)
    said = [record for record in caplog.records if "cannot be read" in record.message]
    assert said
    assert "exec failed" in said[0].message
    assert replicas(kube) == 1


def test_its_thread_ends_with_the_block() -> None:
    kube, memory = running(), Memory()
    with watch_memory(kube, "vllm", memory, every_s=QUICK_S):
        assert "memory-watchdog" in {thread.name for thread in threading.enumerate()}
    assert "memory-watchdog" not in {thread.name for thread in threading.enumerate()}
