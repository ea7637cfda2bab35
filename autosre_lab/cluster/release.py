"""What is deployed: put there, found again, and put back."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from autosre_lab.chart.from_recipe import (
    BROWSER_SECRET,
    ENGINE_SECRET,
    TOKEN_KEY,
    TOKEN_SECRET,
)
from autosre_lab.cluster.foreign_fields import as_if_new, foreign_fields, healed
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
    "ensure_secrets",
    "ensure_token",
    "is_ours",
    "made_anew",
    "read_release",
    "read_token",
    "secret_checksum",
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


def ensure_secrets(client: KubeClient, *, browser: bool = False) -> str:
    """Make the Secrets that are not there yet; returns the token of the proxies.

    Args:
        client: The API server.
        browser: Whether the browser's is wanted, too.
    """
    for secret in (ENGINE_SECRET, *([BROWSER_SECRET] if browser else [])):
        ensure_token(client, secret)
    return ensure_token(client)


def read_token(client: KubeClient, name: str = TOKEN_SECRET, key: str = TOKEN_KEY) -> str | None:
    """Return the token in a Secret, the proxies' by default, or None where there is none."""
    found = client.get("Secret", name)
    encoded = ((found or {}).get("data") or {}).get(key)
    return base64.b64decode(encoded).decode() if encoded else None


def secret_checksum(client: KubeClient, secret: str) -> str:
    """Return what changes when a token changes, and tells nothing about it; empty without one.

    The Secret's uid is known only to who may read the Secret, so a weak token cannot be guessed.
    """
    found = client.get("Secret", secret) or {}
    encoded = (found.get("data") or {}).get(TOKEN_KEY)
    if not encoded:
        return ""
    return hashlib.sha256(f"{found['metadata'].get('uid')}:{encoded}".encode()).hexdigest()


def is_ours(obj: Object) -> bool:
    """Whether an object carries this project's labels: a person's own may have the same name."""
    return MANAGED.items() <= (obj["metadata"].get("labels") or {}).items()


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
    if outcome["metadata"]["generation"] != live["metadata"]["generation"]:
        return True
    # What was added by hand stays through an apply.
    fresh = as_if_new(client, wanted)
    return fresh is not None and bool(foreign_fields(fresh, live))


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
    live = client.get(obj["kind"], obj["metadata"]["name"])
    if live is not None and obj["kind"] == "Service" and made_anew(client, obj, live):
        _move_service(client, live, obj)
        return
    fresh = as_if_new(client, obj) if live is not None else None
    if live is not None and fresh is not None and foreign_fields(fresh, live):
        client.replace(healed(fresh, live))
    client.apply(obj)


def _move_service(client: KubeClient, live: Object, wanted: Object) -> None:
    """Give a Service another address: the field cannot be changed, so it is made again."""
    name = wanted["metadata"]["name"]
    client.delete("Service", name)
    try:
        client.apply(wanted)
    except KubeError:
        # Better the old address than none.
        client.apply({**wanted, "spec": {**wanted["spec"], "clusterIP": live["spec"]["clusterIP"]}})
        raise
