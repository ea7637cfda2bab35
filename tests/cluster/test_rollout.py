"""Our own wait for a rollout: fails fast and says why, and is not fooled by what is long past."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.rollout import take_snapshot, wait_rollout
from autosre_lab.cluster.verdict import Snapshot, judge
from autosre_lab.errors import KubeError, NotReadyError, RolloutError
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.objects import deployment, gpu_pod

BUDGET_S = 1800.0


def deployed(behaviour: Behaviour | None = None, **changes: Any) -> FakeKube:
    """A cluster to which the engine's Deployment has just been applied."""
    cluster = FakeCluster()
    cluster.behaviours["vllm"] = behaviour or Behaviour()
    kube = FakeKube(cluster)
    kube.apply(deployment(**changes))
    return kube


def wait(kube: FakeKube, budget_s: float = BUDGET_S, **options: Any) -> Object:
    clock = kube.cluster.clock
    return wait_rollout(
        kube, "vllm", deadline_s=clock.monotonic() + budget_s, clock=clock, **options
    )


def failure(kube: FakeKube, **options: Any) -> RolloutError:
    with pytest.raises(RolloutError) as told:
        wait(kube, **options)
    return told.value


def test_a_rollout_is_done_when_its_newest_pod_is_ready() -> None:
    kube = deployed(Behaviour(pull_s=20, ready_s=300))
    told: list[str] = []
    pod = wait(kube, tell=told.append)
    assert pod["status"]["phase"] == "Running"
    assert 320 <= kube.cluster.time <= 330
    assert "ContainerCreating" in told
    assert "running, not ready" in told


def test_the_caller_is_told_what_the_log_says_the_engine_is_at() -> None:
    kube = deployed(Behaviour(log=["Loading weights took 3 s"]))
    told: list[str] = []
    wait(kube, tell=told.append, phase=lambda lines: f"log: {lines[-1]}")
    assert "log: Loading weights took 3 s" in told


def test_a_template_change_waits_until_the_old_pod_has_ended() -> None:
    kube = deployed(Behaviour(stop_s=20))
    old = wait(kube)
    kube.apply(deployment(image="localhost/pause:2"))
    new = wait(kube)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert [pod["metadata"]["uid"] for pod in kube.find("Pod")] == [new["metadata"]["uid"]]


def test_a_rolling_update_is_done_only_when_the_old_pod_has_ended() -> None:
    """The proxies roll: for a while the new Pod is ready and the old one still answers."""
    kube = deployed(Behaviour(stop_s=20), strategy="RollingUpdate")
    old = wait(kube)
    kube.apply(deployment(image="localhost/pause:2", strategy="RollingUpdate"))
    clock, both = kube.cluster.clock, 0
    while len(kube.find("Pod")) < 2 or both == 0:
        kube.cluster.advance(1)
        seen = take_snapshot(kube, "vllm")
        ready = [
            pod
            for pod in seen.pods
            if any(one.get("ready") for one in pod["status"].get("containerStatuses") or [])
        ]
        if len(seen.pods) == 2 and len(ready) == 2:
            both += 1
            assert judge(seen, now=clock.now()).state == "waiting"
        assert clock.monotonic() < 100
    new = wait(kube)
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert [pod["metadata"]["uid"] for pod in kube.find("Pod")] == [new["metadata"]["uid"]]


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("1 Insufficient nvidia.com/gpu.", "--dedicated"),
        ("1 Insufficient memory.", "lower the recipe's resources"),
        ("1 node(s) didn't match Pod's node affinity/selector.", "AUTOSRE_NODE_SELECTOR"),
        ("1 node(s) didn't match node selector.", "AUTOSRE_NODE_SELECTOR"),
        ("1 node(s) had untolerated taint {a: b}.", "AUTOSRE_TOLERATIONS"),
        ("1 node(s) had taint {a: }, that the pod didn't tolerate.", "AUTOSRE_TOLERATIONS"),
        ("1 node(s) were unschedulable.", "kubectl uncordon"),
    ],
)
def test_a_pod_that_no_node_takes_gets_the_remedy_for_that(message: str, remedy: str) -> None:
    kube = deployed(gpu=2)
    kube.cluster.advance(70)
    seen = take_snapshot(kube, "vllm")
    (pod,) = seen.pods
    (condition,) = [one for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    condition["message"] = f"0/1 nodes are available: {message}"
    verdict = judge(seen, now=kube.cluster.now)
    assert verdict.state == "failed"
    assert remedy in verdict.remedy
    assert ("--dedicated" in verdict.remedy) == ("gpu" in message)


def test_a_generation_that_the_controller_has_not_seen_is_not_ready() -> None:
    kube = deployed()
    wait(kube)
    kube.apply(deployment(image="localhost/pause:2"))
    verdict = judge(take_snapshot(kube, "vllm"), now=kube.cluster.now)
    assert (verdict.state, verdict.message) == (
        "waiting",
        "waiting for the Deployment's controller",
    )


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("ErrImagePull", "image.ref"),
        ("ImagePullBackOff", "image.ref"),
        ("ErrImageNeverPull", "import the image"),
        ("InvalidImageName", "image.ref"),
        ("CreateContainerConfigError", "Secret or ConfigMap"),
        ("CreateContainerError", "see the message"),
    ],
)
def test_what_the_kubelet_cannot_create_fails_at_once(reason: str, remedy: str) -> None:
    kube = deployed(Behaviour(waits_for=(reason, "it says why")))
    error = failure(kube)
    assert error.reason == reason
    assert "it says why" in error.message
    assert remedy in error.remedy
    assert error.pod is not None
    assert kube.cluster.time < 10


