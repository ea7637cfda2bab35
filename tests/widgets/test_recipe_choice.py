from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.errors import RecipeError
from autosre_lab.settings import paths
from autosre_lab.widgets import recipe_picker, recipe_table


def test_the_table_and_the_widget_offer_the_same_recipes() -> None:
    table = recipe_table()
    picker = recipe_picker("smollm2-135m-cpu")
    assert [value for _, value in picker.options] == list(table.index)
    assert picker.value == "smollm2-135m-cpu"
    assert table.loc["smollm2-135m-cpu", "context"] == 8192
    assert table.loc["smollm2-135m-cpu", "runs_here"]
    assert not table.loc["qwen3.6-35b-a3b-nvfp4", "runs_here"]
    labels = {name: label for label, name in picker.options}
    assert "(not as local processes)" in labels["qwen3.6-35b-a3b-nvfp4"]
    picker.close()


def test_the_widget_begins_with_the_setting_or_with_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSRE_RECIPE", "qwen3-coder-30b-a3b-fp8")
    by_setting = recipe_picker()
    assert by_setting.value == "qwen3-coder-30b-a3b-fp8"
    mine = tmp_path / "mine.yaml"
    mine.write_text("schema: autosre.recipe/v1\nname: mine\nextends: smollm2-135m-cpu\n", "utf-8")
    by_path = recipe_picker(str(mine))
    assert by_path.value == str(mine)
    by_setting.close()
    by_path.close()


def test_the_widget_does_not_choose_another_recipe_for_one_there_is_not() -> None:
    with pytest.raises(RecipeError, match="no-such-recipe"):
        recipe_picker("no-such-recipe")


def test_a_recipe_that_cannot_be_read_is_listed_with_its_error() -> None:
    folder = paths().config / "recipes"
    folder.mkdir(parents=True)
    Path(folder / "broken.yaml").write_text("name: [", encoding="utf-8")
    table = recipe_table()
    assert not table.loc["broken", "runs_here"]
    assert "broken.yaml" in str(table.loc["broken", "description"])
