"""What a Deployment's newest ReplicaSet, its Pods and their events mean: pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from autosre_lab.cluster.clock import parse_time
from autosre_lab.cluster.kube import Object

__all__ = [
    "UNSCHEDULABLE_S",
    "Past",
    "Snapshot",
    "Verdict",
    "holds_processes",
    "is_ending",
    "judge",
    "newest_pods",
    "owned",
    "past_of",
]

UNSCHEDULABLE_S = 60.0
"""Seconds that a Pod may find no node; the one before it may still be leaving."""
RECENT_S = 300.0
"""A container that ended longer ago than this before a wait is none of its business."""
REPEATED = 3
"""Times that the kubelet must have failed at something that it tries again and again."""

_REVISION = "deployment.kubernetes.io/revision"

# Reasons that do not fix themselves, and what to do about each.
_FATAL_WAITS = {
    "ErrImagePull": "import the image into the node's containerd (`autosre image` for the proxy), "
    "or fix image.ref",
    "ImagePullBackOff": "import the image into the node's containerd (`autosre image` for the "
    "proxy), or fix image.ref",
    "ErrImageNeverPull": "import the image into the node's containerd",
    "InvalidImageName": "fix image.ref in the recipe",
    "CreateContainerConfigError": "create the Secret or ConfigMap that it names",
    "CreateContainerError": "see the message; often a mount or a command that is not in the image",
    "RunContainerError": "see the message; often a command that is not in the image",
    "CrashLoopBackOff": "see the log lines above for the cause",
    "ImageInspectError": "see the message; the node's containerd cannot read the image",
    "RegistryUnavailable": "import the image into the node's containerd, or make the registry "
    "reachable from the node",
    "SignatureValidationFailed": "the node wants a signed image: sign it, or import one that is",
}
_FATAL_EVENTS = {
    # Kubelet tries these for ever.
    "FailedMount": r"type check failed|not found|no such file",
    "FailedCreatePodSandBox": r"no runtime for|runtime handler|not supported",
}
_PLACING = (
    (
        r"Insufficient (?!cpu|memory|ephemeral|pods)",
        "give the whole GPU to it: autosre start --dedicated; or stop what holds the device",
    ),
    (
        r"Insufficient (cpu|memory|ephemeral)",
        "stop something on the node, or lower the recipe's resources",
    ),
    (
        r"node affinity|node selector|nodeSelector",
        "no node has the labels that are asked for: see `kubectl get nodes --show-labels`, then "
        "label the node, or correct image.arch in the recipe or AUTOSRE_NODE_SELECTOR",
    ),
    (
        r"taint",
        "put up with the node's taint (AUTOSRE_TOLERATIONS=key:NoSchedule), or take it away: "
        "kubectl taint node NODE key-",
    ),
    (r"unschedulable", "the node is cordoned: kubectl uncordon NODE"),
    (r"Too many pods|Insufficient pods", "stop some Pods on the node, or raise its limit"),
    (r"free ports", "another Pod has the port on the node"),
)
"""Words of the scheduler, and what helps."""

_OOM_REMEDY = (
    "raise resources.memory.limit, or lower what the engine takes: engine.args."
    "gpu-memory-utilization, model.context, VLLM_CPU_KVCACHE_SPACE"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the API server says about one Deployment at one moment.

    Attributes:
        deployment: The Deployment; None if there is none.
        replica_sets: Those that it owns.
        pods: Those that these own, ending ones included.
        events: About the Pods.
    """

    deployment: Object | None
    replica_sets: list[Object]
    pods: list[Object]
    events: list[Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What had happened before a wait began, and is not held against the rollout.

    Attributes:
        restarts: How often each container (Pod's uid, name) had been restarted long before.
        ended: Pods that had ended: evicted ones stay in the list for days.
    """

    restarts: frozenset[tuple[str, str, int]] = frozenset()
    ended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a snapshot means.

    Attributes:
        state: ``done``: as asked for; ``waiting``; ``failed``: it will not come.
        message: In a sentence.
        reason: Kubernetes' own word; empty while nothing is wrong.
        remedy: What to do, where it failed.
        pod: The Pod that is meant.
        restarted: Whether the log of interest is that of the container before.
    """

    state: Literal["waiting", "done", "failed"]
    message: str
    reason: str = ""
    remedy: str = ""
    pod: str | None = None
    restarted: bool = False


def judge(
    seen: Snapshot,
    *,
    now: datetime,
    unschedulable_s: float = UNSCHEDULABLE_S,
    past: Past | None = None,
) -> Verdict:
    """Return what a snapshot means."""
    past = past or Past()
    deployment = seen.deployment
    if deployment is None:
        return Verdict(
            state="failed",
            message="there is no such Deployment",
            reason="NotFound",
            remedy="start the stack: autosre start",
        )
    meta, status = deployment["metadata"], deployment.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 1):
        return Verdict(state="waiting", message="waiting for the Deployment's controller")
    if refused := _refused(status):
        return refused
    wanted = deployment["spec"].get("replicas", 1)
    newest = _newest_set(seen)
    if wanted and newest is None:
        return Verdict(state="waiting", message="waiting for the ReplicaSet")
    current = [pod for pod in newest_pods(seen) if pod["metadata"]["uid"] not in past.ended]
    ready = [pod for pod in current if holds_processes(pod) and _is_ready(pod)]
    old = [pod for pod in seen.pods if pod not in current and holds_processes(pod)]
    if len(ready) >= wanted and not old:
        return Verdict(state="done", message="ready", pod=_name(ready[0]) if ready else None)
    for pod in current:
        if (bad := _hopeless(pod, seen.events, now, unschedulable_s, past)) is not None:
            return bad
    if old:
        return Verdict(state="waiting", message=f"waiting for {_name(old[0])} to end")
    waiting = next((pod for pod in current if pod not in ready), None)
    if waiting is None:
        return Verdict(state="waiting", message="waiting for the Pod")
    return Verdict(state="waiting", message=_what_it_is_at(waiting), pod=_name(waiting))


def _refused(status: Object) -> Verdict | None:
    for condition in status.get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            said = condition.get("message", "")
            remedy = (
                "create the RuntimeClass, or take resources.gpu.runtime_class out of the recipe"
                if "RuntimeClass" in said
                else "see the message; quotas and admission rules of the namespace refuse Pods"
            )
            return Verdict(
                state="failed",
                message=f"no Pod can be created: {said}",
                reason=condition.get("reason", "FailedCreate"),
                remedy=remedy,
            )
    return None


def _hopeless(
    pod: Object, events: Iterable[Object], now: datetime, unschedulable_s: float, past: Past
) -> Verdict | None:
    status = pod.get("status") or {}
    first = status.get("initContainerStatuses") or []
    for container in [*first, *(status.get("containerStatuses") or [])]:
        known = (pod["metadata"]["uid"], container["name"], container.get("restartCount", 0))
        state = container.get("state") or {}
        if container.get("ready") or ("running" in state and known in past.restarts):
            continue
        if container in first and (state.get("terminated") or {}).get("exitCode") == 0:
            continue
        if (bad := _ended_or_stuck(pod, container)) is not None:
            return bad
    if status.get("phase") == "Failed":
        reason = status.get("reason", "Failed")
        return _failed(
            pod,
            reason,
            status.get("message") or "it ended",
            "free memory and disk on the node: kubectl describe node"
            if reason == "Evicted"
            else "kubectl describe pod",
        )
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            since = parse_time(condition.get("lastTransitionTime"))
            if since is not None and (now - since).total_seconds() > unschedulable_s:
                return _failed(
                    pod,
                    condition.get("reason", "Unschedulable"),
                    f"no node takes it: {condition.get('message', '')}",
                    _placing(str(condition.get("message", ""))),
                )
    for event in events:
        pattern = _FATAL_EVENTS.get(event.get("reason", ""))
        about = event.get("involvedObject", {}).get("uid") == pod["metadata"]["uid"]
        # Once is nothing: what a new Pod needs may come a moment after it.
        often = about and _times(event) >= REPEATED
        if pattern and often and re.search(pattern, event.get("message", "")):
            return _failed(
                pod,
                event["reason"],
                event["message"],
                "make the folder or the object that it names on the node, or fix the recipe's "
                "storage and resources.gpu.runtime_class",
            )
    return None


def _times(event: Object) -> int:
    """How often it happened: events of the newer API count in a series of their own."""
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or event.get("deprecatedCount") or 1)


