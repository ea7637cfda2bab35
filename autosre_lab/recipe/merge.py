"""Deep merge of recipe files: the last one wins, and null deletes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["deep_merge", "without_nulls"]


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on it.

    Maps are merged key by key and keep the base's order; anything else, lists included, is
    replaced. A null deletes the key. A `source` of another kind replaces the one before.
    """
    merged: dict[str, Any] = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            if key == "source" and isinstance(below, Mapping) and _another_kind(below, value):
                below = {}  # a folder has no package, and a package no path
            merged[key] = deep_merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _another_kind(below: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    kinds = below.get("kind"), over.get("kind")
    return None not in kinds and kinds[0] != kinds[1]


def without_nulls(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the map without its null values, at every depth."""
    return deep_merge({}, tree)
