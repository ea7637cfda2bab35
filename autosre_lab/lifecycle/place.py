"""Where a stack runs: as processes of this machine, or as Pods of a cluster."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autosre_lab.errors import ConfigError, RecipeError
from autosre_lab.processes.files import read_json, write_private_json
from autosre_lab.settings import load_settings, paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["PLACES", "Place", "last_place", "place_for", "remember_place"]

Place = Literal["local", "cluster"]
PLACES: tuple[Place, ...] = ("local", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    place: Place


def place_for(recipe: Recipe, asked: str | None = None) -> Place:
    """Return where a recipe is started.

    What was asked for counts first, then the setting `place`, then what the recipe can do: one
    without `image:` has no Pod, one without `runtime:` no local process, and one with both is
    started locally.

    Raises:
        ConfigError: There is no such place.
        RecipeError: The recipe cannot be started there.
    """
    wanted = asked or load_settings().place
    if wanted == "auto":
        return "local" if recipe.runtime is not None else "cluster"
    place = _known(wanted)
    section = "runtime" if place == "local" else "image"
    if getattr(recipe, section) is None:
        other = "cluster" if place == "local" else "local"
        raise RecipeError(
            f"recipe {recipe.name} has no `{section}:` section, so it cannot be started "
            f"{_IN_WORDS[place]}",
            remedy=f"add the section, or start it {_IN_WORDS[other]}: "
            f"autosre start {recipe.name} --place {other}",
        )
    return place


def last_place(asked: str | None = None) -> Place:
    """Return where to look for the stack: as asked, as set, or where the last one was started.

    Raises:
        ConfigError: There is no such place.
    """
    wanted = asked or load_settings().place
    if wanted != "auto":
        return _known(wanted)
    kept = (read_json(_file()) or {}).get("place")
    return _known(kept) if isinstance(kept, str) and kept in PLACES else "local"


def remember_place(place: Place) -> None:
    """Note where a stack is started, so that `stop` and `status` look there."""
    write_private_json(_file(), asdict(_Note(place=place)))


_IN_WORDS = {"local": "as local processes", "cluster": "as Pods"}


def _file() -> Path:
    return paths().state / "place.json"


def _known(name: str) -> Place:
    for place in PLACES:
        if name == place:
            return place
    raise ConfigError(f"{name!r} is no place for a stack", remedy=f"give {' or '.join(PLACES)}")
