"""Start, switch and stop on the fake cluster, with the chart as it is really rendered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from autosre_lab.chart import from_recipe
from autosre_lab.cluster import deploying, gone, gpu_gate, stack
from autosre_lab.cluster.application_gate import Readiness
from autosre_lab.cluster.dedicated import NOTE, dedicate
from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.lease import LEASE, hold_lease
from autosre_lab.cluster.release import ENGINE
from autosre_lab.errors import (
    ClusterError,
    GpuGateError,
    KubeError,
    LeaseHeldError,
    NotReadyError,
    RolloutError,
    StackBusyError,
)
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.newer_objects import grown
from tests.cluster.objects import deployment, runtime_class, service
from tests.cluster.recipes import cpu_recipe, gpu_recipe
from tests.cluster.test_gpu_gate import Probe, meminfo

ARM = {"ref": "localhost/vllm:1", "vllm_version": "0.24.0", "arch": "arm64"}


class LiveKube(FakeKube):
    """A cluster that goes on by itself: a second passes at every look at the Pods."""

    def find(self, kind: str, **options: Any) -> list[Object]:
        if kind == "Pod":
            self.cluster.advance(1)
        return super().find(kind, **options)


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> LiveKube:
    monkeypatch.setattr(gone, "POLL_S", 0.001)
    monkeypatch.setattr(gpu_gate, "BETWEEN_S", 0.001)
    probe = Probe([meminfo(110)])
    monkeypatch.setattr(deploying, "open_node_probe", lambda *_, **__: nullcontext(probe))
    tokens_come(monkeypatch)
    cluster = FakeCluster(epoch=datetime.now(UTC))
    cluster.objects["Node", None, "gb10"]["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    return LiveKube(cluster, namespace="autosre")


def tokens_come(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None] = lambda: None) -> None:
    """Let the engine answer as soon as its Pod is ready."""

    def generate(*_: Any, look: Callable[[], str], **__: Any) -> Readiness:
        before()
        look()
        return Readiness(first_token_s=1.0)

    monkeypatch.setattr(deploying, "generate_tokens", generate)


def other(**sections: Any) -> Any:
    return cpu_recipe(name="other", latency={"max_step_tokens": 4096}, **sections)


def replicas(kube: FakeKube, name: str = ENGINE, namespace: str | None = None) -> int:
    live = kube.get("Deployment", name, namespace=namespace)
    assert live is not None
    return int(live["spec"]["replicas"])


def command(kube: FakeKube) -> list[str]:
    live = kube.get("Deployment", ENGINE)
    assert live is not None
    argv: list[str] = live["spec"]["template"]["spec"]["containers"][0]["command"]
    return argv


def pods(kube: FakeKube, component: str) -> list[str]:
    labels = {"app.kubernetes.io/component": component}
    return [pod["metadata"]["uid"] for pod in kube.find("Pod", labels=labels)]


def test_a_stack_starts_is_ready_and_stops_without_leaving_a_pod(kube: LiveKube) -> None:
    started = stack.start(cpu_recipe(), client=kube)
    assert started.engine_url == "http://10.96.0.30:8010"
    assert started.proxy_url == "http://10.96.0.31:8011"
    assert (started.recipe_name, started.model) == ("cpu", "qwen")
    assert stack.status(client=kube).state == "ready"

    stack.stop(client=kube)
    assert kube.find("Pod") == []
    assert stack.status(client=kube).state == "stopped"
    stack.start(cpu_recipe(), client=kube)
    assert stack.status(client=kube).state == "ready"


def test_starting_what_runs_changes_no_pod(kube: LiveKube) -> None:
    stack.start(cpu_recipe(), client=kube)
    before = pods(kube, "vllm-local") + pods(kube, "proxy")
    stack.start(cpu_recipe(), client=kube)
    assert pods(kube, "vllm-local") + pods(kube, "proxy") == before


def test_another_recipe_is_switched_to_and_not_started_over(kube: LiveKube) -> None:
    stack.start(cpu_recipe(), client=kube)
    with pytest.raises(StackBusyError, match="recipe cpu runs"):
        stack.start(other(), client=kube)
    proxy = pods(kube, "proxy")
    engine = pods(kube, "vllm-local")
    switched = stack.switch(other(), client=kube)
    assert switched.recipe_name == "other"
    assert "4096" in command(kube)
    assert pods(kube, "proxy") == proxy
    assert pods(kube, "vllm-local") != engine


def test_a_first_start_that_fails_holds_nothing_afterwards(kube: LiveKube) -> None:
    kube.cluster.behaviours["vllm"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    with pytest.raises(RolloutError, match="no such image") as told:
        stack.start(cpu_recipe(), client=kube)
    assert "scaled to zero again" in told.value.message
    assert replicas(kube) == 0
    lease = kube.get("Lease", LEASE)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


def test_a_switch_that_fails_goes_back_to_what_ran_and_says_so(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.start(cpu_recipe(), client=kube)
    was = command(kube)

    def crash_with_the_other() -> None:
        if "4096" in command(kube):
            raise NotReadyError("no token came", remedy="-")

    tokens_come(monkeypatch, crash_with_the_other)
    with pytest.raises(NotReadyError, match="recipe cpu, which ran before, runs again"):
        stack.switch(other(), client=kube)
    assert command(kube) == was
    status = stack.status(client=kube)
    assert (status.state, status.recipe_name) == ("ready", "cpu")


def test_what_preflight_finds_ends_a_start_before_anything_is_applied(kube: LiveKube) -> None:
    kube.create(service("squatter", "10.96.0.30"), namespace="default")
    with pytest.raises(ClusterError, match=r"10.96.0.30 \(for .*\) is default/squatter's"):
        stack.start(cpu_recipe(), client=kube)
    assert kube.find("Deployment") == []


def test_two_operators_do_not_flip_the_gpu_at_once(kube: LiveKube) -> None:
    stack.start(cpu_recipe(), client=kube)
    with hold_lease(kube, "switch to something"):
        for operate in (
            lambda: stack.start(cpu_recipe(), client=kube),
            lambda: stack.switch(other(), client=kube),
            lambda: stack.stop(client=kube),
        ):
            with pytest.raises(LeaseHeldError, match="switch to something"):
                operate()
    assert replicas(kube) == 1


def test_a_start_ends_when_the_watched_pod_runs_out_of_memory(kube: LiveKube) -> None:
    oom = Behaviour(ready_s=None, ends_s=3, exit_code=137, reason="OOMKilled", log=["eating"])
    kube.cluster.behaviours["vllm"] = oom
    with pytest.raises(RolloutError) as told:
        stack.start(cpu_recipe(), client=kube)
    assert (told.value.reason, told.value.log_tail) == ("OOMKilled", ["eating"])


# -- with a GPU ----------------------------------------------------------------------------------


@pytest.fixture
def gb10(kube: LiveKube) -> LiveKube:
    """The same cluster with a GPU's architecture and runtime class."""
    kube.create(runtime_class("nvidia"))
    kube.cluster.objects["Node", None, "gb10"]["metadata"]["labels"]["kubernetes.io/arch"] = "arm64"
    return kube


