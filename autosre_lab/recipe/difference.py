"""In what two recipes differ, key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autosre_lab.recipe.schema import Recipe

__all__ = ["ABSENT", "RecipeDiff", "RecipeDifference", "difference"]

ABSENT = "(not set)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeDifference:
    """One key whose value differs.

    Attributes:
        key: Its path with dots, such as ``engine.args.max-num-seqs``.
        before: Its value in the first recipe, as JSON; `ABSENT` where it has none.
        after: Its value in the second.
    """

    key: str
    before: str
    after: str


class RecipeDiff(tuple[RecipeDifference, ...]):
    """What differs; empty, and false, where two recipes say the same."""

    __slots__ = ()

    def __str__(self) -> str:
        if not self:
            return "no difference"
        return "\n".join(f"{one.key}: {one.before} → {one.after}" for one in self)

    __repr__ = __str__


def difference(before: Recipe, after: Recipe) -> RecipeDiff:
    """Return in what two recipes differ; a key at its default is not set in either."""
    first, second = (dict(_leaves(_plain(one))) for one in (before, after))
    keys = dict.fromkeys((*first, *second))
    return RecipeDiff(
        RecipeDifference(key=key, before=first.get(key, ABSENT), after=second.get(key, ABSENT))
        for key in keys
        if first.get(key) != second.get(key)
    )


def _plain(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(value, ensure_ascii=False)
