"""Everything a recipe needs on this machine, in one call."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.provision.engine_environment import provision_engine
from autosre_lab.provision.model_folder import provision_model

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["Provisioned", "provision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What was installed.

    Attributes:
        engine_python: Python of the engine's environment.
        model_path: Folder of the weights; the model's name where it has none.
    """

    engine_python: Path
    model_path: Path


def provision(recipe: Recipe) -> Provisioned:
    """Install a recipe's engine and model, as far as they are not there.

    Raises:
        RecipeError: The recipe is not for a local process.
        ProvisionError: Something could not be installed.
    """
    if recipe.runtime is not None and recipe.runtime.device == "scripted":
        return Provisioned(engine_python=Path(sys.executable), model_path=Path(recipe.model.repo))
    python = provision_engine(recipe)
    return Provisioned(engine_python=python, model_path=provision_model(recipe, python))
