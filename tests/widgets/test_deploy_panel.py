"""The deploy panel without a stack: what it says, and what it refuses."""

from __future__ import annotations

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.lifecycle import Change
from autosre_lab.recipe import load_recipe
from autosre_lab.widgets import check_table, deploy
from autosre_lab.widgets.deployment import how_much

GPU_ONLY = "qwen3.6-35b-a3b-nvfp4"


def test_a_recipe_is_checked_by_the_linter_before_a_start() -> None:
    table = check_table("smollm2-135m-cpu")
    assert list(table.columns) == ["state", "looked at", "seen", "what to do"]
    assert not table["state"].str.contains("fail").any()


def test_nothing_in_a_cluster_is_changed_while_dry_run_is_on() -> None:
    panel = deploy(GPU_ONLY, place="cluster")
    assert not panel.may_start
    for act in (panel.start, panel.stop):
        with pytest.raises(ConfigError, match="DRY_RUN is on") as caught:
            act()
        assert "DRY_RUN=False" in caught.value.remedy


def test_a_stack_of_this_machine_may_be_started_whatever_dry_run_says() -> None:
    assert deploy("smollm2-135m-cpu").may_start


def test_the_panel_takes_what_a_person_has_chosen() -> None:
    panel = deploy("smollm2-135m-cpu")
    panel.widget()
    panel._parts["recipe"].value = "qwen3-coder-30b-a3b-fp8"
    panel._parts["place"].value = "local"
    panel._parts["dry_run"].value = False
    assert (panel.recipe, panel.place, panel.dry_run) == ("qwen3-coder-30b-a3b-fp8", "local", False)
    assert "stack: stopped" in panel._parts["status"].value
    panel.close()


def test_a_run_without_a_stack_sums_up_what_is() -> None:
    summary = deploy("smollm2-135m-cpu").summary()
    assert (summary["state"], summary["serves"], summary["drift"]) == ("stopped", None, None)


def test_a_change_is_a_diff_and_says_how_much() -> None:
    change = Change(part="command line", before=("a", "--x 1"), after=("a", "--x 2", "--y"))
    assert how_much(change) == "lines: 1 fewer, 2 more"
    assert "---" in change.diff()[0]
    assert {"-x", "+--x 2", "+--y"} & set(change.diff())
    same = Change(part="values", before=("a",), after=("a",))
    assert (how_much(same), same.diff()) == ("no change", [])
    assert how_much(Change(part="values", before=(), after=("a",))) == "new"
    unread = Change(part="values", before=(), after=("a",), unread="no rights")
    assert how_much(unread) == "cannot be told: no rights"


def test_a_recipe_and_its_card_agree_on_where_it_runs() -> None:
    card = load_recipe(GPU_ONLY)._repr_mimebundle_()["text/plain"]
    assert "as Pods" in card
    assert "local processes" not in card
