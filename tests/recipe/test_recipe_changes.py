"""A recipe is changed by making another one, and two of them say in what they differ."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from autosre_lab.errors import RecipeError
from autosre_lab.recipe import (
    build_vllm_serve_cmd,
    load_recipe,
    parse_recipe,
    recipe_sha256,
    recipe_yaml,
)
from autosre_lab.recipe.yaml_text import yaml_text

GB10, CPU = "qwen3.6-35b-a3b-nvfp4", "smollm2-135m-cpu"


def test_overrides_are_laid_on_the_file_and_the_recipe_gets_another_name() -> None:
    changed = load_recipe(
        CPU, overrides={"model": {"context": 4096}, "engine": {"args": {"max-num-seqs": 8}}}
    )
    assert (changed.name, changed.model.context) == (f"{CPU}-changed", 4096)
    assert changed.engine.args["max-num-seqs"] == 8
    assert changed.engine.args["enforce-eager"] is True
    assert "4096" in build_vllm_serve_cmd(changed)
    assert changed.verified == ()
    assert load_recipe(CPU, overrides={"name": "mine"}).name == "mine"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"model": {"contxt": 1}}, "contxt"),
        ({"model.context": 4096}, "'model': {'context': …}"),
        (["model"], "not a mapping"),
        ({"model": {"context": "many"}}, "context"),
    ],
)
def test_overrides_that_make_no_recipe_are_refused(overrides: Any, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe(CPU, overrides=overrides)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", [GB10, CPU])
def test_nothing_of_a_recipe_can_be_changed_at_any_depth(name: str) -> None:
    recipe = load_recipe(name)
    before = recipe_sha256(recipe)
    args = recipe.engine.args
    changes: list[Callable[[], object]] = [
        lambda: args.__setitem__("max-num-seqs", 1),
        lambda: args.update({"max-num-seqs": 1}),
        lambda: args.pop("max-num-seqs"),
        lambda: args.clear(),
        lambda: args.__ior__({"x": 1}),
        lambda: recipe.env.set.clear(),
        lambda: recipe.scheduler.classes.setdefault("x", 1),
        lambda: recipe.parity.severity.update(x="warn"),
    ]
    for value in args.values():
        if isinstance(value, dict):
            changes.append(value.clear)
        if isinstance(value, list):
            changes.append(functools.partial(value.append, 1))
    for change in changes:
        with pytest.raises(TypeError, match="overrides="):
            change()
    assert recipe_sha256(recipe) == before


@pytest.mark.parametrize("name", [GB10, CPU])
def test_a_recipe_is_still_copied_pickled_and_written(name: str) -> None:
    recipe = load_recipe(name)
    assert copy.deepcopy(recipe) == pickle.loads(pickle.dumps(recipe)) == recipe
    json.dumps(recipe.engine.args)
    tree = json.loads(recipe.model_dump_json(by_alias=True))
    assert parse_recipe(tree | {"verified": []}).engine == recipe.engine
    assert "max" in yaml_text(recipe.model_dump(mode="json"))
    assert recipe_yaml(recipe)


def test_the_difference_names_each_key_and_is_empty_for_equals() -> None:
    cpu = load_recipe(CPU)
    changed = load_recipe(
        CPU, overrides={"name": CPU, "engine": {"args": {"max-num-seqs": 8, "enforce-eager": None}}}
    )
    found = {one.key: (one.before, one.after) for one in cpu.diff(changed)}
    assert found["engine.args.max-num-seqs"] == ("(not set)", "8")
    assert found["engine.args.enforce-eager"] == ("true", "(not set)")
    assert set(found) <= {"engine.args.max-num-seqs", "engine.args.enforce-eager", "verified"}
    assert not cpu.diff(load_recipe(CPU))
    assert str(cpu.diff(load_recipe(CPU))) == "no difference"
    assert "engine.args.enforce-eager: true → (not set)" in str(cpu.diff(changed)).splitlines()