def neighbour(kube: FakeKube) -> None:
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    kube.apply(deployment("notebook", gpu=1, namespace="team"))
    kube.cluster.advance(5)


def test_a_neighbour_on_the_gpu_keeps_the_gate_closed(
    gb10: LiveKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "wait_gate", partial(gpu_gate.wait_gate, patience_s=0.05))
    neighbour(gb10)
    with pytest.raises(GpuGateError, match="taken by team/notebook-"):
        stack.start(gpu_recipe(), client=gb10)
    assert replicas(gb10, "notebook", "team") == 1


def test_dedicated_mode_takes_the_gpu_and_stop_gives_it_back(gb10: LiveKube) -> None:
    neighbour(gb10)
    stack.start(gpu_recipe(), client=gb10, dedicated=True)
    assert replicas(gb10, "notebook", "team") == 0
    assert gb10.get("ConfigMap", NOTE) is not None
    stack.stop(client=gb10)
    assert replicas(gb10, "notebook", "team") == 1
    assert gb10.get("ConfigMap", NOTE) is None


def test_the_next_start_gives_back_what_a_crashed_operator_had_displaced(gb10: LiveKube) -> None:
    neighbour(gb10)
    dedicate(gb10, gpu_recipe())  # and no more
    stack.start(cpu_recipe(image=ARM), client=gb10)
    assert replicas(gb10, "notebook", "team") == 1


