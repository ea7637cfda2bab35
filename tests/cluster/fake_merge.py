"""The two merges of an API server: JSON merge patch, and server-side apply of one manager."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

__all__ = ["apply_merge", "merge_patch"]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def apply_merge(live: Any, last: Any, new: Any) -> Any:
    """Merge what is applied now; what was applied last and is not any more goes."""
    if isinstance(live, dict) and isinstance(new, dict):
        last = last if isinstance(last, dict) else {}
        result = copy.deepcopy(live)
        for name in last.keys() - new.keys():
            if isinstance(result.get(name), dict) and isinstance(last[name], dict):
                result[name] = apply_merge(result[name], last[name], {})
                if not result[name]:
                    del result[name]
            else:
                result.pop(name, None)
        for name, value in new.items():
            result[name] = apply_merge(result.get(name), last.get(name), value)
        return result
    if _named(live) and _named(new):
        return _merge_named(live, last if _named(last) else [], new)
    return copy.deepcopy(new)


def _named(items: Any) -> bool:
    if not isinstance(items, list):
        return False
    return all(isinstance(item, dict) and "name" in item for item in items)


def _merge_named(live: list[Any], last: list[Any], new: list[Any]) -> list[Any]:
    before = {item["name"]: item for item in live}
    owned = {item["name"]: item for item in last}
    applied = {item["name"]: item for item in new}
    merged = [
        apply_merge(before.get(name), owned.get(name), item) for name, item in applied.items()
    ]
    others = [item for name, item in before.items() if name not in applied and name not in owned]
    return [*merged, *copy.deepcopy(others)]
