"""Whether the stack that runs is the one its recipe describes, wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.errors import NotReadyError
from autosre_lab.lifecycle.place import Place, last_place

if TYPE_CHECKING:
    from autosre_lab.parity import DriftReport
    from autosre_lab.recipe import Recipe

__all__ = ["find_stack_drift", "warn_at_start"]


def find_stack_drift(
    recipe: Recipe | str | None = None, *, place: str | None = None
) -> DriftReport:
    """Compare the stack with a recipe.

    Args:
        recipe: What should run; the recipe that was started last by default.
        place: Where; by default where the last stack was started.

    Raises:
        NotReadyError: No recipe is named, and nothing was started.
        RecipeError: There is no such recipe.
    """
    from autosre_lab.parity import find_drift

    where = last_place(place)
    if where == "local":
        from autosre_lab import local

        return find_drift(recipe or _required(local.status().recipe_name))
    from autosre_lab.cluster.options import chart_options, configured_client
    from autosre_lab.cluster.release import read_release
    from autosre_lab.recipe import load_recipe

    client = configured_client()
    release = read_release(client)
    wanted = recipe or (release.recipe if release is not None else None)
    chosen = _required(wanted)
    loaded = load_recipe(chosen) if isinstance(chosen, str) else chosen
    return find_drift(loaded, client=client, options=chart_options(client, loaded))


def warn_at_start(recipe: Recipe, place: Place) -> DriftReport:
    """Warn of what differs in a stack that has just been started; nothing is ever raised."""
    from autosre_lab.parity import DriftReport, warn_on_recipe_drift

    if recipe.runtime is not None and recipe.runtime.device == "scripted":
        # There is no vLLM to compare.
        return DriftReport(recipe_name=recipe.name, place="local", engine="", layers=(), rows=())
    if place == "local":
        return warn_on_recipe_drift(recipe)
    from autosre_lab.cluster.options import chart_options, configured_client

    client = configured_client()
    return warn_on_recipe_drift(recipe, client=client, options=chart_options(client, recipe))


def _required(recipe: Recipe | str | None) -> Recipe | str:
    if recipe is None:
        raise NotReadyError(
            "nothing was started, so there is no recipe to compare with",
            remedy="name one: autosre drift RECIPE",
        )
    return recipe
