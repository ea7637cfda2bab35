"""A person's own recipes: made from another one, edited, and never left broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from autosre_lab.errors import RecipeError
from autosre_lab.recipe.load import SCHEMA, load_recipe
from autosre_lab.recipe.sources import find_recipe, own_folder, shipped_folder
from autosre_lab.recipe.yaml_text import yaml_text

__all__ = ["edit_recipe", "new_recipe", "parse_overrides", "save_recipe"]


def parse_overrides(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return ``key.path=value`` texts as a tree; values are read as YAML.

    Raises:
        RecipeError: A text is not of that form.
    """
    tree: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        names = key.split(".")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"{pair}: {text!r} is not YAML", remedy="quote the text") from error
        if not equals or not all(names):
            raise RecipeError(
                f"{pair!r} is not KEY=VALUE",
                remedy="write for example engine.args.max-num-seqs=8",
            )
        inner = tree
        for name in names[:-1]:
            below = inner.setdefault(name, {})
            if not isinstance(below, dict):
                raise RecipeError(f"{pair}: {name} has a value already", remedy="give one of both")
            inner = below
        inner[names[-1]] = value
    return tree


def new_recipe(
    name: str, *, base: str, overrides: Mapping[str, Any] | None = None, description: str = ""
) -> str:
    """Return the text of a recipe that extends another one; nothing is written.

    Args:
        name: The new recipe's name, which is also its file's.
        base: The recipe that it extends.
        overrides: What differs from the base, as a tree of the recipe's keys.
        description: Its line in lists; made from the base's where not given.

    Raises:
        RecipeError: There is no such base, the name is taken, or the result is no recipe.
    """
    over = dict(overrides or {})
    load_recipe(base, overrides={**over, "name": name})  # refuses what would be no recipe
    file = own_folder() / f"{name}.yaml"
    if file.exists() or (shipped_folder() / f"{name}.yaml").exists():
        raise RecipeError(
            f"there is a recipe named {name} already",
            remedy=f"choose another name, or change that one: autosre recipes edit {name}",
        )
    said = description or f"{load_recipe(base).meta.description} (own settings)"
    meta = {"description": said, **over.pop("meta", {})}
    # A path is written out: the new file lies elsewhere.
    extended = base if _is_name(base) else str(find_recipe(base).resolve())
    return yaml_text({"schema": SCHEMA, "name": name, "extends": [extended], "meta": meta, **over})


def _is_name(base: str) -> bool:
    return (own_folder() / f"{base}.yaml").exists() or (shipped_folder() / f"{base}.yaml").exists()


def save_recipe(name: str, text: str) -> Path:
    """Write a person's own recipe, if it is one, and return its file.

    Raises:
        RecipeError: The text is no recipe; the file before stays as it was.
    """
    file = own_folder() / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that what it extends is found as it will be.
    draft = file.with_name(f".draft-{name}") / file.name
    draft.parent.mkdir(exist_ok=True)
    try:
        draft.write_text(text, encoding="utf-8")
        load_recipe(draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
        draft.parent.rmdir()
    return file


def edit_recipe(name: str, edit: Callable[[str], str | None]) -> tuple[Path, bool]:
    """Let somebody edit a person's own recipe, and keep the result if it is a recipe.

    Args:
        name: The recipe's name.
        edit: Takes the text and returns the new one; None where nothing was saved.

    Returns:
        The file, and whether it changed.

    Raises:
        RecipeError: It is not one of the person's own, or the result is no recipe; then the file
            stays as it was, and the text is kept beside it, as ``NAME.yaml.rejected``.
    """
    file = find_recipe(name)
    if file.resolve().parent != own_folder().resolve():
        raise RecipeError(
            f"{file} comes with this project and would be overwritten by an upgrade",
            remedy=f"make your own of it: autosre recipes new my-{file.stem} --from {name}",
        )
    before = file.read_text(encoding="utf-8")
    after = edit(before)
    if after is None or after == before:
        return file, False
    try:
        return save_recipe(file.stem, after), True
    except RecipeError as error:
        kept = file.with_name(file.name + ".rejected")
        kept.write_text(after, encoding="utf-8")
        raise RecipeError(
            error.message, remedy=f"{error.remedy}; your text is kept in {kept}"
        ) from error
