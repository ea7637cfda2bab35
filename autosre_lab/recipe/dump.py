"""A recipe as text: everything inherited written out, so that it needs no other file."""

from __future__ import annotations

import hashlib

from autosre_lab.recipe.schema import Recipe
from autosre_lab.recipe.yaml_text import yaml_text

__all__ = ["recipe_sha256", "recipe_yaml"]


def recipe_yaml(recipe: Recipe) -> str:
    """Return YAML that loads as an equal recipe; what is at its default is left out."""
    tree = recipe.model_dump(by_alias=True, exclude_defaults=True)
    tree = {"schema": recipe.format, **tree}
    return yaml_text(tree)


def recipe_sha256(recipe: Recipe) -> str:
    """Return the digest of what a recipe says, wherever it was inherited from."""
    return hashlib.sha256(recipe_yaml(recipe).encode()).hexdigest()
