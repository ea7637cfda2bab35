"""One difference between what is expected and what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Mismatch", "same", "shown"]

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One difference.

    Attributes:
        subject: A flag such as ``--max-model-len``, a variable's name, or a path in an object.
        kind: ``missing`` is expected and not there, ``extra`` is there and not expected.
        expected: As text; None where nothing is.
        live: As text; None where nothing is.
    """

    subject: str
    kind: Literal["different", "missing", "extra"]
    expected: str | None
    live: str | None


def same(one: object, other: object) -> bool:
    """Tell whether two JSON values mean the same: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def shown(value: object) -> str:
    """Return a value as a person reads it, long ones cut."""
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
