"""Where recipe files are: a person's own, those that come with this project, those that were added.

A name is looked up in this order, so that nothing that is added takes the place of what was there.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.errors import RecipeError
from autosre_lab.settings import expanded, paths

__all__ = [
    "Registry",
    "added_registries",
    "find_recipe",
    "looks_like_path",
    "own_folder",
    "recipe_names",
    "registries_folder",
    "registry_of",
    "shipped_folder",
]

_SUFFIXES = (".yaml", ".yml")


def shipped_folder() -> Path:
    """Return the folder of the recipes that come with this project."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "_recipes"
    return in_wheel if in_wheel.is_dir() else package.parent / "recipes"


def own_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of a person's own recipes, which may not exist yet."""
    return paths(environ).config / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A git repository whose recipes were added.

    Attributes:
        name: What it is called here.
        url: Where it was fetched from.
        ref: The branch, tag or commit that was asked for; ``HEAD`` for the default branch.
        commit: What was fetched, 40 hexadecimal digits.
        recipes: The names of its recipes, sorted.
        folder: Where its files are on this machine.
    """

    name: str
    url: str
    ref: str
    commit: str
    recipes: tuple[str, ...]
    folder: Path


def registries_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the registries that were added, which may not exist yet."""
    return paths(environ).data / "recipe-registries"


def added_registries(environ: Mapping[str, str] | None = None) -> list[Registry]:
    """Return the registries that were added, by name."""
    found = []
    for note in sorted(registries_folder(environ).glob("*/registry.json")):
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
            found.append(
                Registry(
                    name=note.parent.name,
                    url=str(noted["url"]),
                    ref=str(noted["ref"]),
                    commit=str(noted["commit"]),
                    recipes=tuple(map(str, noted["recipes"])),
                    folder=note.parent / "recipes",
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def registry_of(file: Path, environ: Mapping[str, str] | None = None) -> Registry | None:
    """Return the registry that a recipe's file belongs to; None where it is not of one."""
    here = file.resolve()
    for registry in added_registries(environ):
        if here.is_relative_to(registry.folder.resolve()):
            return registry
    return None


def recipe_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of all recipes, a person's own and added ones included, sorted."""
    ours = {file.stem for folder in _folders(environ) for file in folder.glob("*.yaml")}
    return sorted(ours.union(*(one.recipes for one in added_registries(environ))))


def looks_like_path(name: str) -> bool:
    """Tell whether a text names a file rather than a recipe."""
    return name.endswith(_SUFFIXES) or os.sep in name or name.startswith("~")


def find_recipe(
    name_or_path: str | os.PathLike[str], environ: Mapping[str, str] | None = None
) -> Path:
    """Return the file of a recipe.

    Args:
        name_or_path: A path if it is a ``Path``, has a separator or ends in ``.yaml``; else a
            name, looked up in the config folder's ``recipes/``, then among the shipped ones, then
            in the registries that were added.
        environ: The environment to read; this process's own when not given.

    Raises:
        RecipeError: There is no such file or name.
    """
    if not isinstance(name_or_path, str) or looks_like_path(name_or_path):
        return _existing(expanded(os.fspath(name_or_path), where="recipe"))
    for folder in _folders(environ):
        file = folder / f"{name_or_path}.yaml"
        if file.is_file():
            return file
    for registry in added_registries(environ):
        if name_or_path in registry.recipes:
            return _existing(registry.folder / f"{name_or_path}.yaml")
    names = recipe_names(environ)
    close = difflib.get_close_matches(name_or_path, names, n=1, cutoff=0.5)
    known = f"the recipes are: {', '.join(names)}"
    raise RecipeError(
        f"there is no recipe named {name_or_path!r}",
        remedy=(f"did you mean {close[0]}? " if close else "")
        + f"{known}; or give the path of a .yaml file",
    )


def _existing(file: Path) -> Path:
    if file.is_file():
        return file
    if file.is_dir():
        raise RecipeError(f"{file} is a folder", remedy="give the path of a .yaml file in it")
    there = sorted(p.name for s in _SUFFIXES for p in file.parent.glob(f"*{s}"))
    close = difflib.get_close_matches(file.name, there, n=1, cutoff=0.5)
    raise RecipeError(
        f"{file} does not exist",
        remedy=f"did you mean {file.parent / close[0]}?"
        if close
        else f"give the path of a recipe file, or a name: {', '.join(recipe_names())}",
    )


def _folders(environ: Mapping[str, str] | None) -> tuple[Path, Path]:
    return (own_folder(environ), shipped_folder())
