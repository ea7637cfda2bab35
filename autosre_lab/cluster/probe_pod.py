"""A short-lived Pod that looks at a node from inside, without asking for the GPU."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

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
    client: KubeClient, node: str, *, image: str, runtime_class: str | None
) -> Iterator[str]:
    """Start the Pod, yield its name, delete it.

    Raises:
        KubeError: It cannot be created.
        RolloutError: It does not run within a minute.
    """
    name = f"autosre-probe-{datetime.now(UTC):%H%M%S%f}"
    client.create(probe_pod(name, node, image=image, runtime_class=runtime_class))
    try:
        deadline_s = time.monotonic() + START_S
        while True:
            pod = client.get("Pod", name) or {}
            if (pod.get("status") or {}).get("phase") == "Running":
                break
            if time.monotonic() > deadline_s:
                raise RolloutError(
                    f"the Pod that looks at {node} does not start",
                    remedy=f"kubectl describe pod {name}, or run this on the node itself",
                    reason="ProbeNotRunning",
                    pod=name,
                )
            time.sleep(0.5)
        yield name
    finally:
        client.delete("Pod", name, grace_s=0)
