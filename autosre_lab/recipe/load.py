"""Load a recipe: find the file, merge what it extends, check it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autosre_lab.errors import RecipeError
from autosre_lab.recipe.merge import deep_merge, without_nulls
from autosre_lab.recipe.problems import explain
from autosre_lab.recipe.schema import Recipe
from autosre_lab.recipe.sources import (
    Registry,
    find_recipe,
    looks_like_path,
    registry_of,
    shipped_folder,
)
from autosre_lab.recipe.yaml_text import read_mapping

__all__ = ["load_recipe", "parse_recipe", "resolve_extends"]

SCHEMA = "autosre.recipe/v1"
MAX_EXTENDS, MAX_FILES = 10, 50
"""Files one above the other, and files in all, that one recipe may be made of."""

# True of one file only: a base's proof proves nothing about what extends it.
_NOT_INHERITED = ("name", "verified")


def load_recipe(
    name_or_path: str | os.PathLike[str],
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Recipe:
    """Return a recipe, complete and checked.

    Args:
        name_or_path: A recipe's name, or the path of its file.
        overrides: What to change, as a tree of the recipe's keys laid on the file as an extending
            file would be, so None takes a key out: ``{"engine": {"args": {"max-num-seqs": 8}}}``.
            Without a ``name`` of its own the recipe is then called ``NAME-changed``, and what was
            verified for the file is not claimed for it.
        environ: The environment that says where a person's own recipes are; this process's own
            when not given.

    Raises:
        RecipeError: The file is missing or does not describe a recipe; the message names the
            file, the key and the remedy.
    """
    try:
        file = find_recipe(name_or_path, environ)
        tree = resolve_extends(file, environ=environ)
        if overrides:
            tree = _overridden(tree, overrides, file)
        recipe = parse_recipe(tree, where=str(file))
    except RecipeError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        # For instance a name that is longer than names may be, or has a NUL in it.
        said = getattr(error, "strerror", None) or error
        raise RecipeError(
            f"{str(name_or_path)[:200]!r} is no recipe: {said}",
            remedy="give a recipe's name, or the path of its file",
        ) from error
    if recipe.name != file.stem and not overrides:
        raise RecipeError(
            f"{file}: name: {recipe.name} is not the file's name",
            remedy=f"write `name: {file.stem}`, or rename the file to {recipe.name}.yaml",
        )
    return recipe


def _overridden(tree: dict[str, Any], overrides: Mapping[str, Any], file: Path) -> dict[str, Any]:
    if not isinstance(overrides, Mapping):
        raise RecipeError(
            f"overrides are a {type(overrides).__name__}, not a mapping",
            remedy="give a tree of the recipe's keys: {'model': {'context': 4096}}",
        )
    if dotted := sorted(str(key) for key in overrides if "." in str(key)):
        first, _, rest = dotted[0].partition(".")
        raise RecipeError(
            f"overrides: {dotted[0]} is no key of a recipe",
            remedy=f"write it as a tree: {{{first!r}: {{{rest!r}: …}}}}",
        )
    base = {key: value for key, value in tree.items() if key not in _NOT_INHERITED}
    return deep_merge({**base, "name": f"{file.stem}-changed"}, overrides)


def parse_recipe(tree: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """Return the recipe that a tree of plain values describes.

    Args:
        tree: As read from YAML; nulls count as absent.
        where: What to call it in messages.

    Raises:
        RecipeError: It does not describe a recipe.
    """
    try:
        return Recipe.model_validate(without_nulls(tree))
    except ValidationError as error:
        raise explain(error, where=where) from error
    except RecursionError as error:
        raise RecipeError(
            f"{where}: nested too deep", remedy="write it flatter; a recipe has some 5 levels"
        ) from error


def resolve_extends(file: Path, *, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the file's tree laid on all that it extends, without the ``extends`` key.

    Raises:
        RecipeError: A file is missing or unreadable, or files extend each other in a circle.
    """
    return _resolve(file, chain=(), environ=environ, known={})


def _resolve(
    file: Path,
    *,
    chain: tuple[Path, ...],
    environ: Mapping[str, str] | None,
    known: dict[Path, dict[str, Any]],
) -> dict[str, Any]:
    here = file.resolve()
    if here in chain:
        circle = " -> ".join(p.name for p in (*chain[chain.index(here) :], here))
        raise RecipeError(
            f"{chain[-1]}: extends: files extend each other in a circle: {circle}",
            remedy="take one of them out of `extends`",
        )
    if here in known:
        return dict(known[here])
    if len(chain) >= MAX_EXTENDS or len(known) >= MAX_FILES:
        raise RecipeError(
            f"{chain[0]}: extends: more than {MAX_EXTENDS} files one above the other, or "
            f"{MAX_FILES} in all",
            remedy="copy what is needed into fewer files",
        )
    tree = read_mapping(file)
    if tree.get("schema") != SCHEMA:
        said = f"is {tree['schema']!r}" if "schema" in tree else "is missing"
        raise RecipeError(f"{file}: schema: {said}", remedy=f"write `schema: {SCHEMA}`")
    merged: dict[str, Any] = {}
    for entry in _entries(tree.pop("extends", None), file):
        base_file = _base_file(entry, file, environ)
        base = _resolve(base_file, chain=(*chain, here), environ=environ, known=known)
        for key in _NOT_INHERITED:
            base.pop(key, None)
        merged = deep_merge(merged, base)
    known[here] = deep_merge(merged, tree)
    return dict(known[here])


def _entries(extends: object, file: Path) -> list[str]:
    entries = extends if isinstance(extends, list) else [extends] if extends is not None else []
    texts = [entry for entry in entries if isinstance(entry, str) and entry]
    if len(texts) != len(entries):
        raise RecipeError(
            f"{file}: extends: {extends!r} is not a list of files or recipe names",
            remedy="write for example `extends: [base/claude-code.yaml]`",
        )
    return texts


def _base_file(entry: str, file: Path, environ: Mapping[str, str] | None) -> Path:
    """Return the file that an entry means: beside the extending file, or among the shipped."""
    if registry := registry_of(file, environ):
        return _base_in_registry(entry, file, registry)
    try:
        if not looks_like_path(entry):
            return find_recipe(entry, environ)
        for folder in (file.parent, shipped_folder()):
            if (folder / entry).is_file():
                return folder / entry
        return find_recipe(file.parent / entry, environ)
    except RecipeError as error:
        raise RecipeError(f"{file}: extends: {error.message}", remedy=error.remedy) from error


def _base_in_registry(entry: str, file: Path, registry: Registry) -> Path:
    """Return the base of a stranger's recipe: theirs or a shipped one, no other file of ours."""
    named = entry if looks_like_path(entry) else f"{entry}.yaml"
    nearest = file.parent if looks_like_path(entry) else registry.folder
    for folder in (nearest, registry.folder, shipped_folder()):
        found = (folder / named).resolve()
        root = shipped_folder() if folder == shipped_folder() else registry.folder
        if found.is_file() and found.is_relative_to(root.resolve()):
            return found
    raise RecipeError(
        f"{file}: extends: {entry!r} is neither in the registry {registry.name} nor shipped",
        remedy="a recipe of a registry may extend what is in its own repository and what comes "
        "with this project; tell its owner",
    )