def _placing(message: str) -> str:
    """Return what to do about a Pod that no node takes, by the scheduler's own words."""
    found = [remedy for pattern, remedy in _PLACING if re.search(pattern, message)]
    return "; ".join(found) or "see the message: kubectl describe pod, kubectl describe nodes"


def _ended_or_stuck(pod: Object, container: Object) -> Verdict | None:
    state = container.get("state") or {}
    last = (container.get("lastState") or {}).get("terminated")
    ended = state.get("terminated") or last
    restarts = container.get("restartCount", 0)
    if ended is not None and (state.get("terminated") or restarts > 0):
        code = ended.get("exitCode")
        # Python's own allocation failures also end in 137 where the kernel kills.
        oom = ended.get("reason") == "OOMKilled"
        reason = "OOMKilled" if oom else ended.get("reason", "Error")
        what = "was killed for taking more memory than its limit" if oom else "ended"
        return _failed(
            pod,
            reason,
            f"its container {what} (exit code {code})",
            _OOM_REMEDY if oom or code == 137 else "see the log lines above for the cause",
            restarted=state.get("terminated") is None,
        )
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _FATAL_WAITS:
        return _failed(
            pod,
            reason,
            waiting.get("message") or f"the image is {container.get('image')}",
            _FATAL_WAITS[reason],
            restarted=restarts > 0,
        )
    return None


