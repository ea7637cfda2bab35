"""Notebooks and recipes, as their files describe them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from autosre_lab.discovery.entries import Entry
from autosre_lab.errors import RecipeError

__all__ = ["notebook_entries", "recipe_entries"]

_PARAMETER = re.compile(r"^(\w+)(?:\s*:\s*([^=#]+?))?\s*=\s*([^#]*?)\s*(?:#\s*(.*))?$")


def notebook_entries(folder: Path) -> list[Entry]:
    """Return the notebooks of a folder: their first cell and their parameters."""
    entries = [_notebook(file) for file in sorted(folder.glob("*.ipynb"))]
    return [entry for entry in entries if entry is not None]


def recipe_entries(names: Iterable[str]) -> list[Entry]:
    """Return the recipes of these names; one that cannot be loaded says so."""
    return [_recipe(name) for name in names]


def _notebook(file: Path) -> Entry | None:
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    text = next((_source(cell) for cell in cells if cell.get("cell_type") == "markdown"), "")
    title, _, rest = text.strip().partition("\n")
    tagged = (
        cell for cell in cells if "parameters" in (cell.get("metadata") or {}).get("tags", ())
    )
    lines = _source(next(tagged, {})).splitlines()
    parameters = [match for line in lines if (match := _PARAMETER.match(line))]
    name = f"notebooks/{file.name}"
    shown = [f"  -p {one[1]}={one[3]}  {one[4] or ''}".rstrip() for one in parameters]
    shell = f"autosre notebook run {file.stem}"
    return Entry(
        name=name,
        kind="notebook",
        summary=f"{title.lstrip('# ')}. {' '.join(rest.strip().partition(chr(10) * 2)[0].split())}",
        signature="\n".join([shell, *shown]),
        doc=text,
        words=" ".join(one[1] for one in parameters),
        shell=shell,
        where=f"{name}:1",
        needs="notebooks",
    )


def _source(cell: dict[str, object]) -> str:
    source = cell.get("source") or ""
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _recipe(name: str) -> Entry:
    from autosre_lab.recipe import load_recipe

    shell = f"autosre start {name}"
    try:
        recipe = load_recipe(name)
    except RecipeError as error:
        return Entry(
            name=name, kind="recipe", summary=f"cannot be loaded: {error.message}", signature=shell
        )
    return Entry(
        name=name,
        kind="recipe",
        summary=recipe.meta.description,
        signature=f"{shell}\n  window {recipe.model.context} tokens, served as "
        f"{', '.join(recipe.model.served_names)}",
        doc=recipe.meta.notes or "",
        words=" ".join(recipe.meta.tags),
        shell=shell,
    )
