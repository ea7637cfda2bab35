"""Files of strangers are read within bounds, and what is out of them is an error of our own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from autosre_lab.errors import ConfigError, RecipeError
from autosre_lab.recipe import load_recipe
from autosre_lab.settings import load_settings, paths
from autosre_lab.yaml_bounds import MAX_BYTES, MAX_DEPTH, load_bounded

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
BAD = {
    "bomb": BOMB,
    "itself": "a: &a [*a]",
    "itself in a map": "a: &a {b: *a}",
    "deep list": "a: " + "[" * 5000 + "]" * 5000,
    "deep map": "a: " + "{a: " * 3000 + "1" + "}" * 3000,
    "deep blocks": "".join(" " * n + f"a{n}:\n" for n in range(300)),
    "long": "a: " + "x" * (MAX_BYTES + 1),
    "many": "a: [" + "1," * 30_000 + "]",
    "no date": "a: 2026-13-45",
    "no number": 'a: !!int "seven"',
    "no float": 'a: !!float "seven"',
    "no bytes": 'a: !!binary "é"',
    "object": "a: !!python/object/apply:os.system [ls]",
    "unhashable": "? [a]\n: 1",
    "control": "a: \x01",
    "unclosed": "a: [1",
    "two documents": "a: 1\n---\na: 2",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_out_of_bounds_is_an_error_of_yaml_and_quick(text: str) -> None:
    began = time.process_time()
    with pytest.raises(yaml.YAMLError):
        load_bounded(text)
    assert time.process_time() - began < 20


def test_what_is_within_bounds_is_read() -> None:
    assert load_bounded("a: &a {b: 1}\nc: *a") == {"a": {"b": 1}, "c": {"b": 1}}
    assert load_bounded("") is None
    deep = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert load_bounded(deep)["a"]


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_settings_tell_it_with_a_remedy(text: str) -> None:
    file = paths().config / "settings.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        load_settings()
    assert told.value.remedy


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_recipes_tell_it_with_a_remedy(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("schema: autosre.recipe/v1\n" + text, encoding="utf-8")
    with pytest.raises(RecipeError) as told:
        load_recipe(file)
    assert told.value.remedy


def test_many_levels_of_extends_are_read_once_each_and_bounded(tmp_path: Path) -> None:
    for level in range(30):
        above = [f"l{level + 1}.yaml"] * 2 if level < 29 else ["base/claude-code.yaml"]
        body = f"schema: autosre.recipe/v1\nname: l{level}\nextends: {above}\n"
        (tmp_path / f"l{level}.yaml").write_text(body, encoding="utf-8")
    began = time.process_time()
    with pytest.raises(RecipeError, match="one above the other"):
        load_recipe(tmp_path / "l0.yaml")
    with pytest.raises(RecipeError, match=r"meta|model"):  # read to its end, and incomplete
        load_recipe(tmp_path / "l22.yaml")
    assert time.process_time() - began < 10


@pytest.mark.parametrize("name", ["a\0b", "a\0b.yaml", "n" * 5000, "/" + "n" * 5000 + ".yaml"])
def test_a_name_that_no_file_can_have_is_told(name: str) -> None:
    with pytest.raises(RecipeError) as told:
        load_recipe(name)
    assert told.value.remedy
    assert len(told.value.message) < 1000


def test_a_device_is_not_read_without_end() -> None:
    with pytest.raises(RecipeError):
        load_recipe("/dev/zero.yaml")
    with pytest.raises(RecipeError):
        load_recipe(Path("/dev/zero"))
