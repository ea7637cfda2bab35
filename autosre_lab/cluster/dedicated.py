"""The whole GPU for one recipe: others are scaled to zero, noted before, and restored exactly.

The note is written before the first workload is touched, so that whoever comes after a crash
knows what to restore. What a person changed in between is left as the person left it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from autosre_lab.cluster.gone import scale
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.release import ENGINE, MANAGED
from autosre_lab.errors import ClusterError
from autosre_lab.recipe import Recipe

__all__ = ["NOTE", "Displaced", "dedicate", "displaced", "restore"]

NOTE = "autosre-dedicated"
_KINDS = ("Deployment", "StatefulSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced:
    """A workload that was scaled to zero.

    Attributes:
        kind: Deployment or StatefulSet.
        namespace: Where it is.
        name: Its name.
        uid: Which one of that name.
        replicas: How many it had.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    replicas: int


def dedicate(client: KubeClient, recipe: Recipe) -> list[Displaced]:
    """Scale to zero every other workload that holds the recipe's device.

    Called again, it adds what has come since and keeps what was noted.

    Args:
        client: The API server; may change workloads in all namespaces.
        recipe: Whose `resources.gpu.resource` is meant.

    Returns:
        What is displaced now.

    Raises:
        ClusterError: The recipe needs no device.
        KubeError: A workload may not be changed; the note says what was.
    """
    gpu = recipe.resources.gpu
    if gpu is None:
        raise ClusterError(
            f"recipe {recipe.name} needs no GPU, so there is none to take from others",
            remedy="leave --dedicated out",
        )
    noted = displaced(client)
    known = {one.uid for one in noted}
    found = [
        _displaced(workload)
        for kind in _KINDS
        for workload in client.find(kind, everywhere=True)
        if _holds(workload, gpu.resource) and not _is_ours(client, workload)
    ]
    fresh = [one for one in found if one.replicas > 0 and one.uid not in known]
    if fresh:
        _write(client, [*noted, *fresh])
    for one in (*noted, *fresh):
        current = client.get(one.kind, one.name, namespace=one.namespace)
        if current is not None and current["spec"].get("replicas", 1) > 0:
            scale(client, one.name, 0, kind=one.kind, namespace=one.namespace)
    return [*noted, *fresh]


def displaced(client: KubeClient) -> list[Displaced]:
    """Return what was scaled to zero and is not restored yet."""
    note = client.get("ConfigMap", NOTE)
    text = ((note or {}).get("data") or {}).get("workloads.json", "[]")
    return [Displaced(**entry) for entry in json.loads(text)]


def restore(client: KubeClient) -> list[str]:
    """Give every displaced workload the replicas it had; safe to call at any time, and again.

    Returns:
        What was not restored and why, a line each: it is gone, or somebody scaled it meanwhile.

    Raises:
        KubeError: A workload may not be changed; the note stays.
    """
    left = []
    for one in displaced(client):
        current = client.get(one.kind, one.name, namespace=one.namespace)
        where = f"{one.kind} {one.namespace}/{one.name}"
        if current is None or current["metadata"]["uid"] != one.uid:
            left.append(f"{where} is gone; it had {one.replicas} replicas")
        elif (now := current["spec"].get("replicas", 1)) not in (0, one.replicas):
            left.append(f"{where} was scaled to {now} meanwhile; it had {one.replicas}")
        elif now != one.replicas:
            scale(client, one.name, one.replicas, kind=one.kind, namespace=one.namespace)
    client.delete("ConfigMap", NOTE)
    return left


def _holds(workload: Object, resource: str) -> bool:
    containers = workload["spec"]["template"]["spec"].get("containers") or []
    return any(
        int(((one.get("resources") or {}).get("limits") or {}).get(resource, 0))
        for one in containers
    )


def _is_ours(client: KubeClient, workload: Object) -> bool:
    meta = workload["metadata"]
    return bool(meta.get("namespace") == client.namespace and meta["name"] == ENGINE)


def _displaced(workload: Object) -> Displaced:
    meta = workload["metadata"]
    return Displaced(
        kind=workload["kind"],
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        replicas=int(workload["spec"].get("replicas", 1)),
    )


def _write(client: KubeClient, workloads: Iterable[Displaced]) -> None:
    client.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NOTE, "labels": dict(MANAGED)},
            "data": {"workloads.json": json.dumps([asdict(one) for one in workloads])},
        }
    )
