"""What the API server says, and what it means for a rollout: every edge, with nothing running."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.verdict import (
    RECENT_S,
    REPEATED,
    UNSCHEDULABLE_S,
    Past,
    Snapshot,
    Verdict,
    holds_processes,
    is_ending,
    judge,
    newest_pods,
    owned,
    past_of,
)
from tests.cluster.newer_objects import grown

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
REVISION = "deployment.kubernetes.io/revision"
LOG = "see the log lines above for the cause"
OOM = (
    "raise resources.memory.limit, or lower what the engine takes: engine.args."
    "gpu-memory-utilization, model.context, VLLM_CPU_KVCACHE_SPACE"
)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def deployment(replicas: int | None = 1, **status: Any) -> Object:
    return {
        "metadata": {"name": "vllm", "generation": 2, "annotations": {REVISION: "2"}},
        "spec": {} if replicas is None else {"replicas": replicas},
        "status": {"observedGeneration": 2, **status},
    }


def replica_set(revision: str | None = "2", uid: str = "rs2") -> Object:
    notes = {} if revision is None else {"annotations": {REVISION: revision}}
    return {"metadata": {"uid": uid, **notes}}


def container(**given: Any) -> Object:
    return {"name": "vllm", "image": "vllm:1", "restartCount": 0, "state": {}, **given}


def pod(name: str = "p", *, of: str = "rs2", ready: bool = False, **status: Any) -> Object:
    conditions = [{"type": "Other", "status": "True"}]
    if ready:
        conditions = [*conditions, {"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "ownerReferences": [{"uid": of}]},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def crashed(code: int, reason: str = "Error", **given: Any) -> Object:
    return container(state={"terminated": {"exitCode": code, "reason": reason}}, **given)


def seen(*pods: Object, **given: Any) -> Snapshot:
    whole: dict[str, Any] = {
        "deployment": deployment(),
        "replica_sets": [replica_set("1", "rs1"), replica_set()],
        "pods": list(pods),
        "events": [],
    }
    return Snapshot(**{**whole, **given})


def verdict(*pods: Object, past: Past | None = None, **given: Any) -> Verdict:
    """Judge; what the newest servers add to the same objects must change nothing."""
    snapshot = seen(*pods, **given)
    found = judge(snapshot, now=NOW, past=past)
    newer = Snapshot(
        deployment=snapshot.deployment and grown(snapshot.deployment, "Deployment"),
        replica_sets=[grown(one, "ReplicaSet") for one in snapshot.replica_sets],
        pods=[grown(one, "Pod") for one in snapshot.pods],
        events=snapshot.events,
    )
    assert judge(newer, now=NOW, past=past) == found
    assert past_of(newer, NOW) == past_of(snapshot, NOW)
    return found


def waiting(message: str, name: str | None = None) -> Verdict:
    return Verdict(state="waiting", message=message, pod=name)


def failed(reason: str, message: str, remedy: str, *, restarted: bool = False) -> Verdict:
    return Verdict(
        state="failed",
        message=f"Pod p: {reason}: {message}",
        reason=reason,
        remedy=remedy,
        pod="p",
        restarted=restarted,
    )


def test_no_deployment_at_all() -> None:
    assert verdict(deployment=None) == Verdict(
        state="failed",
        message="there is no such Deployment",
        reason="NotFound",
        remedy="start the stack: autosre start",
    )


@pytest.mark.parametrize(
    ("metadata", "status", "late"),
    [
        ({"generation": 2}, {"observedGeneration": 1}, True),
        ({"generation": 2}, {"observedGeneration": 2}, False),
        ({"generation": 2}, {"observedGeneration": 3}, False),
        ({"generation": 1}, {}, True),
        ({}, None, True),
        ({}, {"observedGeneration": 1}, False),
        ({}, {"observedGeneration": 0}, True),
    ],
)
def test_a_controller_that_has_not_seen_the_change(
    metadata: Object, status: Object | None, late: bool
) -> None:
    one = {"metadata": metadata, "spec": {}, "status": status}
    found = verdict(deployment=one, replica_sets=[replica_set(None)])
    controller = waiting("waiting for the Deployment's controller")
    assert found == (controller if late else waiting("waiting for the Pod"))


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        (
            {"message": 'RuntimeClass "nvidia" not found', "reason": "FailedCreate2"},
            "FailedCreate2",
            "create the RuntimeClass, or take resources.gpu.runtime_class out of the recipe",
        ),
        (
            {"message": "exceeded quota"},
            "FailedCreate",
            "see the message; quotas and admission rules of the namespace refuse Pods",
        ),
        (
            {},
            "FailedCreate",
            "see the message; quotas and admission rules of the namespace refuse Pods",
        ),
    ],
)
def test_pods_that_may_not_be_created(said: Object, reason: str, remedy: str) -> None:
    refusal = {"type": "ReplicaFailure", "status": "True", **said}
    harmless = [
        {"type": "Progressing", "status": "True"},
        {"type": "ReplicaFailure", "status": "False"},
    ]
    assert verdict(deployment=deployment(conditions=[*harmless, refusal])) == Verdict(
        state="failed",
        message=f"no Pod can be created: {said.get('message', '')}",
        reason=reason,
        remedy=remedy,
    )
    assert verdict(deployment=deployment(conditions=harmless)) == waiting("waiting for the Pod")


def test_replicas_are_counted() -> None:
    one, two = pod("a", ready=True), pod("b", ready=True)
    done = Verdict(state="done", message="ready", pod="a")
    assert verdict(one) == done
    assert verdict(one, deployment=deployment(None)) == done
    assert verdict(one, deployment=deployment(2)) == waiting("waiting for the Pod")
    assert verdict(one, pod("b"), deployment=deployment(2)) == waiting("Running", "b")
    assert verdict(one, two, deployment=deployment(2)) == done
    none = Verdict(state="done", message="ready")
    assert verdict(deployment=deployment(0), replica_sets=[]) == none
    assert verdict(deployment=deployment(1), replica_sets=[]) == waiting(
        "waiting for the ReplicaSet"
    )
    assert verdict(one, replica_sets=[replica_set("1", "rs1")]).message == (
        "waiting for the ReplicaSet"
    )


def test_old_pods_are_waited_for_while_they_hold_processes() -> None:
    new, old = pod("n", ready=True), pod("o", of="rs1", ready=True)
    assert verdict(new, old) == waiting("waiting for o to end")
    assert verdict(old) == waiting("waiting for o to end")
    ended = pod("o", of="rs1", phase="Succeeded")
    assert verdict(new, ended).state == "done"
    ending = pod("n", ready=True)
    ending["metadata"]["deletionTimestamp"] = ago(1)
    assert verdict(ending) == waiting("waiting for n to end")
    assert is_ending(ending)
    assert not is_ending(new)


def test_a_pod_that_is_ready_but_has_ended_is_not_ready() -> None:
    assert verdict(pod(ready=True, phase="Succeeded")) == waiting("Succeeded", "p")
    assert verdict(pod(conditions=[{"type": "Ready", "status": "False"}])).state == "waiting"
    assert verdict(pod(conditions=None)) == waiting("Running", "p")


def test_what_ended_before_the_wait_is_not_held_against_it() -> None:
    evicted = pod("old", phase="Failed", reason="Evicted")
    assert verdict(evicted).state == "failed"
    assert verdict(evicted, past=Past(ended=frozenset({"uid-old"}))) == waiting(
        "waiting for the Pod"
    )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"containerStatuses": [container(state={"waiting": {"reason": "Pulling"}})]}, "Pulling"),
        ({"containerStatuses": [container(state={"waiting": {}})]}, "waiting"),
        ({"containerStatuses": [container(state={"running": {}})]}, "running, not ready"),
        ({"containerStatuses": [container(state=None)]}, "Running"),
        (
            {
                "containerStatuses": [
                    container(state={}),
                    container(state={"waiting": {"reason": "Second"}}),
                ]
            },
            "Second",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1"}]},
            "no node yet: 0/1",
        ),
        ({"conditions": [{"type": "PodScheduled", "status": "False"}]}, "no node yet: "),
        ({"conditions": [{"type": "PodScheduled", "status": "True"}]}, "Running"),
        ({"conditions": [{"type": "Initialized", "status": "False"}]}, "Running"),
        ({"phase": None}, "None"),
    ],
)
def test_what_a_pod_is_at(status: Object, message: str) -> None:
    assert verdict(pod(**status)) == waiting(message, "p")


def test_a_pod_without_a_status_is_pending() -> None:
    bare = pod()
    del bare["status"]
    assert verdict(bare) == waiting("Pending", "p")
    bare["status"] = {}
    assert verdict(bare) == waiting("Pending", "p")


@pytest.mark.parametrize(
    ("one", "right"),
    [
        (crashed(1), failed("Error", "its container ended (exit code 1)", LOG)),
        (crashed(137), failed("Error", "its container ended (exit code 137)", OOM)),
        (
            crashed(1, "OOMKilled"),
            failed(
                "OOMKilled",
                "its container was killed for taking more memory than its limit (exit code 1)",
                OOM,
            ),
        ),
        (
            container(state={"terminated": {"exitCode": 3}}),
            failed("Error", "its container ended (exit code 3)", LOG),
        ),
        (
            container(
                restartCount=1,
                state={"running": {}},
                lastState={"terminated": {"exitCode": 2, "reason": "Error"}},
            ),
            failed("Error", "its container ended (exit code 2)", LOG, restarted=True),
        ),
        (
            container(
                restartCount=4,
                state={"terminated": {"exitCode": 5, "reason": "Now"}},
                lastState={"terminated": {"exitCode": 2, "reason": "Before"}},
            ),
            failed("Now", "its container ended (exit code 5)", LOG),
        ),
        (
            container(state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}}),
            failed(
                "ErrImagePull",
                "no such image",
                "import the image into the node's containerd (`autosre image` for the proxy), "
                "or fix image.ref",
            ),
        ),
        (
            container(state={"waiting": {"reason": "RegistryUnavailable", "message": "m"}}),
            failed(
                "RegistryUnavailable",
                "m",
                "import the image into the node's containerd, or make the registry reachable from "
                "the node",
            ),
        ),
        (
            container(state={"waiting": {"reason": "InvalidImageName"}}),
            failed("InvalidImageName", "the image is vllm:1", "fix image.ref in the recipe"),
        ),
        (
            container(restartCount=2, state={"waiting": {"reason": "CrashLoopBackOff"}}),
            failed(
                "CrashLoopBackOff",
                "the image is vllm:1",
                "see the log lines above for the cause",
                restarted=True,
            ),
        ),
        (
            container(restartCount=1, state={"waiting": {"reason": "CrashLoopBackOff"}}),
            failed("CrashLoopBackOff", "the image is vllm:1", LOG, restarted=True),
        ),
    ],
)
def test_a_container_that_will_not_come(one: Object, right: Verdict) -> None:
    assert verdict(pod(containerStatuses=[one])) == right
    assert verdict(pod(initContainerStatuses=[one])) == right
    fine = container(name="sidecar", ready=True, state={"running": {}})
    assert verdict(pod(containerStatuses=[fine, one])) == right
    done = container(name="first", state={"terminated": {"exitCode": 0}})
    assert verdict(pod(initContainerStatuses=[done, one])) == right


@pytest.mark.parametrize(
    "one",
    [
        container(state={"waiting": {"reason": "ContainerCreating"}}),
        container(state={"waiting": {}}),
        container(state={"running": {}}, lastState={"terminated": {"exitCode": 1}}),
        container(ready=True, restartCount=3, lastState={"terminated": {"exitCode": 1}}),
        {"name": "vllm", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}},
        {"name": "vllm"},
    ],
)
def test_a_container_that_may_still_come(one: Object) -> None:
    assert verdict(pod(containerStatuses=[one])).state == "waiting"


def test_a_sidecar_is_judged_like_any_container() -> None:
    """From 1.29 on an init container may go on beside the others (`restartPolicy: Always`)."""
    last = {"terminated": {"exitCode": 1, "finishedAt": ago(RECENT_S + 1)}}
    well = container(name="mesh", ready=True, restartCount=2, lastState=last)
    well["state"] = {"running": {}}
    engine = container(state={"running": {}})
    one = pod(initContainerStatuses=[well], containerStatuses=[engine])
    assert verdict(one) == waiting("running, not ready", "p")
    unready = pod(initContainerStatuses=[{**well, "ready": False}], containerStatuses=[engine])
    assert verdict(unready).state == "failed"
    past = past_of(seen(unready), NOW)
    assert past == Past(restarts=frozenset({("uid-p", "mesh", 2)}))
    assert verdict(unready, past=past) == waiting("running, not ready", "p")


def test_a_restart_of_long_ago_is_forgiven_while_the_container_runs() -> None:
    last = {"terminated": {"exitCode": 1, "finishedAt": ago(RECENT_S + 1)}}
    running = container(restartCount=3, state={"running": {}}, lastState=last)
    one = pod(containerStatuses=[running])
    past = past_of(seen(one), NOW)
    assert past == Past(restarts=frozenset({("uid-p", "vllm", 3)}))
    assert verdict(one, past=past) == waiting("running, not ready", "p")
    again = pod(containerStatuses=[{**running, "restartCount": 4}])
    assert verdict(again, past=past).state == "failed"
    stuck = container(restartCount=3, state={"waiting": {}}, lastState=last)
    assert verdict(pod(containerStatuses=[stuck]), past=past).state == "failed"
    both = pod(containerStatuses=[running, crashed(1, name="other")])
    assert verdict(both, past=past).state == "failed"


def test_only_what_is_long_past_is_forgiven() -> None:
    def at(seconds: float, **given: Any) -> Object:
        last = {"terminated": {"finishedAt": ago(seconds)}}
        return pod(containerStatuses=[container(restartCount=1, lastState=last, **given)])

    assert past_of(seen(at(RECENT_S)), NOW) == Past()
    assert past_of(seen(at(RECENT_S + 1)), NOW).restarts == {("uid-p", "vllm", 1)}
    without = at(RECENT_S + 1)
    del without["status"]["containerStatuses"][0]["restartCount"]
    assert past_of(seen(without), NOW).restarts == {("uid-p", "vllm", 0)}
    bare = {"metadata": {"uid": "u", "name": "b"}}
    quiet = pod("q", containerStatuses=[container(lastState=None), container()])
    ended = pod("e", phase="Failed")
    found = past_of(seen(bare, quiet, ended, at(RECENT_S + 1)), NOW)
    assert found == Past(restarts=frozenset({("uid-p", "vllm", 1)}), ended=frozenset({"uid-e"}))


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (
            {"reason": "Evicted", "message": "low on memory"},
            (
                "Evicted",
                "low on memory",
                "free memory and disk on the node: kubectl describe node",
            ),
        ),
        ({"reason": "Other"}, ("Other", "it ended", "kubectl describe pod")),
        ({}, ("Failed", "it ended", "kubectl describe pod")),
    ],
)
def test_a_pod_that_failed(given: Object, right: tuple[str, str, str]) -> None:
    assert verdict(pod(phase="Failed", **given)) == failed(*right)


def unscheduled(seconds: float | None, **given: Any) -> Object:
    since = {} if seconds is None else {"lastTransitionTime": ago(seconds)}
    other = {"type": "Initialized", "status": "False", "lastTransitionTime": ago(9999)}
    return pod(conditions=[other, {"type": "PodScheduled", "status": "False", **since, **given}])


def test_no_node_for_a_minute_is_a_failure() -> None:
    nodes = "see the message: kubectl describe pod, kubectl describe nodes"
    assert verdict(unscheduled(UNSCHEDULABLE_S)).state == "waiting"
    assert verdict(unscheduled(None)).state == "waiting"
    assert verdict(unscheduled(UNSCHEDULABLE_S + 1)) == failed(
        "Unschedulable", "no node takes it: ", nodes
    )
    told = unscheduled(61, reason="SchedulerError", message="0/1 nodes: odd")
    assert verdict(told) == failed("SchedulerError", "no node takes it: 0/1 nodes: odd", nodes)
    two = unscheduled(61, message="0/2: 1 Insufficient memory, 1 had unschedulable taints")
    assert verdict(two).remedy == (
        "stop something on the node, or lower the recipe's resources; put up with the node's "
        "taint (AUTOSRE_TOLERATIONS=key:NoSchedule), or take it away: kubectl taint node NODE "
        "key-; the node is cordoned: kubectl uncordon NODE"
    )
    later = judge(seen(unscheduled(90)), now=NOW, unschedulable_s=90)
    assert later.state == "waiting"


def event(**given: Any) -> Object:
    whole = {
        "reason": "FailedMount",
        "message": "hostPath type check failed",
        "involvedObject": {"uid": "uid-p"},
        "count": REPEATED,
    }
    return {name: one for name, one in {**whole, **given}.items() if one is not None}


@pytest.mark.parametrize(
    "said",
    [
        event(),
        event(count="5"),
        event(count=None, series={"count": REPEATED}),
        event(count=0, series={"count": REPEATED}),
        event(message="no such file or directory"),
        event(reason="FailedCreatePodSandBox", message="no runtime for nvidia"),
    ],
)
def test_an_event_that_comes_again_and_again_is_a_failure(said: Object) -> None:
    remedy = (
        "make the folder or the object that it names on the node, or fix the recipe's storage and "
        "resources.gpu.runtime_class"
    )
    assert verdict(pod(), events=[event(count=1), said]) == failed(
        said["reason"], said["message"], remedy
    )


@pytest.mark.parametrize(
    "said",
    [
        event(count=REPEATED - 1),
        event(count=None),
        event(count=None, series={"count": REPEATED - 1}),
        event(reason="Pulled"),
        event(reason=None),
        event(message="timed out"),
        event(message=None),
        event(involvedObject={"uid": "uid-other"}),
        event(involvedObject=None),
        event(reason="FailedCreatePodSandBox"),
    ],
)
def test_other_events_are_none(said: Object) -> None:
    assert verdict(pod(), events=[said]).state == "waiting"


@pytest.mark.parametrize(
    ("status", "holds"),
    [
        ({"phase": "Running"}, True),
        ({"phase": "Pending"}, True),
        ({"phase": "Succeeded"}, False),
        ({"phase": "Failed"}, False),
        ({"phase": "Failed", "containerStatuses": [container(state={"running": {}})]}, True),
        ({"phase": "Failed", "containerStatuses": [crashed(1), container(state=None)]}, False),
        (None, True),
    ],
)
def test_which_pods_may_still_hold_a_process(status: Object | None, holds: bool) -> None:
    assert holds_processes({"metadata": {}, "status": status}) is holds


def test_whose_pod_it_is() -> None:
    newest = replica_set()
    assert owned(pod(), by=[replica_set("1", "rs1"), newest])
    assert not owned(pod(of="rs9"), by=[newest])
    assert not owned({"metadata": {"ownerReferences": None}}, by=[newest])
    mine, other = pod("m"), pod("o", of="rs1")
    assert newest_pods(seen(other, mine)) == [mine]
    assert newest_pods(seen(mine, replica_sets=[])) == []
