"""A command that fails takes back what it changed itself: a healthy engine is never replaced."""

from __future__ import annotations

from typing import Any

import pytest

from autosre_lab.cluster import deploying, stack
from autosre_lab.cluster.application_gate import UnreachableError
from autosre_lab.cluster.lease import LEASE
from autosre_lab.cluster.release import ENGINE, PROXY, apply_release
from autosre_lab.errors import AutosreError, ClusterError, NotReadyError, RolloutError
from tests.cluster.fake_api import Behaviour
from tests.cluster.recipes import cpu_recipe
from tests.cluster.test_stack import LiveKube, command, kube, other, pods, replicas, tokens_come

__all__ = ["kube"]  # the fixture


def fails_with(error: AutosreError, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    tokens_come(monkeypatch, fail)


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("no route to 10.96.0.31", remedy="run it on the node"),
        NotReadyError("no token in time", remedy="wait"),
        ClusterError("the proxy answers 401", remedy="-"),
    ],
    ids=["no route", "too slow", "401"],
)
def test_a_start_of_what_runs_that_cannot_prove_it_leaves_the_engine_alone(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch, error: AutosreError
) -> None:
    stack.start(cpu_recipe(), client=kube)
    before = pods(kube, "vllm-local") + pods(kube, "proxy")
    fails_with(error, monkeypatch)
    with pytest.raises(AutosreError) as told:
        stack.start(cpu_recipe(), client=kube)
    assert pods(kube, "vllm-local") + pods(kube, "proxy") == before
    assert replicas(kube) == 1
    assert "scaled to zero" not in told.value.message