def test_a_crash_fails_at_once_with_the_container_s_log() -> None:
    kube = deployed(Behaviour(ready_s=None, ends_s=5, log=["Traceback", "ValueError: no"]))
    error = failure(kube)
    assert (error.reason, error.log_tail) == ("Error", ["Traceback", "ValueError: no"])
    assert "exit code 1" in error.message
    assert kube.cluster.time < 15


def test_the_log_is_cut_to_its_last_80_lines() -> None:
    kube = deployed(Behaviour(ready_s=None, ends_s=2, log=[f"line {n}" for n in range(200)]))
    assert failure(kube).log_tail == [f"line {n}" for n in range(120, 200)]


def test_a_container_that_was_restarted_in_between_shows_the_log_of_the_one_before() -> None:
    kube = deployed(Behaviour(ready_s=None, ends_s=3))
    kube.cluster.advance(16)  # ended, backed off, started again
    asked: list[bool] = []
    logs = kube.logs

    def spy(pod: str, **options: Any) -> list[str]:
        asked.append(bool(options.get("previous")))
        return logs(pod, **options)

    kube.logs = spy  # type: ignore[method-assign]
    assert failure(kube).reason == "Error"
    assert asked == [True]


def test_running_out_of_memory_is_called_so_with_its_remedy() -> None:
    kube = deployed(Behaviour(ready_s=None, ends_s=5, exit_code=137, reason="OOMKilled"))
    error = failure(kube)
    assert error.reason == "OOMKilled"
    assert "resources.memory.limit" in error.remedy


def test_a_log_that_cannot_be_read_does_not_hide_the_failure() -> None:
    kube = deployed(Behaviour(ready_s=None, ends_s=2))
    gone = KubeError("pods not found", remedy="-", status=404)
    kube.cluster.refuse = lambda action, kind, name: (
        gone if action == "get" and kind == "Pod" else None
    )
    assert failure(kube).log_tail == []


def test_a_pod_that_no_node_takes_fails_after_a_minute_with_the_scheduler_s_words() -> None:
    kube = deployed(gpu=2)
    error = failure(kube)
    assert error.reason == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in error.message
    assert 60 <= kube.cluster.time <= 75


def test_waiting_for_a_gpu_that_an_ending_pod_still_holds_is_no_failure() -> None:
    kube = deployed(Behaviour(stop_s=100), gpu=1, grace_s=120)
    wait(kube)
    kube.patch("Deployment", "vllm", {"spec": {"replicas": 0}})
    kube.cluster.advance(2)
    kube.patch("Deployment", "vllm", {"spec": {"replicas": 1}})
    kube.cluster.advance(2)
    assert len(kube.find("Pod")) == 2
    wait(kube)
    assert kube.cluster.time > 100


def test_somebody_else_s_pod_on_the_gpu_is_a_failure() -> None:
    kube = deployed(gpu=1)
    kube.cluster.advance(1)
    kube.delete("Deployment", "vllm")
    kube.cluster.advance(60)
    kube.create(gpu_pod("theirs"))
    kube.cluster.advance(1)
    kube.apply(deployment(gpu=1))
    assert failure(kube).reason == "Unschedulable"


def test_a_missing_runtime_class_fails_at_once() -> None:
    error = failure(deployed(runtimeClassName="nvidia"))
    assert error.reason == "FailedCreate"
    assert 'RuntimeClass "nvidia" not found' in error.message
    assert "resources.gpu.runtime_class" in error.remedy


def test_a_mount_that_the_kubelet_fails_at_again_and_again_is_a_failure() -> None:
    message = 'MountVolume.SetUp failed for volume "weights": hostPath type check failed'
    kube = deployed(Behaviour(event=("FailedMount", message)))
    error = failure(kube)
    assert error.reason == "FailedMount"
    assert "storage" in error.remedy
    assert 2 <= kube.cluster.time < 30


