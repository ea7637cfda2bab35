"""Recipes: files that say everything about serving one model, and what follows from them.

A recipe is data. From it follow the command line (:func:`build_vllm_serve_cmd`) and the
environment (:func:`build_runtime_env`), the same for a local process, a chart or a parity check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.recipe.command import build_runtime_env, build_vllm_serve_cmd
    from autosre_lab.recipe.difference import RecipeDiff, RecipeDifference
    from autosre_lab.recipe.dump import recipe_sha256, recipe_yaml
    from autosre_lab.recipe.finding import Finding
    from autosre_lab.recipe.flags import Flag, FlagTable, flag_table_versions, load_flag_table
    from autosre_lab.recipe.lint import lint_recipe
    from autosre_lab.recipe.load import load_recipe, parse_recipe
    from autosre_lab.recipe.own import edit_recipe, new_recipe, parse_overrides, save_recipe
    from autosre_lab.recipe.registry import (
        RegistryChange,
        add_registry,
        remove_registry,
        update_registry,
    )
    from autosre_lab.recipe.schema import (
        HuggingFaceSource,
        LocalSource,
        PypiGgufSource,
        Recipe,
    )
    from autosre_lab.recipe.schema_export import recipe_json_schema
    from autosre_lab.recipe.sources import (
        Registry,
        added_registries,
        find_recipe,
        own_folder,
        recipe_names,
        registry_of,
        shipped_folder,
    )
else:
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "Finding",
    "Flag",
    "FlagTable",
    "HuggingFaceSource",
    "LocalSource",
    "PypiGgufSource",
    "Recipe",
    "RecipeDiff",
    "RecipeDifference",
    "Registry",
    "RegistryChange",
    "add_registry",
    "added_registries",
    "build_runtime_env",
    "build_vllm_serve_cmd",
    "edit_recipe",
    "find_recipe",
    "flag_table_versions",
    "lint_recipe",
    "load_flag_table",
    "load_recipe",
    "new_recipe",
    "own_folder",
    "parse_overrides",
    "parse_recipe",
    "recipe_json_schema",
    "recipe_names",
    "recipe_sha256",
    "recipe_yaml",
    "registry_of",
    "remove_registry",
    "save_recipe",
    "shipped_folder",
    "update_registry",
]
