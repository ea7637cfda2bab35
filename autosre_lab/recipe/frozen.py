"""Mappings and lists of a recipe that refuse to be changed.

They are real dicts and lists, so that whatever reads JSON-like values takes them; a recipe is named
in notes, results and comparisons, and one that changed under its name would make them untrue.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["FrozenDict", "FrozenList", "frozen"]


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(
        "a recipe does not change: make another one with "
        "load_recipe(NAME, overrides={'engine': {'args': {…}}})"
    )


class FrozenDict(dict[str, Any]):
    """A dict that nobody changes."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return (FrozenDict, (dict(self),))


class FrozenList(list[Any]):
    """A list that nobody changes."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return (FrozenList, (list(self),))


def frozen(value: Any) -> Any:
    """Return a value whose mappings and lists, at every depth, cannot be changed."""
    if isinstance(value, dict):
        return FrozenDict({name: frozen(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return FrozenList(frozen(inner) for inner in value)
    return value
