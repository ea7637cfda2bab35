"""The few things that this package asks of a Kubernetes API server, as an interface.

Objects are plain JSON dictionaries, exactly as the server sends them: a chart renders such
dictionaries, `kubectl -o yaml` shows them, and a fake can keep them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = [
    "CLUSTER_KINDS",
    "KIND_PATHS",
    "Event",
    "ExecResult",
    "KubeClient",
    "Object",
]

Object = dict[str, Any]
"""A Kubernetes object, as JSON."""

KIND_PATHS: dict[str, tuple[str, str]] = {
    "ConfigMap": ("v1", "configmaps"),
    "Deployment": ("apps/v1", "deployments"),
    "Event": ("v1", "events"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "Namespace": ("v1", "namespaces"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Node": ("v1", "nodes"),
    "Pod": ("v1", "pods"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "RuntimeClass": ("node.k8s.io/v1", "runtimeclasses"),
    "Secret": ("v1", "secrets"),
    "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "ServiceCIDR": ("networking.k8s.io/v1", "servicecidrs"),
    "StatefulSet": ("apps/v1", "statefulsets"),
}
"""Kind to (apiVersion, plural) of every object this package touches."""

CLUSTER_KINDS = frozenset({"Namespace", "Node", "RuntimeClass", "ServiceCIDR"})
"""Kinds that live outside any namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a watch.

    Attributes:
        type: What happened.
        object: The object afterwards; for DELETED its last state.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What a command in a container wrote, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str


class KubeClient(Protocol):
    """An API server, seen by one user, with a namespace that is meant where none is named.

    Every method raises `autosre_lab.errors.KubeError` where the server refuses or does not answer.
    """

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """Return one object, or None where there is none."""

    def find(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        namespace: str | None = None,
        everywhere: bool = False,
    ) -> list[Object]:
        """Return objects by equality of labels and fields; ``everywhere``: in all namespaces."""

    def watch(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        timeout_s: float,
    ) -> Iterator[Event]:
        """Yield the objects there are, then each change; ends after ``timeout_s`` at the latest.

        A connection that ends early, or a resource version that is too old, ends the iteration
        without an error: whoever waits asks again.
        """

    def create(self, obj: Object, *, namespace: str | None = None) -> Object:
        """Create; raises `ConflictError` where it exists."""

    def apply(self, obj: Object, *, namespace: str | None = None, dry_run: bool = False) -> Object:
        """Apply on the server side as field manager ``autosre``, taking over conflicting fields.

        With ``dry_run`` the server tells the outcome, defaults included, and changes nothing.
        """

    def replace(self, obj: Object, *, namespace: str | None = None) -> Object:
        """Put the whole object; `ConflictError` if its resourceVersion is not the current one."""

    def patch(
        self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str | None = None
    ) -> Object:
        """Merge a JSON merge patch (RFC 7396) into the object."""

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, grace_s: int | None = None
    ) -> bool:
        """Delete; False where there was nothing. Dependants go with it, in the background."""

    def logs(
        self,
        pod: str,
        *,
        namespace: str | None = None,
        container: str | None = None,
        tail: int = 80,
        previous: bool = False,
    ) -> list[str]:
        """Return the last lines of a container's log; empty where it has none yet."""

    def exec(
        self,
        pod: str,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        container: str | None = None,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        """Run a command in a container and wait for its end."""

    def version(self) -> str:
        """Return the server's version, such as ``v1.33.4+k3s1``."""
