"""An experiment to start from, for any recipe."""

from __future__ import annotations

from typing import Any

from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.tuning.knobs import suggested_knobs

__all__ = ["suggested_experiment"]

_SMALL_WINDOW = 32_768


def suggested_experiment(recipe: Recipe | str) -> dict[str, Any]:
    """Return an experiment's tree for a recipe: `Experiment.model_validate` makes one of it.

    Args:
        recipe: The incumbent; its name or path is what the experiment will name.

    Raises:
        RecipeError: There is no such recipe.
    """
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    parameters: dict[str, Any] = {"sessions": 4, "turns": 6, "waits": 0.0}
    if loaded.model.context < _SMALL_WINDOW:
        parameters |= {"scale": 0.05, "context": loaded.model.context}
    return {
        "schema": "autosre.experiment/v1",
        "recipe": recipe if isinstance(recipe, str) else recipe.name,
        "knobs": [
            {"path": knob.path, "values": list(knob.values)} for knob in suggested_knobs(loaded)
        ],
        "workload": {"name": "cc-session", "parameters": parameters, "arrivals": "closed:2"},
        "objective": {"figure": "e2el_p50", "want": "low"},
        "budget": {"minutes": 120, "restarts": 40, "trials": 12},
        "strategy": "random",
    }
