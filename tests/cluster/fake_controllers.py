"""What a cluster's controllers and one kubelet do, one step at a time.

Only what a rollout can see of them: Deployment to ReplicaSet to Pod with Recreate and
RollingUpdate, StatefulSets, a scheduler that counts the GPU, and containers that pull, start,
become ready, crash, run out of memory and take their time to end.
"""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from autosre_lab.cluster.clock import rfc3339
from autosre_lab.cluster.kube import ExecResult, Object
from autosre_lab.errors import KubeError

if TYPE_CHECKING:
    from tests.cluster.fake_api import FakeCluster

__all__ = ["Behaviour", "Controllers", "answer"]

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
BACK_OFF_S = 10.0
EVENT_EVERY_S = 2.0


@dataclass
class Behaviour:
    """What the process of a container does.

    Attributes:
        pull_s: Seconds until the container is created.
        waits_for: A reason for which it is never created, with its message.
        event: A warning (reason, message) that the kubelet repeats while it waits.
        ready_s: Seconds from its start until it is ready; None for never.
        ends_s: Seconds after which it ends by itself; None for never.
        exit_code: How it ends then.
        reason: Kubernetes' word for it.
        stop_s: Seconds it takes to end when asked; cut off by the grace.
        log: Its lines.
        run: What a command in the container answers.
    """

    pull_s: float = 1.0
    waits_for: tuple[str, str] | None = None
    event: tuple[str, str] | None = None
    ready_s: float | None = 3.0
    ends_s: float | None = None
    exit_code: int = 1
    reason: str = "Error"
    stop_s: float = 2.0
    log: list[str] = field(default_factory=lambda: ["started"])
    run: Callable[[list[str]], ExecResult] | None = None


@dataclass
class _Run:
    """One container's course in one Pod."""

    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    restarts: int = 0
    last_ended: str | None = None
    asked_to_stop_at: float | None = None


