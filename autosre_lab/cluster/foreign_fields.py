"""What an object has that the chart did not ask for.

A server-side apply leaves alone what somebody else has set: a variable added by hand, hostNetwork,
externalIPs. So the object is compared with one that the server would make again, defaults included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import KubeError

__all__ = ["as_if_new", "entry_name", "foreign_fields", "has_names", "healed"]

_SERVER_GIVEN = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")
"""Fields of a Service that the server fills in, each time with something else."""
_NOBODYS = ("creationTimestamp",)
_BY_TOOLS = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/")
_SPECIFIED = ("Deployment", "Service", "NetworkPolicy")


def as_if_new(client: KubeClient, wanted: Object) -> Object | None:
    """Return the object as the server would make it if there were none; None where it will not say.

    Asked by a dry run under a name that nobody has.
    """
    if wanted["kind"] not in _SPECIFIED:
        return None
    metadata = {**wanted["metadata"], "name": f"{wanted['metadata']['name'][:50]}-as-if-new"}
    spec = dict(wanted["spec"])
    if wanted["kind"] == "Service":
        spec.pop("clusterIP", None)  # it is taken, by this very Service
    try:
        return client.apply({**wanted, "metadata": metadata, "spec": spec}, dry_run=True)
    except KubeError:
        return None


def foreign_fields(fresh: Object, live: Object) -> list[tuple[str, Any]]:
    """Return path and value of what a live object's spec has otherwise than a new one would."""
    return list(_additions(fresh["spec"], live["spec"], "spec"))


def healed(fresh: Object, live: Object) -> Object:
    """Return the live object with the spec of a new one, and the address that it has."""
    kept = {key: live["spec"][key] for key in _SERVER_GIVEN if key in live["spec"]}
    spec = {key: value for key, value in fresh["spec"].items() if key not in _SERVER_GIVEN}
    return {**live, "spec": {**spec, **kept}}


def has_names(value: object) -> bool:
    """Tell whether this is a list whose entries have names of their own."""
    if not isinstance(value, list) or not value:
        return False
    names = [entry_name(entry) for entry in value]
    return None not in names and len(set(names)) == len(names)


def entry_name(entry: object) -> str | None:
    """Return what tells an entry of a list from the others; None where nothing does."""
    if isinstance(entry, dict):
        # Mounts share the volume's name; where they are mounted is their own.
        for key in ("mountPath", "name", "containerPort"):
            if key in entry:
                return str(entry[key])
    return None


def _additions(fresh: Any, live: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(fresh, dict) and isinstance(live, dict):
        for key, value in live.items():
            below = f"{path}.{key}"
            if key in _NOBODYS or (path == "spec" and key in _SERVER_GIVEN):
                continue
            if key.startswith(_BY_TOOLS) or value in (None, {}, []):
                continue
            if key not in fresh:
                yield below, value
            else:
                yield from _additions(fresh[key], value, below)
    elif has_names(fresh) and has_names(live):
        known = {entry_name(entry): entry for entry in fresh}
        for entry in live:
            below = f"{path}[{entry_name(entry)}]"
            if (name := entry_name(entry)) not in known:
                yield below, entry
            else:
                yield from _additions(known[name], entry, below)
    elif fresh != live:
        yield path, live  # a default of the server's that somebody changed