def _failed(
    pod: Object, reason: str, message: str, remedy: str, *, restarted: bool = False
) -> Verdict:
    return Verdict(
        state="failed",
        message=f"Pod {_name(pod)}: {reason}: {message}",
        reason=reason,
        remedy=remedy,
        pod=_name(pod),
        restarted=restarted,
    )


def _what_it_is_at(pod: Object) -> str:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or []:
        state = container.get("state") or {}
        if "waiting" in state:
            return str(state["waiting"].get("reason", "waiting"))
        if "running" in state:
            return "running, not ready"
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"no node yet: {condition.get('message', '')}"
    return str(status.get("phase", "Pending"))


def _newest_set(seen: Snapshot) -> Object | None:
    assert seen.deployment is not None  # noqa: S101 - the caller saw to it
    revision = (seen.deployment["metadata"].get("annotations") or {}).get(_REVISION)
    for one in seen.replica_sets:
        if (one["metadata"].get("annotations") or {}).get(_REVISION) == revision:
            return one
    return None


def newest_pods(seen: Snapshot) -> list[Object]:
    """Return the Pods of the newest template that are not ending."""
    newest = _newest_set(seen)
    if newest is None:
        return []
    return [pod for pod in seen.pods if owned(pod, by=[newest]) and not is_ending(pod)]


def past_of(seen: Snapshot, now: datetime) -> Past:
    """Return what is not held against a rollout that is waited for from now on."""
    restarts = set()
    for pod in seen.pods:
        status = pod.get("status") or {}
        first = status.get("initContainerStatuses") or []  # a sidecar is one of them
        for container in [*first, *(status.get("containerStatuses") or [])]:
            last = (container.get("lastState") or {}).get("terminated") or {}
            ended = parse_time(last.get("finishedAt"))
            if ended is not None and (now - ended).total_seconds() > RECENT_S:
                uid, count = pod["metadata"]["uid"], container.get("restartCount", 0)
                restarts.add((uid, container["name"], count))
    ended_pods = {pod["metadata"]["uid"] for pod in seen.pods if not holds_processes(pod)}
    return Past(restarts=frozenset(restarts), ended=frozenset(ended_pods))


def holds_processes(pod: Object) -> bool:
    """Whether a Pod may still have a process: one that has ended stays in the list."""
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    running = any("running" in (one.get("state") or {}) for one in containers)
    return running or status.get("phase") not in ("Succeeded", "Failed")


def is_ending(pod: Object) -> bool:
    """Whether a Pod was told to end."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def owned(obj: Object, *, by: Iterable[Object]) -> bool:
    """Whether one of the objects owns it."""
    owners = {owner.get("uid") for owner in obj["metadata"].get("ownerReferences") or []}
    return any(one["metadata"]["uid"] in owners for one in by)


def _is_ready(pod: Object) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (pod.get("status") or {}).get("conditions") or []
    )


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
