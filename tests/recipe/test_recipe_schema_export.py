from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from autosre_lab.recipe import recipe_json_schema, shipped_folder
from autosre_lab.recipe.schema_export import main, schema_text

# The package has no type information of its own.
Validator: Any = importlib.import_module("jsonschema").Draft202012Validator

FILES = sorted(shipped_folder().glob("**/*.yaml"), key=str)


def test_the_committed_schema_is_current() -> None:
    committed = (shipped_folder() / "recipe.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: python -m autosre_lab.recipe.schema_export"


def test_the_schema_is_itself_a_schema() -> None:
    Validator.check_schema(recipe_json_schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_shipped_file_fits_the_schema_and_tells_editors_where_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    named = (file.parent / first.split("=", 1)[1]).resolve()
    assert named == (shipped_folder() / "recipe.schema.json").resolve()
    tree = json.loads(json.dumps(yaml.safe_load(text), default=str))
    Validator(recipe_json_schema()).validate(tree)


@pytest.mark.parametrize(
    "extra",
    [{"engin": {}}, {"model": {"contxt": 1}}, {"scheduler": {"policy": "fair"}}, {"extends": 3},
     {"env": {"set": {"X": {"value": 1}}}}],
)  # fmt: skip
def test_the_schema_rejects_what_the_loader_rejects(extra: dict[str, object]) -> None:
    validator = Validator(recipe_json_schema())
    assert not validator.is_valid({"schema": "autosre.recipe/v1", **extra})


def test_the_schema_lets_null_delete_and_asks_for_nothing_but_its_own_name() -> None:
    validator = Validator(recipe_json_schema())
    assert validator.is_valid({"schema": "autosre.recipe/v1", "latency": None})
    assert validator.is_valid({"schema": "autosre.recipe/v1", "model": {"revision": None}})
    assert not validator.is_valid({})


def test_the_keys_of_the_schema_are_explained() -> None:
    model = recipe_json_schema()["$defs"]["Model"]["properties"]
    assert "max-model-len" in model["context"]["description"]


def test_the_schema_is_written_to_the_file_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "schema.json"
    assert main([str(file)]) == 0
    assert file.read_text(encoding="utf-8") == schema_text()
    assert str(file) in capsys.readouterr().out
