"""The recipe's JSON Schema for editors: ``python -m autosre_lab.recipe.schema_export [FILE]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from autosre_lab.private_files import write_whole
from autosre_lab.recipe.schema import Recipe
from autosre_lab.recipe.sources import shipped_folder

__all__ = ["main", "recipe_json_schema", "schema_text"]


def recipe_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe file.

    It says which keys there are and what they hold. It does not say which are required, because
    a file that extends another one, or is extended, need not be complete; and null is allowed
    wherever a key is, because null deletes what was inherited.
    """
    schema = Recipe.model_json_schema(by_alias=True)
    for section in (schema, *schema["$defs"].values()):
        section.pop("required", None)
        for name, entry in section.get("properties", {}).items():
            if name not in ("schema", "kind") and not _allows_null(entry):
                section["properties"][name] = _or_null(entry)
    text = {"type": "string"}
    schema["properties"]["extends"] = {
        "anyOf": [text, {"type": "array", "items": text}],
        "description": "Files or names that this recipe is laid on; the last wins, null deletes.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "required": ["schema"],
    }


def schema_text() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(recipe_json_schema(), indent=1, ensure_ascii=False) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write the schema beside the shipped recipes, or to the file that is named."""
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.recipe.schema_export")
    parser.description = main.__doc__
    default = shipped_folder() / "recipe.schema.json"
    parser.add_argument("file", type=Path, nargs="?", default=default)
    file = write_whole(parser.parse_args(argv).file, schema_text())
    print(file)  # noqa: T201
    return 0


def _allows_null(entry: dict[str, Any]) -> bool:
    return {"type": "null"} in entry.get("anyOf", [])


def _or_null(entry: dict[str, Any]) -> dict[str, Any]:
    notes: dict[str, Any] = {
        key: entry[key] for key in ("title", "description", "default") if key in entry
    }
    body = {key: value for key, value in entry.items() if key not in notes}
    return {**notes, "anyOf": [body, {"type": "null"}]}


if __name__ == "__main__":
    sys.exit(main())
