"""What the settings and the cluster say about a stack, besides its recipe."""

from __future__ import annotations

from typing import Any

from autosre_lab.chart.from_recipe import (
    BROWSER_SECRET,
    ENGINE_SECRET,
    KEYS_SECRET,
    TOKEN_SECRET,
    ChartOptions,
)
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.kube import KubeClient
from autosre_lab.cluster.kubeconfig import connect
from autosre_lab.cluster.release import secret_checksum
from autosre_lab.errors import ConfigError, KubeError
from autosre_lab.recipe import Recipe
from autosre_lab.settings import Settings, load_settings

__all__ = ["chart_options", "checksums", "configured_client", "parse_tolerations"]


def chart_options(client: KubeClient | None = None, recipe: Recipe | None = None) -> ChartOptions:
    """Return what the chart is told besides the recipe.

    Args:
        client: The cluster, for what its Secrets decide: which optional variables there are, and
            the checksums that make new Pods of a changed token. None: of no cluster.
        recipe: Whose optional variables are looked for.

    Raises:
        ConfigError: A setting cannot be read.
    """
    settings = load_settings()
    given: dict[str, Any] = {
        "proxy_image": settings.proxy_image,
        "engine_ip": settings.engine_ip,
        "proxy_ip": settings.proxy_ip,
        "codex_ip": settings.codex_proxy_ip,
        "browser_ip": settings.browser_ip,
    }
    return ChartOptions(
        codex_proxy=settings.codex_pod == "on",
        client_keys=client is not None and _has_keys(client),
        store_responses=settings.store_responses == "on",
        browser=settings.browser_pod != "off",
        browser_kind="browserless" if settings.browser_pod == "browserless" else "chromium",
        browser_image=settings.browser_image,
        browser_recordings=settings.browser_recordings,
        fetch_allow=settings.fetch_allow,
        allow_from=_words(settings.allow_from),
        engine_allow_from=_words(settings.engine_allow_from),
        scrape_from=_words(settings.scrape_from),
        node_selector=tuple(
            _pair(word, "node_selector") for word in _words(settings.node_selector)
        ),
        tolerations=parse_tolerations(settings.tolerations),
        host_aliases=_host_aliases(settings),
        checksums=checksums(client) if client is not None else {},
        secrets=_secrets(client, recipe) if client is not None and recipe is not None else (),
        **{name: value for name, value in given.items() if value},
    )


def checksums(client: KubeClient) -> dict[str, str]:
    """Return what changes with the tokens and keys of the cluster, by the Secret's name."""
    found = {}
    for secret in (TOKEN_SECRET, ENGINE_SECRET, BROWSER_SECRET):
        try:
            found[secret] = secret_checksum(client, secret)
        except KubeError:  # whoever may not read Secrets can look at the rest all the same
            continue
    return {secret: checksum for secret, checksum in found.items() if checksum}


def parse_tolerations(text: str) -> tuple[dict[str, Any], ...]:
    """Read tolerations as kubectl writes taints: ``key``, ``key:NoSchedule``, ``key=value:…``.

    Raises:
        ConfigError: One of them cannot be read.
    """
    found = []
    for word in _words(text):
        key, _, effect = word.partition(":")
        name, equals, value = key.partition("=")
        if not name or effect not in ("", "NoSchedule", "PreferNoSchedule", "NoExecute"):
            raise ConfigError(
                f"tolerations: {word!r} is no toleration",
                remedy="write key, key:EFFECT or key=value:EFFECT, with NoSchedule, "
                "PreferNoSchedule or NoExecute, separated by commas",
            )
        one = {"key": name, "operator": "Equal" if equals else "Exists"}
        one |= {"value": value} if equals else {}
        found.append(one | ({"effect": effect} if effect else {}))
    return tuple(found)


def configured_client() -> ApiServerClient:
    """Return a client for the cluster and the namespace of the settings.

    Raises:
        KubeError: No cluster is configured.
        MissingExtraError: The official client is not installed.
    """
    settings = load_settings()
    return connect(context=settings.kube_context or None, namespace=settings.namespace)


def _has_keys(client: KubeClient) -> bool:
    try:
        return client.get("Secret", KEYS_SECRET) is not None
    except KubeError:
        return False


def _secrets(client: KubeClient, recipe: Recipe) -> tuple[str, ...]:
    """Return the recipe's optional variables whose Secrets the operator has made."""
    found = []
    for name, secret in recipe.env.secret.items():
        try:
            live = client.get("Secret", secret.secret) if secret.secret else None
        except KubeError:
            continue
        if (secret.key or name) in ((live or {}).get("data") or {}):
            found.append(name)
    return tuple(found)


def _host_aliases(settings: Settings) -> tuple[dict[str, Any], ...]:
    names: dict[str, list[str]] = {}
    for word in _words(settings.host_aliases):
        name, address = _pair(word, "host_aliases")
        names.setdefault(address, []).append(name)
    return tuple({"ip": address, "hostnames": hosts} for address, hosts in names.items())


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def _pair(word: str, setting: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key or not value:
        raise ConfigError(
            f"{setting}: {word!r} has no name and value",
            remedy="write name=value, separated by commas",
        )
    return key, value
