"""The stack as Pods: what a chart renders is applied, awaited, judged and taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.cluster.dedicated import restore
    from autosre_lab.cluster.kube import KubeClient
    from autosre_lab.cluster.kubeconfig import connect
    from autosre_lab.cluster.preflight_checks import preflight
    from autosre_lab.cluster.stack import start, status, stop, switch, wait_ready
else:
    # The official client takes a while to import, and most commands do not need it.
    __getattr__, __dir__ = lazy_exports(__name__)

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
