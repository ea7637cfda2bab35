"""The badge beside every number: what produced it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.badges import BADGES, Badge
from autosre_lab.cards import badge_html

if TYPE_CHECKING:
    from autosre_lab.stack import Stack, StackStatus

__all__ = ["BadgeMark", "badge_mark", "stack_badge"]


class BadgeMark:
    """A badge as it is printed; its text is `BADGES`' own."""

    def __init__(self, kind: Badge) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return f"measured on: {BADGES[self.kind]}"

    def _repr_html_(self) -> str:
        return f"measured on: {badge_html(self.kind)}"

    def _repr_markdown_(self) -> str:
        return f"measured on: **{BADGES[self.kind]}**"


def badge_mark(kind: Badge) -> BadgeMark:
    """Return a badge to show at a cell's end."""
    return BadgeMark(kind)


def stack_badge(stack: Stack | StackStatus | None = None) -> Badge | None:
    """Return what a running stack's numbers are to be marked with.

    Args:
        stack: It, or its status; the one that runs by default.

    Returns:
        None where nothing was started.
    """
    from autosre_lab import lifecycle
    from autosre_lab.bench.target import badge_of
    from autosre_lab.errors import RecipeError
    from autosre_lab.recipe import load_recipe

    name = (stack or lifecycle.status()).recipe_name
    if name is None:
        return None
    try:
        return badge_of(load_recipe(name))
    except RecipeError:
        # A recipe that was deleted meanwhile, or a path: it is unknown, so no claim is made.
        return "unknown"