def test_a_mount_that_failed_once_is_no_failure() -> None:
    kube = deployed(Behaviour(pull_s=30))
    kube.cluster.advance(2)
    (pod,) = kube.find("Pod")
    kube.cluster.controllers.warn(pod, "FailedMount", 'configmap "autosre-recipe" not found')
    wait(kube)


def test_the_progress_deadline_is_advisory() -> None:
    late = deployment()
    late["spec"]["progressDeadlineSeconds"] = 10
    kube = deployed(Behaviour(ready_s=120))
    kube.apply(late)
    kube.cluster.advance(60)
    live = kube.get("Deployment", "vllm")
    assert live is not None
    reasons = [condition["reason"] for condition in live["status"]["conditions"]]
    assert "ProgressDeadlineExceeded" in reasons
    wait(kube)


def test_the_wait_ends_at_its_own_deadline() -> None:
    kube = deployed(Behaviour(ready_s=None))
    with pytest.raises(NotReadyError, match="not ready in time: running, not ready"):
        wait(kube, 90)
    assert 90 <= kube.cluster.time <= 96


def test_a_deployment_that_is_not_there_is_a_failure() -> None:
    assert failure(FakeKube(FakeCluster())).reason == "NotFound"


def test_a_deployment_that_somebody_scales_to_zero_is_a_failure_and_not_rolled_out() -> None:
    kube = deployed(Behaviour(ready_s=100))
    kube.cluster.at(20, lambda: kube.patch("Deployment", "vllm", {"spec": {"replicas": 0}}))
    assert failure(kube).reason == "ScaledToZero"


def test_the_callers_check_ends_the_wait() -> None:
    kube = deployed(Behaviour(ready_s=None))

    def check() -> None:
        if kube.cluster.time > 30:
            raise RuntimeError("the lease is lost")

    with pytest.raises(RuntimeError, match="the lease is lost"):
        wait(kube, check=check)


def test_a_server_that_is_silent_for_a_while_does_not_end_the_wait() -> None:
    kube = deployed(Behaviour(ready_s=100))
    cluster = kube.cluster
    silent = KubeError("no answer", remedy="-", status=0, reason="Unreachable")
    cluster.refuse = lambda *_: silent if 20 < cluster.time < 60 else None
    told: list[str] = []
    wait(kube, tell=told.append)
    assert "the API server does not answer: no answer" in told


def test_a_server_that_stays_silent_ends_the_wait_after_a_minute() -> None:
    kube = deployed(Behaviour(ready_s=100))
    cluster = kube.cluster
    silent = KubeError("no answer", remedy="-", status=503)
    cluster.refuse = lambda *_: silent if cluster.time > 20 else None
    with pytest.raises(KubeError, match="no answer"):
        wait(kube)
    assert cluster.time < 100


def test_a_refusal_ends_the_wait_at_once() -> None:
    kube = deployed()
    denied = KubeError("forbidden", remedy="-", status=403)
    kube.cluster.refuse = lambda *_: denied
    with pytest.raises(KubeError, match="forbidden"):
        wait(kube)
    assert kube.cluster.time == 0


def evicted(pod: Object) -> Object:
    """The same Pod after the kubelet has evicted it."""
    gone = copy.deepcopy(pod)
    gone["metadata"] = {**gone["metadata"], "name": "vllm-evicted", "uid": "evicted"}
    gone["status"] = {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    return gone


def test_an_eviction_during_the_wait_fails_at_once() -> None:
    kube = deployed(Behaviour(ready_s=None))
    kube.cluster.advance(5)

    def evict() -> None:
        (pod,) = kube.cluster.all("Pod")
        failed = copy.deepcopy(pod)
        failed["status"] = {**evicted(pod)["status"]}
        kube.cluster.put(failed)

    kube.cluster.at(10, evict)
    error = failure(kube)
    assert error.reason == "Evicted"
    assert "low on memory" in error.message


def test_a_pod_that_was_evicted_long_ago_is_not_held_against_the_next() -> None:
    kube = deployed()
    pod = wait(kube)
    seen = take_snapshot(kube, "vllm")
    with_old = Snapshot(
        deployment=seen.deployment,
        replica_sets=seen.replica_sets,
        pods=[evicted(pod), *seen.pods],
        events=[],
    )
    assert judge(with_old, now=kube.cluster.now).state == "done"


def test_a_container_that_was_restarted_long_ago_and_is_ready_is_ready() -> None:
    kube = deployed()
    wait(kube)
    seen = take_snapshot(kube, "vllm")
    container = seen.pods[0]["status"]["containerStatuses"][0]
    container["restartCount"] = 1
    container["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    assert judge(seen, now=kube.cluster.now).state == "done"
