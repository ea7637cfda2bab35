"""A recipe as text: everything inherited written out, so that it needs no other file."""

from __future__ import annotations

import hashlib

import yaml

from autosre_lab.recipe.schema import Recipe

__all__ = ["recipe_sha256", "recipe_yaml"]


def recipe_yaml(recipe: Recipe) -> str:
    """Return YAML that loads as an equal recipe; what is at its default is left out."""
    tree = recipe.model_dump(by_alias=True, exclude_defaults=True)
    tree = {"schema": recipe.format, **tree}
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def recipe_sha256(recipe: Recipe) -> str:
    """Return the digest of what a recipe says, wherever it was inherited from."""
    return hashlib.sha256(recipe_yaml(recipe).encode()).hexdigest()


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as lines."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)
