"""Really gone: no Pod is left, not even an ending one, so that nothing holds the GPU."""

from __future__ import annotations

from collections.abc import Callable

from autosre_lab.cluster.clock import SYSTEM_CLOCK, Clock
from autosre_lab.cluster.hiccups import through_hiccups
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.rollout import take_snapshot
from autosre_lab.cluster.verdict import holds_processes
from autosre_lab.errors import NotGoneError

__all__ = ["scale", "wait_gone"]

AFTER_GRACE_S = 120.0
"""Seconds after the grace; a kubelet that finds a volume busy looks again only a minute later."""
POLL_S = 1.0


def scale(
    client: KubeClient,
    name: str,
    replicas: int,
    *,
    kind: str = "Deployment",
    namespace: str | None = None,
) -> None:
    """Ask for a number of replicas; see `wait_gone` and `rollout.wait_rollout` for the outcome."""
    client.patch(kind, name, {"spec": {"replicas": replicas}}, namespace=namespace)


def wait_gone(
    client: KubeClient,
    name: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    patience_s: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Wait until a Deployment at zero replicas has no Pod left.

    A Pod is in the list until its containers have ended, so an empty list means that the kubelet
    has seen its processes end. Nothing is deleted by force: that removes the object and leaves
    the process.

    Args:
        client: The API server.
        name: The Deployment; one that was deleted may have Pods that are still ending.
        tell: Given a few words whenever something is waited for.
        patience_s: Seconds; the Pods' own grace and two minutes by default.
        clock: Where time comes from.

    Raises:
        NotGoneError: A Pod is still there; says on which node and what holds it.
    """
    deadline_s: float | None = None
    while True:
        seen = through_hiccups(lambda: take_snapshot(client, name), clock=clock, tell=tell)
        pods = [pod for pod in seen.pods if holds_processes(pod)]
        if not pods and _is_at_zero(seen.deployment):
            return
        if seen.deployment is not None and seen.deployment["spec"].get("replicas", 1) > 0:
            raise _not_gone(name, seen.deployment, pods)
        if deadline_s is None:
            deadline_s = clock.monotonic() + (
                patience_s if patience_s is not None else _grace_s(pods) + AFTER_GRACE_S
            )
        if clock.monotonic() > deadline_s:
            raise _not_gone(name, seen.deployment, pods)
        tell(f"waiting for {', '.join(pod['metadata']['name'] for pod in pods) or name}")
        clock.sleep(POLL_S)


def _grace_s(pods: list[Object]) -> float:
    return max(
        (float(pod["spec"].get("terminationGracePeriodSeconds", 30)) for pod in pods), default=30.0
    )


def _is_at_zero(deployment: Object | None) -> bool:
    """Whether nobody makes Pods any more: it is gone, or its controller has seen the change."""
    if deployment is None:
        return True
    status = deployment.get("status") or {}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    return seen and not status.get("replicas")


def _not_gone(name: str, deployment: Object | None, pods: list[Object]) -> NotGoneError:
    if deployment is not None and deployment["spec"].get("replicas", 1) > 0:
        return NotGoneError(
            f"{name} was scaled up again by somebody else",
            remedy="stop what does that (an autoscaler, another operator) and try again",
        )
    if not pods:
        return NotGoneError(
            f"the controller has not looked at {name} since it was scaled down",
            remedy="see whether the cluster's controller manager runs",
        )
    held = []
    for pod in pods:
        meta, node = pod["metadata"], pod["spec"].get("nodeName", "no node")
        finalizers = meta.get("finalizers") or []
        by = f", held by {', '.join(finalizers)}" if finalizers else ""
        since = meta.get("deletionTimestamp")
        ending = f"told to end by {since}" if since else "not told to end"
        held.append(f"{meta['name']} on {node} ({ending}{by})")
    return NotGoneError(
        f"{name} was stopped, but there is still {'; '.join(held)}",
        remedy="see on the node why the process does not end (kubectl describe pod, dmesg); "
        "deleting by force would remove the object and leave the process on the GPU",
    )
