"""A short-lived Pod that looks at a node from inside, without asking for the GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from autosre_lab.cluster.clock import SYSTEM_CLOCK, Clock
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import RolloutError

__all__ = ["probe_pod", "running_probe_pod"]

START_S = 60.0
LIFE_S = 600


def probe_pod(name: str, node: str, *, image: str, runtime_class: str | None) -> Object:
    """Return the Pod: as little as can run two commands."""
    spec: dict[str, Any] = {
        "nodeName": node,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LIFE_S,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Without it nvidia-smi names no process of another container.
        "hostPID": True,
        "containers": [
            {
                "name": "probe",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", str(LIFE_S)],
                "env": [
                    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
                    {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"},
                    {"name": "NVIDIA_DISABLE_REQUIRE", "value": "1"},
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
    if runtime_class:
        spec["runtimeClassName"] = runtime_class
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "autosre-probe"}},
        "spec": spec,
    }


@contextlib.contextmanager
def running_probe_pod(
    client: KubeClient,
    node: str,
    *,
    image: str,
    runtime_class: str | None,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[str]:
    """Start the Pod, yield its name, delete it.

    Raises:
        KubeError: It cannot be created.
        RolloutError: It does not run within a minute.
    """
    name = f"autosre-probe-{clock.now():%H%M%S%f}"
    client.create(probe_pod(name, node, image=image, runtime_class=runtime_class))
    try:
        deadline_s = clock.monotonic() + START_S
        while True:
            status = (client.get("Pod", name) or {}).get("status") or {}
            if status.get("phase") == "Running":
                break
            if clock.monotonic() > deadline_s or status.get("phase") == "Failed":
                raise RolloutError(
                    f"the Pod that looks at {node} does not start: {_why(status)}",
                    remedy=f"kubectl describe pod {name}, or run this on the node itself",
                    reason="ProbeNotRunning",
                    pod=name,
                )
            clock.sleep(0.5)
        yield name
    finally:
        client.delete("Pod", name, grace_s=0)


def _why(status: Object) -> str:
    """Return what keeps the Pod from running, in the kubelet's words."""
    for container in status.get("containerStatuses") or []:
        if waiting := (container.get("state") or {}).get("waiting"):
            return " ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
    return str(status.get("message") or status.get("reason") or status.get("phase") or "no status")
