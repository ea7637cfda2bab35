"""Both places with small stand-ins: what a test of a verb needs to know of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autosre_lab.recipe import Recipe
from autosre_lab.stack import PlaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A place where recipes can be started in no time.

    Attributes:
        name: The place.
        first: A recipe that comes up.
        second: Another one.
        breaks: Lets every engine that is started from now on end at once.
        breaks_second: Lets only the second recipe's engine end.
    """

    name: PlaceName
    first: Recipe
    second: Recipe
    breaks: Callable[[], None]
    breaks_second: Callable[[], None]