class Controllers:
    """All of them, for one `FakeCluster`."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self._runs: dict[tuple[str, str], _Run] = {}
        self._progress: dict[str, tuple[str, float]] = {}

    def step(self) -> None:
        for deployment in self.cluster.all("Deployment"):
            self._deployment(copy.deepcopy(deployment))
        for replicaset in self.cluster.all("ReplicaSet"):
            self._replicaset(copy.deepcopy(replicaset))
        for statefulset in self.cluster.all("StatefulSet"):
            self._statefulset(copy.deepcopy(statefulset))
        for pod in self.cluster.all("Pod"):
            self._schedule(copy.deepcopy(pod))
        for pod in self.cluster.all("Pod"):
            self._kubelet(copy.deepcopy(pod))
        for deployment in self.cluster.all("Deployment"):
            self._deployment_status(copy.deepcopy(deployment))

    def logs(self, pod: str, container: str | None, *, previous: bool) -> list[str]:
        obj = next(one for one in self.cluster.all("Pod") if one["metadata"]["name"] == pod)
        name = container or obj["spec"]["containers"][0]["name"]
        run = self._runs.get((obj["metadata"]["uid"], name))
        if run is None or run.started_at is None or (previous and not run.restarts):
            return []
        return list(self.behaviour(name).log)

    def exec(self, pod: str, container: str | None, command: list[str]) -> ExecResult:
        obj = next(one for one in self.cluster.all("Pod") if one["metadata"]["name"] == pod)
        name = container or obj["spec"]["containers"][0]["name"]
        run = self._runs.get((obj["metadata"]["uid"], name))
        act = self.behaviour(name).run
        if run is None or run.started_at is None or run.ended_at is not None or act is None:
            raise KubeError("container not found", remedy="-", status=500, reason="InternalError")
        return act(command)

    def behaviour(self, container: str) -> Behaviour:
        return self.cluster.behaviours.get(container, Behaviour())

    # -- workloads -------------------------------------------------------------------------------

    def _deployment(self, deployment: Object) -> None:
        spec = deployment["spec"]
        sets = self._owned("ReplicaSet", deployment)
        digest = _template_hash(spec["template"])
        newest = next((one for one in sets if one["metadata"]["labels"][HASH] == digest), None)
        old = [one for one in sets if one["metadata"]["labels"][HASH] != digest]
        recreate = spec.get("strategy", {}).get("type") == "Recreate"
        if recreate:
            for one in old:
                self._set_replicas(one, 0)
            # Only Pods of other templates are waited for; those of the same one are not.
            if any(_holds(pod) for one in old for pod in self._owned("Pod", one)):
                self._observe(deployment)
                return
        if newest is None:
            number = 1 + max((int(_revision(one)) for one in sets), default=0)
            newest = self._new_replicaset(deployment, digest, number)
        deployment["metadata"].setdefault("annotations", {})[REVISION] = _revision(newest)
        self._set_replicas(newest, spec["replicas"])
        if not recreate and newest.get("status", {}).get("readyReplicas", 0) >= spec["replicas"]:
            for one in old:
                self._set_replicas(one, 0)
        self._observe(deployment)

    def _observe(self, deployment: Object) -> None:
        status = deployment.setdefault("status", {})
        status["observedGeneration"] = deployment["metadata"]["generation"]
        self.cluster.put(deployment)

    def _new_replicaset(self, deployment: Object, digest: str, revision: int) -> Object:
        template = copy.deepcopy(deployment["spec"]["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = digest
        return self.cluster.add(
            {
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{deployment['metadata']['name']}-{digest}",
                    "namespace": deployment["metadata"]["namespace"],
                    "labels": dict(template["metadata"]["labels"]),
                    "annotations": {REVISION: str(revision)},
                    "ownerReferences": [_owner(deployment)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": template["metadata"]["labels"]},
                    "template": template,
                },
            }
        )

    def _set_replicas(self, replicaset: Object, replicas: int) -> None:
        live = copy.deepcopy(self.cluster.objects[_key(replicaset)])
        live["spec"]["replicas"] = replicas
        self.cluster.put(live)

    def _replicaset(self, replicaset: Object) -> None:
        pods = self._owned("Pod", replicaset)
        active = [pod for pod in pods if _active(pod)]
        wanted, problem = replicaset["spec"]["replicas"], None
        for _ in range(wanted - len(active)):
            name = f"{replicaset['metadata']['name']}-{self._suffix()}"
            problem = self._new_pod(replicaset, name)
        for pod in active[: max(0, len(active) - wanted)]:
            self.cluster.begin_delete(pod, None)
        active = [pod for pod in self._owned("Pod", replicaset) if _active(pod)]
        status = replicaset.setdefault("status", {})
        status["replicas"] = len(active)
        status["readyReplicas"] = sum(map(_ready, active))
        status["observedGeneration"] = replicaset["metadata"]["generation"]
        status["conditions"] = [_failure(problem)] if problem else []
        self.cluster.put(replicaset)

    def _statefulset(self, statefulset: Object) -> None:
        metadata, wanted = statefulset["metadata"], statefulset["spec"]["replicas"]
        pods = {pod["metadata"]["name"]: pod for pod in self._owned("Pod", statefulset)}
        names = [f"{metadata['name']}-{number}" for number in range(wanted)]
        for name, pod in pods.items():
            if name not in names and _active(pod):
                self.cluster.begin_delete(pod, None)
        for name in names:
            if name not in pods:
                self._new_pod(statefulset, name)
        live = self._owned("Pod", statefulset)
        status = statefulset.setdefault("status", {})
        status.update(observedGeneration=metadata["generation"], replicas=len(live))
        status["readyReplicas"] = sum(map(_ready, live))
        self.cluster.put(statefulset)

    def _new_pod(self, owner: Object, name: str) -> str | None:
        """Create a Pod; return why it was refused."""
        template = copy.deepcopy(owner["spec"]["template"])
        runtime = template["spec"].get("runtimeClassName")
        if runtime and ("RuntimeClass", None, runtime) not in self.cluster.objects:
            return f'pods "{name}" is forbidden: pod rejected: RuntimeClass "{runtime}" not found'
        self.cluster.add(
            {
                "kind": "Pod",
                "metadata": {
                    **template.get("metadata", {}),
                    "name": name,
                    "namespace": owner["metadata"]["namespace"],
                    "ownerReferences": [_owner(owner)],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending"},
            }
        )
        return None

    def _deployment_status(self, deployment: Object) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        sets = self._owned("ReplicaSet", deployment)
        newest = [one for one in sets if _revision(one) == metadata["annotations"].get(REVISION)]
        status = deployment.setdefault("status", {})

        def total(of: list[Object], name: str) -> int:
            return sum(one.get("status", {}).get(name, 0) for one in of)

        status["replicas"] = total(sets, "replicas")
        status["updatedReplicas"] = total(newest, "replicas")
        status["readyReplicas"] = status["availableReplicas"] = total(sets, "readyReplicas")
        status["unavailableReplicas"] = max(0, spec["replicas"] - status["readyReplicas"])
        conditions = [
            cond for one in newest for cond in one.get("status", {}).get("conditions", [])
        ]
        conditions.append(self._progressing(deployment))
        status["conditions"] = conditions
        self.cluster.put(deployment)

    def _progressing(self, deployment: Object) -> Object:
        uid, status = deployment["metadata"]["uid"], deployment["status"]
        state = json.dumps(
            [
                deployment["metadata"]["generation"],
                status["readyReplicas"],
                status["updatedReplicas"],
            ]
        )
        if self._progress.get(uid, ("", 0.0))[0] != state:
            self._progress[uid] = (state, self.cluster.time)
        stuck_s = self.cluster.time - self._progress[uid][1]
        late = status["unavailableReplicas"] > 0 and stuck_s > deployment["spec"].get(
            "progressDeadlineSeconds", 600
        )
        reason = "ProgressDeadlineExceeded" if late else "ReplicaSetUpdated"
        return {"type": "Progressing", "status": "False" if late else "True", "reason": reason}

    # -- node ------------------------------------------------------------------------------------

    def _schedule(self, pod: Object) -> None:
        if pod["spec"].get("nodeName") or pod["metadata"].get("deletionTimestamp"):
            return
        (node,) = self.cluster.all("Node")
        problem = self._does_not_fit(pod, node)
        conditions = pod["status"].setdefault("conditions", [])
        before = next((one for one in conditions if one["type"] == "PodScheduled"), None)
        if problem is None:
            pod["spec"]["nodeName"] = node["metadata"]["name"]
            pod["status"]["conditions"] = [_condition("PodScheduled", "True", self.cluster.now)]
        elif before is None:
            found = _condition("PodScheduled", "False", self.cluster.now)
            conditions.append({**found, "reason": "Unschedulable", "message": problem})
            self.warn(pod, "FailedScheduling", problem)
        self.cluster.put(pod)

    def _does_not_fit(self, pod: Object, node: Object) -> str | None:
        if node["spec"].get("unschedulable"):
            return "0/1 nodes are available: 1 node(s) were unschedulable."
        for resource, wanted in _requests(pod).items():
            if resource in ("cpu", "memory"):
                continue
            have = int(node["status"]["allocatable"].get(resource, "0"))
            taken = sum(
                int(_requests(other).get(resource, 0))
                for other in self.cluster.all("Pod")
                if other["spec"].get("nodeName") and _holds(other)
            )
            if taken + int(wanted) > have:
                return f"0/1 nodes are available: 1 Insufficient {resource}."
        return None

    def warn(self, obj: Object, reason: str, message: str) -> None:
        """Write a warning event about an object, or count one that is there."""
        metadata = obj["metadata"]
        for event in self.cluster.all("Event", metadata["namespace"]):
            same = event["reason"] == reason and event["message"] == message
            if same and event["involvedObject"]["uid"] == metadata["uid"]:
                again = {**copy.deepcopy(event), "count": event["count"] + 1}
                self.cluster.put({**again, "lastTimestamp": self.cluster.stamp})
                return
        self.cluster.add(
            {
                "kind": "Event",
                "metadata": {
                    "name": f"{metadata['name']}.{self._suffix()}",
                    "namespace": metadata["namespace"],
                },
                "involvedObject": {
                    "kind": obj["kind"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
                "type": "Warning",
                "reason": reason,
                "message": message,
                "count": 1,
                "lastTimestamp": self.cluster.stamp,
            }
        )

    def _kubelet(self, pod: Object) -> None:
        metadata, status = pod["metadata"], pod["status"]
        if not pod["spec"].get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
            if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
                self.cluster.drop(pod)
            return
        statuses = [self._container(pod, one["name"]) for one in pod["spec"]["containers"]]
        ended = not any("running" in one["state"] for one in statuses)
        if metadata.get("deletionTimestamp") and ended and not metadata.get("finalizers"):
            self.cluster.drop(pod)
            return
        running = any("running" in one["state"] or one["restartCount"] for one in statuses)
        ready = all(one["ready"] for one in statuses)
        status["phase"] = "Running" if running else "Pending"
        status["containerStatuses"] = statuses
        kept = [one for one in status.get("conditions", []) if one["type"] != "Ready"]
        before = [one for one in status.get("conditions", []) if one["type"] == "Ready"]
        word = "True" if ready else "False"
        if not before or before[0]["status"] != word:
            before = [_condition("Ready", word, self.cluster.now)]
        status["conditions"] = [*kept, *before]
        self.cluster.put(pod)

    def _container(self, pod: Object, name: str) -> Object:
        now, behaviour = self.cluster.time, self.behaviour(name)
        key = (pod["metadata"]["uid"], name)
        run = self._runs.setdefault(key, _Run(created_at=now))
        ending = bool(pod["metadata"].get("deletionTimestamp"))
        if run.started_at is None and not ending:
            if behaviour.waits_for is not None or behaviour.event is not None:
                if behaviour.event and (now - run.created_at) % EVENT_EVERY_S == 0:
                    self.warn(pod, *behaviour.event)
                return _waiting(name, *(behaviour.waits_for or ("ContainerCreating", "")))
            if now - run.created_at < behaviour.pull_s:
                return _waiting(name, "ContainerCreating", "")
            run.started_at = now
        if run.started_at is None:
            return _waiting(name, "ContainerCreating", "")
        self._maybe_end(pod, run, behaviour, ending=ending)
        return self._told(pod, name, run, behaviour)

    def _maybe_end(self, pod: Object, run: _Run, behaviour: Behaviour, *, ending: bool) -> None:
        now = self.cluster.time
        assert run.started_at is not None
        if run.ended_at is not None:
            if not ending and now - run.ended_at >= BACK_OFF_S:
                run.started_at, run.ended_at, run.restarts = now, None, run.restarts + 1
            return
        if behaviour.ends_s is not None and now - run.started_at >= behaviour.ends_s:
            run.ended_at, run.last_ended = now, self.cluster.stamp
        elif ending:
            grace = pod["metadata"]["deletionGracePeriodSeconds"]
            run.asked_to_stop_at = run.asked_to_stop_at if run.asked_to_stop_at is not None else now
            if now - run.asked_to_stop_at >= min(behaviour.stop_s, grace):
                run.ended_at, run.last_ended = now, self.cluster.stamp

    def _told(self, pod: Object, name: str, run: _Run, behaviour: Behaviour) -> Object:
        assert run.started_at is not None
        started = rfc3339(self.cluster.now - timedelta(seconds=self.cluster.time - run.started_at))
        ended: Object = {"exitCode": behaviour.exit_code, "reason": behaviour.reason}
        if run.last_ended is not None:
            ended["finishedAt"] = run.last_ended
        told: Object = {"name": name, "restartCount": run.restarts, "ready": False, "lastState": {}}
        if run.restarts:
            told["lastState"] = {"terminated": ended}
        if run.ended_at is None:
            ran = self.cluster.time - run.started_at
            told["ready"] = behaviour.ready_s is not None and ran >= behaviour.ready_s
            told["state"] = {"running": {"startedAt": started}}
        elif run.restarts and not pod["metadata"].get("deletionTimestamp"):
            told["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
            told["lastState"] = {"terminated": ended}
        else:
            told["state"] = {"terminated": ended}
        return told

    def _owned(self, kind: str, owner: Object) -> list[Object]:
        uid = owner["metadata"]["uid"]
        return [
            one
            for one in self.cluster.all(kind, owner["metadata"]["namespace"])
            if any(ref["uid"] == uid for ref in one["metadata"].get("ownerReferences", []))
        ]

    def _suffix(self) -> str:
        return f"{len(self.cluster.history):05d}"


def _key(obj: Object) -> tuple[str, str | None, str]:
    return obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]


def _template_hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def _revision(obj: Object) -> str:
    return str(obj["metadata"].get("annotations", {}).get(REVISION, "0"))


def _owner(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def _holds(pod: Object) -> bool:
    return pod["status"].get("phase") not in ("Failed", "Succeeded")


def _active(pod: Object) -> bool:
    return _holds(pod) and not pod["metadata"].get("deletionTimestamp")


def _ready(pod: Object) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in pod["status"].get("conditions", [])
    )


def _requests(pod: Object) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for container in pod["spec"]["containers"]:
        resources = container.get("resources", {})
        for name, value in {**resources.get("limits", {}), **resources.get("requests", {})}.items():
            total[name] = total.get(name, 0) + int(value) if str(value).isdigit() else value
    return total


def _failure(message: str) -> Object:
    return {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": message,
    }


def _condition(kind: str, status: str, now: datetime) -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": rfc3339(now)}


def _waiting(name: str, reason: str, message: str) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": name, "restartCount": 0, "ready": False, "state": state, "lastState": {}}


def answer(command: list[str]) -> ExecResult:
    """Run a command here, as a container with a shell would; for scripted behaviours."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError as error:
        raise KubeError(str(error), remedy="-", status=500, reason="InternalError") from error
    return ExecResult(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