def test_a_neighbour_that_somebody_scaled_meanwhile_is_told_at_the_stop(
    gb10: LiveKube, caplog: pytest.LogCaptureFixture
) -> None:
    neighbour(gb10)
    stack.start(gpu_recipe(), client=gb10, dedicated=True)
    gb10.patch("Deployment", "notebook", {"spec": {"replicas": 4}}, namespace="team")
    logger = logging.getLogger("autosre_lab")
    logger.addHandler(caplog.handler)
    try:
        stack.stop(client=gb10)
    finally:
        logger.removeHandler(caplog.handler)
    assert "Deployment team/notebook was scaled to 4 meanwhile; it had 1" in caplog.text
    assert replicas(gb10, "notebook", "team") == 4


def test_a_dedicated_start_that_fails_gives_the_gpu_back(gb10: LiveKube) -> None:
    neighbour(gb10)
    gb10.cluster.behaviours["vllm"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    with pytest.raises(RolloutError):
        stack.start(gpu_recipe(), client=gb10, dedicated=True)
    assert replicas(gb10, "notebook", "team") == 1


def test_a_neighbour_that_may_not_be_scaled_leaves_the_others_as_they_were(gb10: LiveKube) -> None:
    neighbour(gb10)
    gb10.apply(deployment("protected", gpu=1, namespace="team"))
    denied = KubeError("forbidden", remedy="-", status=403)
    gb10.cluster.refuse = lambda action, _, name: (
        denied if (action, name) == ("patch", "protected") else None
    )
    with pytest.raises(KubeError, match="forbidden"):
        stack.start(gpu_recipe(), client=gb10, dedicated=True)
    assert replicas(gb10, "notebook", "team") == 1


def test_what_cannot_be_given_back_does_not_hide_why_the_start_failed(gb10: LiveKube) -> None:
    neighbour(gb10)
    gb10.cluster.behaviours["vllm"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    denied = KubeError("forbidden", remedy="-", status=403)
    patched: list[str] = []

    def refuse(action: str, _: str, name: str) -> KubeError | None:
        if (action, name) == ("patch", "notebook"):
            patched.append(name)
        return denied if len(patched) > 1 and name == "notebook" else None

    gb10.cluster.refuse = refuse
    with pytest.raises(RolloutError, match="no such image") as told:
        stack.start(gpu_recipe(), client=gb10, dedicated=True)
    assert "others could not be given the GPU back: forbidden" in str(told.value)
    gb10.cluster.refuse = lambda *_: None
    stack.stop(client=gb10)  # the note has outlived it
    assert replicas(gb10, "notebook", "team") == 1


def test_the_chart_s_own_address_is_used_where_the_recipe_gives_none(kube: LiveKube) -> None:
    started = stack.start(cpu_recipe(network={}), client=kube)
    assert started.engine_url == f"http://{from_recipe.VLLM_IP}:8010"


class NewerKube(LiveKube):
    """Answers as the newest servers do."""

    def get(self, kind: str, name: str, **options: Any) -> Object | None:
        found = super().get(kind, name, **options)
        return None if found is None else grown(found)

    def find(self, kind: str, **options: Any) -> list[Object]:
        return [grown(one) for one in super().find(kind, **options)]


def test_what_newer_servers_add_changes_nothing(kube: LiveKube) -> None:
    newer = NewerKube(kube.cluster, namespace="autosre")
    stack.start(cpu_recipe(), client=newer)
    (pod,) = newer.find("Pod", labels={"app.kubernetes.io/component": "vllm-local"})
    assert pod["status"]["observedGeneration"] == 7
    shown, plain = stack.status(client=newer), stack.status(client=kube)
    assert shown.state == plain.state == "ready"
    for name, found in shown.services.items():
        assert (found.pod, found.restarts) == (plain.services[name].pod, 0)
    before = pods(newer, "vllm-local") + pods(newer, "proxy")
    stack.start(cpu_recipe(), client=newer)
    assert pods(newer, "vllm-local") + pods(newer, "proxy") == before
    stack.switch(other(), client=newer)
    assert "4096" in command(newer)
    stack.stop(client=newer)
    assert newer.find("Pod") == []
    kube.cluster.behaviours["vllm"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    with pytest.raises(RolloutError, match="no such image"):
        stack.start(cpu_recipe(), client=newer)
