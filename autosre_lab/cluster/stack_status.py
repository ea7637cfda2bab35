"""The stack in the cluster as it is now: looked at, never changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from autosre_lab.cluster.clock import parse_time
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.release import ENGINE, PROXY, read_release
from autosre_lab.cluster.rollout import take_snapshot
from autosre_lab.cluster.verdict import Snapshot, Verdict, judge
from autosre_lab.errors import AutosreError
from autosre_lab.stack import ServiceState, ServiceStatus, StackState, StackStatus

__all__ = ["FIRST_TOKEN", "engine_identity", "mark_ready", "read_status", "with_cause"]

FIRST_TOKEN = "autosre.dev/first-token"  # noqa: S105 - an annotation's name
"""Which container has generated a token: the Pod's uid and how often it was started again."""

_SEE_POD = "wait, or see what it waits for: kubectl describe pod"

_NAMES = {ENGINE: "engine", PROXY: "proxy"}


def read_status(client: KubeClient) -> StackStatus:
    """Return the stack's status; ``ready`` only if this very container has generated a token."""
    release = read_release(client)
    seen = {name: take_snapshot(client, name) for name in _NAMES}
    if release is None or all(one.deployment is None for one in seen.values()):
        return StackStatus(state="stopped", recipe_name=None, services={}, place="cluster")
    now = datetime.now(UTC)
    services = {
        _NAMES[name]: _service(_NAMES[name], one, judge(one, now=now), now)
        for name, one in seen.items()
    }
    return StackStatus(
        state=_state(services, seen),
        recipe_name=release.recipe.name,
        services=services,
        place="cluster",
    )


def with_cause(status: StackStatus, error: AutosreError) -> StackStatus:
    """Return the status with what keeps the engine, whose Pod is ready, from being proven."""
    engine = replace(status.services["engine"], cause=error.message, remedy=error.remedy)
    return replace(status, services={**status.services, "engine": engine})


def mark_ready(client: KubeClient, identity: str) -> None:
    """Note which container has generated a token."""
    client.patch("Deployment", ENGINE, {"metadata": {"annotations": {FIRST_TOKEN: identity}}})


def engine_identity(seen: Snapshot) -> str | None:
    """Return what tells one run of the engine's container from every other; None if none runs."""
    for pod in seen.pods:
        status = pod.get("status") or {}
        for container in status.get("containerStatuses") or []:
            running = "running" in (container.get("state") or {})
            if running and not pod["metadata"].get("deletionTimestamp"):
                return f"{pod['metadata']['uid']}/{container.get('restartCount', 0)}"
    return None


def _state(services: dict[str, ServiceStatus], seen: dict[str, Snapshot]) -> StackState:
    states = {service.state for service in services.values()}
    engine = seen[ENGINE]
    replicas = _replicas(engine)
    if replicas == 0:
        return "stopping" if engine.pods else "stopped"
    if "crashed" in states:
        return "crashed"
    annotations = (engine.deployment or {"metadata": {}})["metadata"].get("annotations") or {}
    proven = annotations.get(FIRST_TOKEN)
    ready = all(judge(one, now=datetime.now(UTC)).state == "done" for one in seen.values())
    return "ready" if ready and proven == engine_identity(engine) else "starting"


def _replicas(seen: Snapshot) -> int:
    return int(seen.deployment["spec"].get("replicas", 1)) if seen.deployment is not None else 0


def _service(name: str, seen: Snapshot, verdict: Verdict, now: datetime) -> ServiceStatus:
    pod = next((pod for pod in seen.pods if not pod["metadata"].get("deletionTimestamp")), None)
    container = _container(pod)
    running = (container.get("state") or {}).get("running") or {}
    started = parse_time(running.get("startedAt"))
    ended = (container.get("lastState") or {}).get("terminated") or (
        container.get("state") or {}
    ).get("terminated")
    failed = verdict.state == "failed" and _replicas(seen) > 0
    waiting = verdict.state == "waiting" and _replicas(seen) > 0
    restarts = int(container.get("restartCount", 0))
    return ServiceStatus(
        name=name,
        state=_service_state(seen, failed=failed, running=bool(running), restarts=restarts),
        pid=None,
        port=_port(seen),
        started_at=started.timestamp() if started else None,
        uptime_s=(now - started).total_seconds() if started else None,
        exit_code=ended.get("exitCode") if ended else None,
        cause=_cause(seen, verdict) if failed or waiting else None,
        remedy=(verdict.remedy or _SEE_POD) if failed or waiting else None,
        restarts=restarts,
        log_path=None,
        pod=pod["metadata"]["name"] if pod is not None else None,
    )


def _cause(seen: Snapshot, verdict: Verdict) -> str:
    """Return what is waited for, with the last warning that the cluster gave about the Pod."""
    warnings = [event for event in seen.events if event.get("type") == "Warning"]
    if verdict.state == "failed" or not warnings:
        return verdict.message
    last = max(warnings, key=lambda event: str(event.get("lastTimestamp") or ""))
    said = f"{last.get('reason')}: {last.get('message')}"
    return (
        verdict.message
        if str(last.get("message")) in verdict.message
        else (f"{verdict.message} ({said})")
    )


def _service_state(seen: Snapshot, *, failed: bool, running: bool, restarts: int) -> ServiceState:
    if _replicas(seen) == 0:
        return "stopped"
    if running:
        return "running"
    if failed:
        return "crashed"
    state: Literal["restarting", "running"] = "restarting" if restarts else "running"
    return state


def _container(pod: Object | None) -> dict[str, Any]:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
    found: dict[str, Any] = statuses[0]
    return found


def _port(seen: Snapshot) -> int:
    if seen.deployment is None:
        return 0
    (container, *_) = seen.deployment["spec"]["template"]["spec"]["containers"]
    return int(container["ports"][0]["containerPort"])
