from __future__ import annotations

from pathlib import Path

from autosre_lab.lab import recipe_picker, recipe_table
from autosre_lab.settings import paths


def test_the_table_and_the_widget_offer_the_same_recipes() -> None:
    table = recipe_table()
    picker = recipe_picker("smollm2-135m-cpu")
    assert [value for _, value in picker.options] == list(table.index)
    assert picker.value == "smollm2-135m-cpu"
    assert table.loc["smollm2-135m-cpu", "context"] == 8192
    assert table.loc["smollm2-135m-cpu", "runs_here"]
    assert not table.loc["qwen3.6-35b-a3b-nvfp4", "runs_here"]
    picker.close()


def test_a_recipe_that_cannot_be_read_is_listed_with_its_error() -> None:
    folder = paths().config / "recipes"
    folder.mkdir(parents=True)
    Path(folder / "broken.yaml").write_text("name: [", encoding="utf-8")
    table = recipe_table()
    assert not table.loc["broken", "runs_here"]
    assert "broken.yaml" in str(table.loc["broken", "description"])
