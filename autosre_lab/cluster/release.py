"""What is deployed: put there, found again, and put back."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from autosre_lab.chart.from_recipe import TOKEN_KEY, TOKEN_SECRET
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import ConflictError, KubeError
from autosre_lab.recipe import Recipe, parse_recipe

__all__ = [
    "BROWSER",
    "CODEX_PROXY",
    "ENGINE",
    "ENGINE_LABELS",
    "MANAGED",
    "PROXY",
    "Release",
    "apply_release",
    "engine_would_change",
    "ensure_namespace",
    "ensure_token",
    "made_anew",
    "read_release",
    "read_token",
    "superseded",
]

ENGINE = "autosre-vllm-local"
PROXY = "autosre-proxy"
CODEX_PROXY = "autosre-codex-proxy"
BROWSER = "autosre-browser"
ENGINE_LABELS = {
    "app.kubernetes.io/name": "autosre",
    "app.kubernetes.io/component": "vllm-local",
}
MANAGED = {"app.kubernetes.io/managed-by": "autosre", "app.kubernetes.io/name": "autosre"}

_RECIPE_CONFIG = "autosre-recipe"
_PRUNED = ("Deployment", "Service", "NetworkPolicy", "ConfigMap", "ServiceAccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What was applied last.

    Attributes:
        recipe: What it serves.
        sha256: The digest of the recipe's text.
        values: The chart's values, whole.
    """

    recipe: Recipe
    sha256: str
    values: dict[str, Any]


def ensure_namespace(client: KubeClient) -> None:
    """Create the namespace if it is not there."""
    if client.get("Namespace", client.namespace) is None:
        try:
            client.create(
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": client.namespace, "labels": dict(MANAGED)},
                }
            )
        except ConflictError:
            return  # somebody was faster


def ensure_token(client: KubeClient, secret: str = TOKEN_SECRET) -> str:
    """Return what the clients of a Service have to show; made once, and kept in a Secret.

    Args:
        client: The API server.
        secret: The Secret's name; the proxies' by default.
    """
    token = read_token(client, secret)
    if token is not None:
        return token
    fresh = secrets.token_urlsafe(24)
    try:
        client.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret, "labels": dict(MANAGED)},
                "type": "Opaque",
                "data": {TOKEN_KEY: base64.b64encode(fresh.encode()).decode()},
            }
        )
    except ConflictError:
        return read_token(client, secret) or fresh
    return fresh


def read_token(client: KubeClient, secret: str = TOKEN_SECRET) -> str | None:
    """Return the token in a Secret, the proxies' by default, or None where there is none."""
    found = client.get("Secret", secret)
    encoded = ((found or {}).get("data") or {}).get(TOKEN_KEY)
    return base64.b64decode(encoded).decode() if encoded else None


def read_release(client: KubeClient) -> Release | None:
    """Return what was applied last; None where nothing was, or it is of another version."""
    config = client.get("ConfigMap", _RECIPE_CONFIG)
    data = (config or {}).get("data") or {}
    try:
        values = json.loads(data["values.json"])
        recipe = parse_recipe(yaml.safe_load(data["recipe.yaml"]))
        return Release(recipe=recipe, sha256=values["recipe"]["sha256"], values=values)
    except (KeyError, ValueError, TypeError, yaml.YAMLError):
        return None


def engine_would_change(client: KubeClient, objects: Iterable[Object]) -> bool:
    """Whether applying the objects would make another Pod of the engine, or a first one."""
    wanted = next(
        obj for obj in objects if obj["kind"] == "Deployment" and obj["metadata"]["name"] == ENGINE
    )
    live = client.get("Deployment", ENGINE)
    if live is None:
        return True
    outcome = client.apply(wanted, dry_run=True)
    # The server counts a generation up exactly when the spec changes, in a dry run too.
    return bool(outcome["metadata"]["generation"] != live["metadata"]["generation"])


def apply_release(client: KubeClient, objects: Iterable[Object]) -> None:
    """Apply objects in order, and take away those of an earlier release that are not among them.

    Raises:
        KubeError: The server refuses one; those before it are applied.
    """
    wanted = list(objects)
    for obj in wanted:
        _apply(client, obj)
    for old in superseded(client, wanted):
        client.delete(old["kind"], old["metadata"]["name"])


def superseded(client: KubeClient, objects: Iterable[Object]) -> list[Object]:
    """Return what an earlier release has put there and the objects do not hold any more."""
    kept = {(obj["kind"], obj["metadata"]["name"]) for obj in objects}
    return [
        old
        for kind in _PRUNED
        for old in client.find(kind, labels=MANAGED)
        if "helm.sh/chart" in (old["metadata"].get("labels") or {})
        and (kind, old["metadata"]["name"]) not in kept
    ]


def made_anew(client: KubeClient, wanted: Object, live: Object) -> bool:
    """Whether a start deletes a live object before it applies the wanted one."""
    if wanted["kind"] == "Service":
        return bool(live["spec"].get("clusterIP") != wanted["spec"].get("clusterIP"))
    if (wanted["kind"], wanted["metadata"]["name"]) != ("Deployment", ENGINE):
        return False
    return not live["spec"].get("replicas", 1) or engine_would_change(client, [wanted])


def _apply(client: KubeClient, obj: Object) -> None:
    if obj["kind"] == "Service":
        live = client.get("Service", obj["metadata"]["name"])
        if live is not None and made_anew(client, obj, live):
            _move_service(client, live, obj)
            return
    client.apply(obj)


def _move_service(client: KubeClient, live: Object, wanted: Object) -> None:
    """Give a Service another address: the field cannot be changed, so it is made anew."""
    name = wanted["metadata"]["name"]
    client.delete("Service", name)
    try:
        client.apply(wanted)
    except KubeError:
        # Better the old address than none.
        client.apply({**wanted, "spec": {**wanted["spec"], "clusterIP": live["spec"]["clusterIP"]}})
        raise
