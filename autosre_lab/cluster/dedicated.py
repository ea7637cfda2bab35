"""The whole GPU for one recipe: others are scaled to zero, noted before, and restored exactly.

The note is written before the first workload is touched, so that whoever comes after a crash
knows what to restore. What a person changed in between is left as the person left it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass

from autosre_lab.cluster.gone import scale
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.release import ENGINE, MANAGED
from autosre_lab.errors import ClusterError, KubeError
from autosre_lab.recipe import Recipe
from autosre_lab.recipe.placement import Gpu

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
        recipe: Whose `resources.gpu` is meant.

    Returns:
        What is displaced now.

    Raises:
        ClusterError: The recipe needs no device, or the note cannot be read.
        KubeError: A workload may not be changed; those before it are put back.
    """
    gpu = recipe.resources.gpu
    if gpu is None:
        raise ClusterError(
            f"recipe {recipe.name} needs no GPU, so there is none to take from others",
            remedy="leave --dedicated out",
        )
    noted = {one.uid: one for one in displaced(client)}
    running = [
        _displaced(workload)
        for kind in _KINDS
        for workload in client.find(kind, everywhere=True)
        if _holds(workload, gpu)
        and not _is_ours(client, workload)
        and workload["spec"].get("replicas", 1) > 0
    ]
    # Who was scaled up since the note was written is noted with what it has now.
    note = list((noted | {one.uid: one for one in running}).values())
    if note != list(noted.values()):
        _write(client, note)
    for number, one in enumerate(running):
        try:
            scale(client, one.name, 0, kind=one.kind, namespace=one.namespace)
        except KubeError:
            _undo(client, running[:number], list(noted.values()))
            raise
    return note


def _undo(client: KubeClient, scaled: list[Displaced], noted: list[Displaced]) -> None:
    """Put back what was scaled so far; where that fails too, the note stays and knows it."""
    with suppress(KubeError):
        for one in scaled:
            scale(client, one.name, one.replicas, kind=one.kind, namespace=one.namespace)
        if noted:
            _write(client, noted)
        else:
            client.delete("ConfigMap", NOTE)


def displaced(client: KubeClient) -> list[Displaced]:
    """Return what was scaled to zero and is not restored yet.

    Raises:
        ClusterError: The note was changed and cannot be read.
    """
    note = client.get("ConfigMap", NOTE)
    text = ((note or {}).get("data") or {}).get("workloads.json", "[]")
    try:
        return [Displaced(**entry) for entry in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise ClusterError(
            f"the ConfigMap {client.namespace}/{NOTE} is not as it was written: {text[:200]!r}",
            remedy="scale the workloads that it names yourself, then delete it: kubectl delete "
            f"configmap {NOTE} --namespace {client.namespace}",
        ) from error


def restore(client: KubeClient) -> list[str]:
    """Give every displaced workload the replicas it had; safe to call at any time, and again.

    Returns:
        What was not restored and why, a line each: it is gone, or somebody scaled it meanwhile.

    Raises:
        KubeError: A workload may not be changed; the others are restored, and it stays noted.
    """
    left, failed, errors = [], [], []
    for one in displaced(client):
        try:
            problem = _restore_one(client, one)
        except KubeError as error:
            failed.append(one)
            errors.append(error)
            continue
        if problem is not None:
            left.append(problem)
    if errors:
        _write(client, failed)
        raise errors[0]
    client.delete("ConfigMap", NOTE)
    return left


def _restore_one(client: KubeClient, one: Displaced) -> str | None:
    """Restore one workload; return why it is left as it is."""
    current = client.get(one.kind, one.name, namespace=one.namespace)
    where = f"{one.kind} {one.namespace}/{one.name}"
    if current is None or current["metadata"]["uid"] != one.uid:
        return f"{where} is gone; it had {one.replicas} replicas"
    now = current["spec"].get("replicas", 1)
    if now not in (0, one.replicas):
        return f"{where} was scaled to {now} meanwhile; it had {one.replicas}"
    if now != one.replicas:
        scale(client, one.name, one.replicas, kind=one.kind, namespace=one.namespace)
    return None


def _holds(workload: Object, gpu: Gpu) -> bool:
    spec = workload["spec"]["template"]["spec"]
    # By the runtime class alone it sees the GPU too, past the scheduler's count.
    if gpu.runtime_class is not None and spec.get("runtimeClassName") == gpu.runtime_class:
        return True
    return any(
        int(((one.get("resources") or {}).get("limits") or {}).get(gpu.resource, 0))
        for one in spec.get("containers") or []
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