def test_an_engine_that_could_not_be_asked_after_a_switch_stays(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.start(cpu_recipe(), client=kube)
    fails_with(UnreachableError("no route", remedy="-"), monkeypatch)
    with pytest.raises(UnreachableError, match="what was applied stays"):
        stack.switch(other(), client=kube)
    assert "4096" in command(kube), "its Pod is ready, and nothing says that it is not well"
    assert replicas(kube) == 1


def test_a_proxy_that_does_not_come_up_is_put_back_and_the_engine_stays(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.start(cpu_recipe(), client=kube)
    engine = pods(kube, "vllm-local")
    monkeypatch.setenv("AUTOSRE_PROXY_IMAGE", "localhost/autosre-proxy:broken")
    kube.cluster.behaviours["proxy"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    with pytest.raises(RolloutError, match="the engine that runs was left as it is"):
        stack.start(cpu_recipe(), client=kube)
    assert pods(kube, "vllm-local") == engine
    live = kube.get("Deployment", PROXY)
    assert live is not None
    assert "broken" not in live["spec"]["template"]["spec"]["containers"][0]["image"]


def test_ctrl_c_while_a_token_is_awaited_says_that_the_start_goes_on(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    tokens_come(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        stack.start(cpu_recipe(), client=kube)
    assert "the start goes on in the cluster" in caplog.text
    assert "autosre stop --place cluster" in caplog.text
    assert replicas(kube) == 1


@pytest.mark.parametrize("runs", [True, False])
def test_ctrl_c_before_anything_is_applied_leaves_what_ran(
    kube: LiveKube,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    runs: bool,
) -> None:
    if runs:
        stack.start(cpu_recipe(), client=kube)
    make_room = deploying._make_room

    def interrupted(*given: Any) -> None:
        make_room(*given)
        assert kube.get("Deployment", ENGINE) is None
        raise KeyboardInterrupt

    monkeypatch.setattr(deploying, "_make_room", interrupted)
    with pytest.raises(KeyboardInterrupt):
        (stack.switch if runs else stack.start)(other(), client=kube)
    if runs:
        assert "was ended and begins again" in caplog.text
        assert "4096" not in command(kube)
        assert replicas(kube) == 1
    else:
        assert "nothing was begun in the cluster" in caplog.text
        assert kube.get("Deployment", ENGINE) is None


def test_a_first_start_that_fails_leaves_no_proxy_either(kube: LiveKube) -> None:
    kube.cluster.behaviours["vllm"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    with pytest.raises(RolloutError):
        stack.start(cpu_recipe(), client=kube)
    assert (replicas(kube, ENGINE), replicas(kube, PROXY)) == (0, 0)


def test_who_has_lost_the_lease_puts_nothing_back(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.start(cpu_recipe(), client=kube)

    def lose(client: LiveKube, objects: Any) -> None:
        apply_release(client, objects)
        lease = client.get("Lease", LEASE)
        assert lease is not None
        lease["spec"]["holderIdentity"] = "somebody else"
        client.replace(lease)

    monkeypatch.setattr(deploying, "apply_release", lose)

    def lost(lease: Any) -> None:
        lease.lost.set()

    monkeypatch.setattr("autosre_lab.cluster.lease.HeldLease.check", lost)
    fails_with(NotReadyError("no token", remedy="-"), monkeypatch)
    with pytest.raises(NotReadyError, match="somebody else may be at work"):
        stack.switch(other(), client=kube)
    assert "4096" in command(kube)


def test_a_persons_own_objects_of_the_same_names_stay(kube: LiveKube) -> None:
    from tests.cluster.objects import deployment, service

    kube.create(deployment(ENGINE, replicas=3))
    kube.create(service(PROXY))
    with pytest.raises(ClusterError, match="without this project's labels") as told:
        stack.start(cpu_recipe(), client=kube)
    assert f"Deployment/{ENGINE}" in told.value.message
    assert f"Service/{PROXY}" in told.value.message
    assert "AUTOSRE_NAMESPACE" in told.value.remedy
    assert replicas(kube) == 3
    stack.stop(client=kube)
    assert replicas(kube) == 3, "nor does a stop touch them"


def test_what_helm_has_installed_is_helms(kube: LiveKube) -> None:
    stack.start(cpu_recipe(), client=kube)
    note = {"metadata": {"annotations": {"meta.helm.sh/release-name": "mine"}}}
    kube.patch("Deployment", ENGINE, note)
    with pytest.raises(ClusterError, match="Helm release mine") as told:
        stack.switch(other(), client=kube)
    assert "helm upgrade" in told.value.remedy


def test_a_token_that_was_changed_makes_new_proxies_and_no_new_engine(kube: LiveKube) -> None:
    stack.start(cpu_recipe(), client=kube)
    proxy, engine = pods(kube, "proxy"), pods(kube, "vllm-local")
    kube.patch("Secret", "autosre-proxy", {"data": {"token": "bmV3"}})
    started = stack.start(cpu_recipe(), client=kube)
    assert started.token == "new"
    assert pods(kube, "proxy") != proxy
    assert pods(kube, "vllm-local") == engine


def test_a_new_key_of_the_engine_makes_all_pods_anew(kube: LiveKube) -> None:
    started = stack.start(cpu_recipe(), client=kube)
    assert started.engine_key
    assert started.engine_key not in repr(started)
    proxy, engine = pods(kube, "proxy"), pods(kube, "vllm-local")
    kube.patch("Secret", ENGINE, {"data": {"token": "bmV3"}})
    assert stack.start(cpu_recipe(), client=kube).engine_key == "new"
    assert pods(kube, "proxy") != proxy
    assert pods(kube, "vllm-local") != engine


@pytest.mark.parametrize("name", [ENGINE, PROXY])
def test_a_variable_added_by_hand_is_gone_after_a_start(kube: LiveKube, name: str) -> None:
    stack.start(cpu_recipe(), client=kube)
    live = kube.get("Deployment", name)
    assert live is not None
    (container,) = live["spec"]["template"]["spec"]["containers"]
    container["env"].append({"name": "BY_HAND", "value": "1"})
    live["spec"]["template"]["spec"]["hostNetwork"] = True
    kube.replace(live)
    stack.start(cpu_recipe(), client=kube)
    healed = kube.get("Deployment", name)
    assert healed is not None
    pod = healed["spec"]["template"]["spec"]
    assert "BY_HAND" not in [one["name"] for one in pod["containers"][0]["env"]]
    assert "hostNetwork" not in pod
    again = kube.get("Deployment", name)
    stack.start(cpu_recipe(), client=kube)
    after = kube.get("Deployment", name)
    assert again is not None
    assert after is not None
    assert after["metadata"]["generation"] == again["metadata"]["generation"]


def test_while_it_starts_the_status_says_what_is_waited_for(kube: LiveKube) -> None:
    kube.cluster.behaviours["vllm"] = Behaviour(
        pull_s=10_000, event=("FailedMount", "Unable to attach or mount volumes: weights")
    )
    stack.start(cpu_recipe(), client=kube, wait=False)
    kube.cluster.advance(4)
    status = stack.status(client=kube)
    assert status.state == "starting"
    assert status.services["engine"].cause
    assert "ContainerCreating" in status.services["engine"].cause
    assert "mount volumes: weights" in status.services["engine"].cause
    assert status.services["engine"].remedy


def test_an_engine_that_is_ready_and_cannot_be_proven_has_its_cause_in_the_status(
    kube: LiveKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(ClusterError("the proxy answers 401", remedy="restart it"), monkeypatch)
    stack.start(cpu_recipe(), client=kube, wait=False)
    kube.cluster.advance(60)
    status = stack.status(client=kube)
    assert status.state == "starting"
    assert status.services["engine"].cause == "the proxy answers 401"
    assert status.services["engine"].remedy == "restart it"
