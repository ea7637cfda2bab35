"""Whether a Deployment has become what was asked for, and if it never will, why.

Kubernetes' own answers are of no use here: ``rollout status`` calls a Deployment at zero replicas
rolled out while its Pod still holds the GPU, and the progress deadline only tells that something
takes long. So the newest ReplicaSet's Pods are judged themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from autosre_lab.cluster.clock import SYSTEM_CLOCK, Clock, parse_time
from autosre_lab.cluster.hiccups import is_hiccup, through_hiccups
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import KubeError, NotReadyError, RolloutError

__all__ = [
    "Past",
    "Snapshot",
    "Verdict",
    "holds_processes",
    "judge",
    "pods_of",
    "take_snapshot",
    "wait_rollout",
]

UNSCHEDULABLE_S = 60.0
"""Seconds that a Pod may find no node; the one before it may still be leaving."""

SETTLE_S = 10.0
"""Seconds that the scheduler gets after a Pod has freed what the next one needs."""
RECENT_S = 300.0
"""A container that ended longer ago than this before a wait is none of its business."""
REPEATED = 3
"""Times that the kubelet must have failed at something that it tries again and again."""

LOG_LINES = 80
POLL_S = 5.0

_REVISION = "deployment.kubernetes.io/revision"

# Reasons that do not mend themselves, and what to do about each.
_FATAL_WAITS = {
    "ErrImagePull": "import the image into the node's containerd (`autosre image` for the proxy), "
    "or mend image.ref",
    "ImagePullBackOff": "import the image into the node's containerd (`autosre image` for the "
    "proxy), or mend image.ref",
    "ErrImageNeverPull": "import the image into the node's containerd",
    "InvalidImageName": "mend image.ref in the recipe",
    "CreateContainerConfigError": "create the Secret or ConfigMap that it names",
    "CreateContainerError": "see the message; often a mount or a command that is not in the image",
    "RunContainerError": "see the message; often a command that is not in the image",
    "CrashLoopBackOff": "see the log lines above for the cause",
}
_FATAL_EVENTS = {
    # Kubelet tries these for ever.
    "FailedMount": r"type check failed|not found|no such file",
    "FailedCreatePodSandBox": r"no runtime for|runtime handler|not supported",
}
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


def wait_rollout(
    client: KubeClient,
    name: str,
    *,
    deadline_s: float,
    tell: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    phase: Callable[[list[str]], str] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    unschedulable_s: float = UNSCHEDULABLE_S,
) -> Object:
    """Wait until a Deployment's newest Pods are ready and no older ones are left.

    Args:
        client: The API server.
        name: The Deployment.
        deadline_s: The clock's monotonic time at which to give up.
        tell: Given a few words whenever something is waited for.
        check: Called at each look; raises to end the wait.
        phase: Says from a container's last log lines what it is at.
        clock: Where time comes from.
        unschedulable_s: Seconds that a Pod may find no node.

    Returns:
        One of the ready Pods; the Deployment itself if it has none to have.

    Raises:
        RolloutError: It will not become ready; with the container's last log lines.
        NotReadyError: It took too long.
    """
    past, freed_s = None, float("-inf")
    while True:
        check()
        seen = through_hiccups(lambda: take_snapshot(client, name), clock=clock, tell=tell)
        past = past or _past(seen, clock.now())
        if any(_is_ending(pod) for pod in seen.pods):
            freed_s = clock.monotonic()
        # While a Pod is leaving, and a moment longer, the next one cannot be placed yet.
        settled = clock.monotonic() - freed_s > SETTLE_S
        verdict = judge(
            seen,
            now=clock.now(),
            unschedulable_s=unschedulable_s if settled else float("inf"),
            past=past,
        )
        if verdict.state == "done":
            return next(iter(_newest_pods(seen)), None) or seen.deployment or {}
        if verdict.state == "failed":
            raise _error(client, name, verdict)
        left_s = deadline_s - clock.monotonic()
        if left_s <= 0:
            raise NotReadyError(
                f"{name} is not ready in time: {verdict.message}",
                remedy="raise lifecycle.startup_budget_s if it only needs longer; otherwise "
                f"kubectl describe deployment {name}",
            )
        tell(_described(client, verdict, phase))
        _until_something_changes(client, seen, timeout_s=min(POLL_S, left_s), clock=clock)


def take_snapshot(client: KubeClient, name: str) -> Snapshot:
    """Ask the API server about one Deployment."""
    deployment = client.get("Deployment", name)
    if deployment is None:
        return Snapshot(deployment=None, replica_sets=[], pods=_left_over(client, name), events=[])
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    sets = [one for one in client.find("ReplicaSet", labels=labels) if _owned(one, by=[deployment])]
    pods = [one for one in client.find("Pod", labels=labels) if _owned(one, by=sets)]
    troubled = [pod for pod in pods if pod.get("status", {}).get("phase") == "Pending"]
    events = [
        event
        for pod in troubled
        for event in client.find(
            "Event", fields={"involvedObject.name": str(pod["metadata"]["name"])}
        )
    ]
    return Snapshot(deployment=deployment, replica_sets=sets, pods=pods, events=events)


def _left_over(client: KubeClient, name: str) -> list[Object]:
    """Return the Pods of a Deployment that was deleted: they outlive it while they end."""
    found = []
    for pod in client.find("Pod"):
        digest = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
        owners = pod["metadata"].get("ownerReferences") or []
        if digest and any(owner.get("name") == f"{name}-{digest}" for owner in owners):
            found.append(pod)
    return found


def pods_of(client: KubeClient, name: str) -> list[Object]:
    """Return every Pod of a Deployment, ending ones included."""
    return take_snapshot(client, name).pods


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
    current = [pod for pod in _newest_pods(seen) if pod["metadata"]["uid"] not in past.ended]
    for pod in current:
        if (bad := _hopeless(pod, seen.events, now, unschedulable_s, past)) is not None:
            return bad
    old = [pod for pod in seen.pods if pod not in current and holds_processes(pod)]
    if old:
        return Verdict(state="waiting", message=f"waiting for {_name(old[0])} to end")
    ready = [pod for pod in current if _is_ready(pod)]
    if len(ready) >= wanted and len(current) == wanted:
        return Verdict(state="done", message="ready", pod=_name(ready[0]) if ready else None)
    if not current:
        return Verdict(state="waiting", message="waiting for the Pod")
    waiting = next(pod for pod in current if pod not in ready)
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
    for container in status.get("initContainerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode") != 0 and (bad := _ended_or_stuck(pod, container)) is not None:
            return bad
    for container in status.get("containerStatuses") or []:
        known = (pod["metadata"]["uid"], container["name"], container.get("restartCount", 0))
        running = "running" in (container.get("state") or {})
        if container.get("ready") or (running and known in past.restarts):
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
                    "free what the message names, lower the recipe's resources, or give "
                    "the whole GPU to it: autosre start --dedicated",
                )
    for event in events:
        pattern = _FATAL_EVENTS.get(event.get("reason", ""))
        about = event.get("involvedObject", {}).get("uid") == pod["metadata"]["uid"]
        # Once is nothing: what a new Pod needs may come a moment after it.
        often = about and int(event.get("count") or 1) >= REPEATED
        if pattern and often and re.search(pattern, event.get("message", "")):
            return _failed(
                pod,
                event["reason"],
                event["message"],
                "make the folder or the object that it names on the node, or mend the recipe's "
                "storage and resources.gpu.runtime_class",
            )
    return None


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


def _described(
    client: KubeClient, verdict: Verdict, phase: Callable[[list[str]], str] | None
) -> str:
    if phase is None or verdict.pod is None or not verdict.message.startswith("running"):
        return verdict.message
    try:
        return phase(client.logs(verdict.pod, tail=LOG_LINES))
    except KubeError:  # it may have ended by now
        return verdict.message


def _error(client: KubeClient, name: str, verdict: Verdict) -> RolloutError:
    tail: list[str] = []
    # Whatever becomes of the log, the verdict is what is told.
    with suppress(KubeError):
        if verdict.pod is not None and verdict.restarted:
            tail = client.logs(verdict.pod, tail=LOG_LINES, previous=True)
    with suppress(KubeError):
        if verdict.pod is not None and not tail:
            tail = client.logs(verdict.pod, tail=LOG_LINES)
    return RolloutError(
        f"{name} cannot become ready: {verdict.message}",
        remedy=verdict.remedy,
        reason=verdict.reason,
        pod=verdict.pod,
        log_tail=tail,
    )


def _until_something_changes(
    client: KubeClient, seen: Snapshot, *, timeout_s: float, clock: Clock
) -> None:
    """Return at the first change of a Pod, or when the time is over."""
    assert seen.deployment is not None  # noqa: S101 - the caller judged it
    labels = seen.deployment["spec"]["selector"].get("matchLabels") or {}
    known = {(pod["metadata"]["uid"], pod["metadata"].get("resourceVersion")) for pod in seen.pods}
    before = clock.monotonic()
    try:
        for event in client.watch("Pod", labels=labels, timeout_s=timeout_s):
            meta = event.object["metadata"]
            if event.type == "DELETED" or (meta["uid"], meta.get("resourceVersion")) not in known:
                return
    except KubeError as error:
        if not is_hiccup(error):
            raise
    if clock.monotonic() - before < timeout_s / 2:
        clock.sleep(min(1.0, timeout_s))  # the watch broke off: do not ask in a tight loop


def _newest_set(seen: Snapshot) -> Object | None:
    assert seen.deployment is not None  # noqa: S101 - the caller saw to it
    revision = (seen.deployment["metadata"].get("annotations") or {}).get(_REVISION)
    for one in seen.replica_sets:
        if (one["metadata"].get("annotations") or {}).get(_REVISION) == revision:
            return one
    return None


def _newest_pods(seen: Snapshot) -> list[Object]:
    newest = _newest_set(seen)
    if newest is None:
        return []
    return [pod for pod in seen.pods if _owned(pod, by=[newest]) and not _is_ending(pod)]


def _past(seen: Snapshot, now: datetime) -> Past:
    """Return what is not held against a rollout that is waited for from now on."""
    restarts = set()
    for pod in seen.pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
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


def _is_ending(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _owned(obj: Object, *, by: Iterable[Object]) -> bool:
    owners = {owner.get("uid") for owner in obj["metadata"].get("ownerReferences") or []}
    return any(one["metadata"]["uid"] in owners for one in by)


def _is_ready(pod: Object) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (pod.get("status") or {}).get("conditions") or []
    )


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
