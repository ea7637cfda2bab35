"""Gone means that no Pod is left, not that the number is zero."""

from __future__ import annotations

import copy

import pytest

from autosre_lab.cluster.gone import scale, wait_gone
from autosre_lab.errors import KubeError, NotGoneError
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.objects import deployment


def running(stop_s: float = 2.0, grace_s: int = 30) -> FakeKube:
    cluster = FakeCluster()
    cluster.behaviours["vllm"] = Behaviour(stop_s=stop_s)
    kube = FakeKube(cluster)
    kube.apply(deployment(grace_s=grace_s))
    cluster.advance(10)
    return kube


def test_gone_waits_for_the_ending_pod_that_kubernetes_no_longer_counts() -> None:
    kube = running(stop_s=25)
    scale(kube, "vllm", 0)
    kube.cluster.advance(3)
    live = kube.get("Deployment", "vllm")
    assert live is not None
    assert live["status"]["replicas"] == 0
    assert len(kube.find("Pod")) == 1
    told: list[str] = []
    wait_gone(kube, "vllm", tell=told.append, clock=kube.cluster.clock)
    assert kube.find("Pod") == []
    assert kube.cluster.time >= 35
    assert told[0].startswith("waiting for vllm-")


def test_a_deployment_that_was_deleted_is_gone_only_with_its_last_pod() -> None:
    kube = running(stop_s=25)
    kube.delete("Deployment", "vllm")
    wait_gone(kube, "vllm", clock=kube.cluster.clock)
    assert kube.find("Pod") == []


def test_what_was_never_there_is_gone() -> None:
    kube = FakeKube(FakeCluster())
    wait_gone(kube, "vllm", clock=kube.cluster.clock)
    assert kube.cluster.time == 0


def test_a_pod_that_does_not_end_is_named_with_node_and_finalizers_and_not_forced() -> None:
    kube = running()
    (pod,) = kube.find("Pod")
    kube.patch("Pod", pod["metadata"]["name"], {"metadata": {"finalizers": ["gpu/drain"]}})
    scale(kube, "vllm", 0)
    before = kube.cluster.time
    with pytest.raises(NotGoneError) as told:
        wait_gone(kube, "vllm", clock=kube.cluster.clock)
    assert pod["metadata"]["name"] in told.value.message
    assert "gb10" in told.value.message
    assert "held by gpu/drain" in told.value.message
    assert 150 <= kube.cluster.time - before <= 155  # its grace, and two minutes
    assert ("delete", "Pod", pod["metadata"]["name"]) not in kube.cluster.requests


def test_a_deployment_that_somebody_scales_up_again_is_told_at_once() -> None:
    kube = running(stop_s=25)
    scale(kube, "vllm", 0)
    kube.cluster.at(5, lambda: scale(kube, "vllm", 1))
    with pytest.raises(NotGoneError, match="scaled up again by somebody else"):
        wait_gone(kube, "vllm", clock=kube.cluster.clock)
    assert kube.cluster.time < 20


def test_an_evicted_pod_that_stays_in_the_list_holds_nothing() -> None:
    kube = running()
    (pod,) = kube.cluster.all("Pod")
    failed = copy.deepcopy(pod)
    failed["status"] = {"phase": "Failed", "reason": "Evicted"}
    kube.cluster.put(failed)
    scale(kube, "vllm", 0)
    wait_gone(kube, "vllm", clock=kube.cluster.clock)
    assert len(kube.find("Pod")) == 1


def test_a_controller_that_does_not_look_is_told() -> None:
    kube = running()
    scale(kube, "vllm", 0)
    kube.cluster.controllers.step = lambda: None  # type: ignore[method-assign]
    for pod in kube.cluster.all("Pod"):
        kube.cluster.drop(pod)
    with pytest.raises(NotGoneError, match="the controller has not looked"):
        wait_gone(kube, "vllm", patience_s=20, clock=kube.cluster.clock)


def test_a_silent_server_does_not_end_the_wait() -> None:
    kube = running(stop_s=25)
    cluster = kube.cluster
    scale(kube, "vllm", 0)
    silent = KubeError("no answer", remedy="-", status=503)
    began = cluster.time
    cluster.refuse = lambda *_: silent if 3 < cluster.time - began < 15 else None
    wait_gone(kube, "vllm", clock=cluster.clock)
    assert kube.find("Pod") == []
