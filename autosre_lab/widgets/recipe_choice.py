"""Choosing a recipe: as a table, and as a widget over the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autosre_lab.errors import MissingExtraError, RecipeError
from autosre_lab.recipe import load_recipe, recipe_names
from autosre_lab.settings import load_settings

if TYPE_CHECKING:
    import pandas

__all__ = ["recipe_picker", "recipe_table"]


def recipe_table() -> pandas.DataFrame:
    """Return all recipes, one a row.

    Returns:
        Index ``name``; columns ``model``, ``context`` (tokens), ``vllm``, ``runs_here`` (as local
        processes, without a container), ``description``. A recipe that cannot be read has its
        error as the description.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("the table of recipes", extra="notebooks") from error
    rows = []
    for name in recipe_names():
        try:
            recipe = load_recipe(name)
        except RecipeError as error:
            rows.append({"name": name, "runs_here": False, "description": error.message})
            continue
        rows.append(
            {
                "name": name,
                "model": recipe.model.repo,
                "context": recipe.model.context,
                "vllm": recipe.vllm_version,
                "runs_here": recipe.runtime is not None,
                "description": recipe.meta.description,
            }
        )
    columns = ["name", "model", "context", "vllm", "runs_here", "description"]
    return pandas.DataFrame(rows, columns=columns).set_index("name")


def recipe_picker(selected: str = "") -> Any:
    """Return a drop-down of the recipes; its ``.value`` is the name.

    The twin without a widget is `recipe_table`.

    Args:
        selected: The name or the path of the recipe chosen at first; the setting `recipe` where
            empty.

    Raises:
        MissingExtraError: ipywidgets is not installed.
        RecipeError: There is no such recipe, or it cannot be read.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise MissingExtraError("the recipe picker", extra="notebooks") from error
    first = selected or load_settings().recipe
    table = recipe_table()
    options = [(_label(str(name), row), str(name)) for name, row in table.iterrows()]
    if first not in table.index:
        options.append((f"{first}: {load_recipe(first).meta.description}", first))
    return ipywidgets.Dropdown(
        options=options,
        value=first,
        description="Recipe",
        layout=ipywidgets.Layout(width="auto"),
    )


def _label(name: str, row: Any) -> str:
    place = "" if row.runs_here else " (not as local processes)"
    return f"{name}: {row.description}{place}"
