"""The stack as Pods: what a chart renders is applied, awaited, judged and taken away again."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.cluster.dedicated import restore
    from autosre_lab.cluster.kube import KubeClient
    from autosre_lab.cluster.kubeconfig import connect
    from autosre_lab.cluster.preflight_checks import preflight
    from autosre_lab.cluster.stack import start, status, stop, switch, wait_ready

_HOME = {
    "KubeClient": "kube",
    "connect": "kubeconfig",
    "preflight": "preflight_checks",
    "restore": "dedicated",
    "start": "stack",
    "status": "stack",
    "stop": "stack",
    "switch": "stack",
    "wait_ready": "stack",
}

__all__ = [
    "KubeClient",
    "connect",
    "preflight",
    "restore",
    "start",
    "status",
    "stop",
    "switch",
    "wait_ready",
]


def __getattr__(name: str) -> object:
    # The official client takes a while to import, and most commands do not need it.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
