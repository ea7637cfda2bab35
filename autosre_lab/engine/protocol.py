"""What vLLM's HTTP answers mean: pure parsers, shared with the proxy, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from autosre_lab.errors import ConfigError

__all__ = ["ServedModel", "engine_url", "parse_models"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One entry of `/v1/models`.

    Attributes:
        id: The served name.
        max_model_len: The context window in tokens.
        root: The folder or repository that the weights came from.
    """

    id: str
    max_model_len: int
    root: str


def parse_models(payload: Mapping[str, Any]) -> list[ServedModel]:
    """Read the answer of `/v1/models`; adapters, which have a parent, come last.

    Raises:
        KeyError, TypeError, ValueError: It is not vLLM's answer.
    """
    cards = sorted(payload["data"], key=lambda card: card.get("parent") is not None)
    return [
        ServedModel(
            id=str(card["id"]),
            max_model_len=int(card["max_model_len"]),
            root=str(card.get("root") or card["id"]),
        )
        for card in cards
    ]


def engine_url(text: str) -> str:
    """Normalise an engine's base URL: a scheme, no path `/v1`, no slash at the end.

    Args:
        text: What a person types: ``host:8010``, ``http://host:8010/v1/``.

    Raises:
        ConfigError: It names no host, or another scheme than http and https.
    """
    stripped = text.strip()
    if "://" not in stripped:
        stripped = f"http://{stripped}"
    stripped = stripped.rstrip("/").removesuffix("/v1")
    try:
        parts = urlsplit(stripped)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"{text!r} is no URL of an engine", remedy="write it like http://127.0.0.1:8010"
        )
    return stripped
