"""The gate before a start: what it cannot tell, it does not let pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.cluster.gpu_gate import (
    GIB,
    check_allocation,
    check_gate,
    parse_compute_processes,
    parse_devices,
    parse_meminfo,
    wait_gate,
)
from autosre_lab.cluster.kube import Object
from autosre_lab.errors import GpuGateError
from autosre_lab.recipe import Recipe
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.objects import deployment
from tests.cluster.recipes import cpu_recipe, gpu_recipe

GB10 = "NVIDIA GB10, [N/A], [N/A]\n"


def meminfo(available_gib: float, total_gib: float = 120) -> str:
    return (
        f"MemTotal: {int(total_gib * 2**20)} kB\nMemFree: 1000 kB\n"
        f"MemAvailable: {int(available_gib * 2**20)} kB\nSwapTotal: 0 kB\n"
    )


class Probe:
    """A node that says one thing after the other, and the last for ever."""

    def __init__(
        self,
        memory: Sequence[str | None] = (),
        processes: Sequence[str | None] = (),
        devices: str | None = GB10,
    ) -> None:
        self.why = "it does not say"
        self._memory = _then_for_ever(memory or [meminfo(110)])
        self._processes = _then_for_ever(processes or [""])
        self._devices = devices

    def meminfo(self) -> str | None:
        return next(self._memory)

    def compute_processes(self) -> str | None:
        return next(self._processes)

    def devices(self) -> str | None:
        return self._devices


def _then_for_ever(texts: Sequence[str | None]) -> Iterator[str | None]:
    return chain(texts, repeat(texts[-1]))


def gate(probe: Probe, recipe: Recipe | None = None, kube: FakeKube | None = None) -> float:
    """Wait at the gate; return how long that took."""
    kube = kube or FakeKube(FakeCluster())
    (node,) = kube.find("Node")
    before = kube.cluster.time
    wait_gate(recipe or gpu_recipe(), kube, node, probe, clock=kube.cluster.clock)
    return kube.cluster.time - before


def refused(
    probe: Probe, recipe: Recipe | None = None, kube: FakeKube | None = None
) -> GpuGateError:
    with pytest.raises(GpuGateError) as told:
        gate(probe, recipe, kube)
    return told.value


def test_a_free_node_passes_after_three_looks_two_seconds_apart() -> None:
    assert gate(Probe()) == 4


def test_memory_that_comes_back_in_steps_is_waited_for() -> None:
    assert gate(Probe([meminfo(20), meminfo(40), meminfo(70), meminfo(90)])) == 8


def test_one_busy_look_begins_the_count_anew() -> None:
    assert gate(Probe(processes=["", "", "77, python3, 100\n", ""])) == 10


def test_memory_that_falls_between_two_looks_is_not_free() -> None:
    falling = [meminfo(gib) for gib in (110, 100, 90, 80)]
    assert gate(Probe(falling)) == 12


def test_unified_memory_must_hold_the_engine_s_share_and_the_host_s_own() -> None:
    # Half of 120 GiB for the engine, 8 for the host.
    assert gate(Probe([meminfo(69)])) == 4
    error = refused(Probe([meminfo(67)]))
    assert error.state == "busy"
    assert "67.0 GiB of unified memory are free, 68.0 GiB are needed" in error.message


def test_page_cache_is_no_hindrance_but_somebody_should_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert gate(Probe([meminfo(110)])) == 4
    assert "drop_caches" in caplog.text
    caplog.clear()
    assert gate(Probe([meminfo(110).replace("MemFree: 1000 kB", "MemFree: 99999999 kB")])) == 4
    assert caplog.text == ""


def test_a_device_with_memory_of_its_own_is_asked_itself() -> None:
    card = "NVIDIA H100, 81559, 81000\n"
    assert gate(Probe([meminfo(4)], devices=card)) == 4
    error = refused(Probe([meminfo(100)], devices="NVIDIA H100, 81559, 20000\n"))
    assert "the GPU's memory" in error.message


def test_a_process_that_stays_on_the_gpu_is_named() -> None:
    error = refused(Probe(processes=["4242, VLLM::EngineCore, 55000\n"]))
    assert error.state == "busy"
    assert "VLLM::EngineCore (pid 4242, 55000 MiB)" in error.message


def test_a_process_whose_memory_the_driver_does_not_say_still_counts() -> None:
    assert refused(Probe(processes=["4242, python3, [N/A]\n"])).state == "busy"


@pytest.mark.parametrize(
    "probe",
    [
        Probe(processes=[None]),
        Probe(memory=[None]),
        Probe(memory=["MemTotal: 5 kB\n"]),
        Probe(devices=None),
        Probe(devices="NVIDIA-SMI has failed\n"),
        Probe(devices=""),
        Probe(processes=["Not Supported\n"]),
    ],
)
def test_what_cannot_be_told_never_passes(probe: Probe) -> None:
    assert refused(probe).state == "unknown"


def test_what_cannot_be_told_for_a_moment_is_asked_again() -> None:
    assert gate(Probe(processes=[None, None, ""])) == 8


def test_a_node_whose_device_another_pod_requests_is_busy() -> None:
    cluster = FakeCluster()
    cluster.behaviours["theirs"] = Behaviour(stop_s=20)
    kube = FakeKube(cluster)
    kube.apply(deployment("theirs", gpu=1))
    cluster.advance(10)
    error = refused(Probe(), kube=kube)
    assert "1 of 1 nvidia.com/gpu are taken by autosre/theirs-" in error.message
    assert "--dedicated" in error.remedy

    kube.patch("Deployment", "theirs", {"spec": {"replicas": 0}})
    cluster.advance(3)
    assert gate(Probe(), kube=kube) > 15  # an ending Pod holds it still


def test_a_node_that_offers_no_device_is_told_with_its_remedy() -> None:
    error = refused(Probe(), kube=FakeKube(FakeCluster(allocatable={"cpu": "2"})))
    assert "offers 0 nvidia.com/gpu" in error.message
    assert "device plugin" in error.remedy


def test_a_recipe_without_a_device_looks_at_memory_only() -> None:
    blind = Probe([meminfo(9)], processes=[None], devices=None)
    assert gate(blind, cpu_recipe()) == 4
    error = refused(Probe([meminfo(7)]), cpu_recipe())
    assert "7.0 GiB of main memory are free, 8.0 GiB are needed" in error.message


def test_ended_pods_hold_nothing() -> None:
    node: Object = {
        "metadata": {"name": "n"},
        "status": {"allocatable": {"nvidia.com/gpu": "1"}},
    }

    def pod(phase: str, count: Any = "1") -> Object:
        container = {"resources": {"limits": {"nvidia.com/gpu": count}}}
        return {
            "metadata": {"name": phase, "namespace": "x"},
            "spec": {"containers": [container]},
            "status": {"phase": phase},
        }

    ended = [pod("Succeeded"), pod("Failed")]
    assert check_allocation(node, ended, "nvidia.com/gpu", 1).state == "pass"
    assert check_allocation(node, [pod("Pending")], "nvidia.com/gpu", 1).state == "busy"


def test_a_look_says_everything_at_once() -> None:
    kube = FakeKube(FakeCluster())
    (node,) = kube.find("Node")
    checks = check_gate(gpu_recipe(), kube, node, Probe())
    assert [(check.name, check.state) for check in checks] == [
        ("allocation", "pass"),
        ("processes", "pass"),
        ("memory", "pass"),
    ]


def test_what_nvidia_smi_prints_is_read() -> None:
    (one,) = parse_compute_processes("12, /usr/bin/python3, a, 512\n") or []
    assert (one.pid, one.name, one.used_mib) == (12, "/usr/bin/python3,a", 512)
    assert parse_compute_processes("No running processes found\n") == []
    assert parse_compute_processes("Failed to initialize NVML") is None
    (device,) = parse_devices(GB10) or []
    assert (device.name, device.total_mib, device.free_mib) == ("NVIDIA GB10", None, None)
    memory = parse_meminfo(meminfo(3))
    assert memory is not None
    assert memory["MemAvailable"] == 3 * GIB


@given(st.text())
def test_no_text_makes_a_reader_fail(text: str) -> None:
    for read in (parse_compute_processes, parse_devices, parse_meminfo):
        read(text)
