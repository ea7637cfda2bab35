"""Objects as newer API servers answer them, by Kubernetes' own schemas.

A server of 1.37 fills in fields that one of 1.25, the oldest whose schemas are at hand, does not
know. `grown` puts all of them into an object: what each says is made up, that it is there is not.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

from autosre_lab.cluster.kube import Object

__all__ = ["NEWEST", "OLDEST", "grown", "schemas"]

OLDEST, NEWEST = "1.25", "1.37"

KINDS = {
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "ReplicaSet": "io.k8s.api.apps.v1.ReplicaSet",
    "Pod": "io.k8s.api.core.v1.Pod",
    "Node": "io.k8s.api.core.v1.Node",
    "Service": "io.k8s.api.core.v1.Service",
    "Namespace": "io.k8s.api.core.v1.Namespace",
}
WRITTEN_BY_SERVERS = {"Pod": ("metadata", "spec", "status"), "Node": ("spec", "status")}
"""Where a server adds something by itself; in what people write it adds to `status` only."""


@cache
def schemas(version: str) -> dict[str, Any]:
    """Return the definitions of a version, such as ``1.37``, by their full names."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local"
    found: dict[str, Any] = json.loads((folder / "_definitions.json").read_text("utf-8"))["$defs"]
    return found


def grown(obj: Object, kind: str | None = None) -> Object:
    """Return an object with every field that the newest servers add to it.

    Args:
        obj: As an old server answers it; it is not changed.
        kind: What it is, where it does not say so itself.
    """
    kind = kind or obj.get("kind", "")
    if kind not in KINDS:
        return obj
    obj = copy.deepcopy(obj)
    new, old = (schemas(version)[KINDS[kind]]["properties"] for version in (NEWEST, OLDEST))
    for part in WRITTEN_BY_SERVERS.get(kind, ("status",)):
        if isinstance(obj.get(part), dict):
            _grow(obj[part], new[part], old[part])
    return obj


def _grow(value: Any, new: dict[str, Any], old: dict[str, Any]) -> None:
    if isinstance(value, list):
        for one in value:
            _grow(one, new.get("items", {}), old.get("items", {}))
        return
    added, known = _properties(new, NEWEST), _properties(old, OLDEST)
    if not isinstance(value, dict) or not known:
        return
    for name, schema in added.items():
        if name in value and name in known:
            _grow(value[name], schema, known[name])
        elif name not in known and name not in value:
            value[name] = _made_up(schema, depth=4)


def _properties(schema: dict[str, Any], version: str) -> dict[str, Any]:
    return _resolved(schema, version).get("properties") or {}


def _resolved(schema: dict[str, Any], version: str) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schemas(version)[name] if name else schema
    return found


def _made_up(schema: dict[str, Any], *, depth: int) -> Any:
    schema = _resolved(schema, NEWEST)
    if "oneOf" in schema:  # a quantity, a number or a text
        return "1"
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "array":
        return [_made_up(schema["items"], depth=depth - 1)] if depth else []
    if kind == "object":
        properties = schema.get("properties") or {}
        if "additionalProperties" in schema:
            properties = {"added": schema["additionalProperties"]}
        if not depth:
            return {}
        return {name: _made_up(one, depth=depth - 1) for name, one in properties.items()}
    if schema.get("format") == "date-time":
        return "2026-11-27T00:00:00Z"
    simple: dict[str, Any] = {"integer": 7, "number": 7, "boolean": True}
    return simple.get(kind, schema.get("enum", ["added"])[0])
