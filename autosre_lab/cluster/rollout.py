"""Whether a Deployment has become what was asked for, and if it never will, why.

Kubernetes' own answers are of no use here: ``rollout status`` calls a Deployment at zero replicas
rolled out while its Pod still holds the GPU, and the progress deadline only tells that something
takes long. So the newest ReplicaSet's Pods are judged themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from autosre_lab.cluster.clock import SYSTEM_CLOCK, Clock
from autosre_lab.cluster.hiccups import is_hiccup, through_hiccups
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.verdict import (
    UNSCHEDULABLE_S,
    Snapshot,
    Verdict,
    holds_processes,
    is_ending,
    judge,
    newest_pods,
    owned,
    past_of,
)
from autosre_lab.errors import KubeError, NotReadyError, RolloutError

__all__ = ["pods_of", "take_snapshot", "wait_rollout"]

SETTLE_S = 10.0
"""Seconds that the scheduler gets after a Pod has freed what the next one needs."""

LOG_LINES = 80
POLL_S = 5.0


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
        One of the ready Pods.

    Raises:
        RolloutError: It will not become ready; with the container's last log lines.
        NotReadyError: It took too long.
    """
    past, freed_s = None, float("-inf")
    while True:
        check()
        seen = through_hiccups(lambda: take_snapshot(client, name), clock=clock, tell=tell)
        past = past or past_of(seen, clock.now())
        if any(is_ending(pod) for pod in seen.pods):
            freed_s = clock.monotonic()
        # While a Pod is leaving, and a moment longer, the next one cannot be placed yet.
        settled = clock.monotonic() - freed_s > SETTLE_S
        verdict = judge(
            seen,
            now=clock.now(),
            unschedulable_s=unschedulable_s if settled else float("inf"),
            past=past,
        )
        if verdict.state == "done" and seen.deployment and not seen.deployment["spec"]["replicas"]:
            raise RolloutError(
                f"{name} was scaled to zero while it was waited for",
                remedy="see who does that (another operator, an autoscaler), then start again",
                reason="ScaledToZero",
            )
        if verdict.state == "done":
            current = [pod for pod in newest_pods(seen) if holds_processes(pod)]
            return current[0]
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
    sets = [one for one in client.find("ReplicaSet", labels=labels) if owned(one, by=[deployment])]
    pods = [one for one in client.find("Pod", labels=labels) if owned(one, by=sets)]
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
