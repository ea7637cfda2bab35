"""Knobs, experiments' files and strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.cli.main import main
from autosre_lab.errors import ConfigError, ExperimentError, RecipeError
from autosre_lab.recipe import build_vllm_serve_cmd, load_recipe, recipe_names
from autosre_lab.tuning import apply_knobs, load_experiment, pareto, suggested_knobs
from autosre_lab.tuning.knobs import lint_faults
from autosre_lab.tuning.strategies import strategy_for
from tests.tuning.scripted import SLOTS, experiment

BASE = load_recipe("smollm2-135m-cpu")


def test_a_turned_knob_reaches_the_command_line_and_nothing_else_changes() -> None:
    turned = apply_knobs(BASE, {SLOTS: 3})
    before = build_vllm_serve_cmd(BASE, host="h", port=1)
    after = build_vllm_serve_cmd(turned, host="h", port=1)
    assert [one for one in after if one not in before] == ["--max-num-seqs", "3"]
    assert apply_knobs(BASE, {}) == BASE


def test_null_leaves_a_setting_out() -> None:
    assert "enforce-eager" not in apply_knobs(BASE, {"engine.args.enforce-eager": None}).engine.args


def test_an_environment_variable_can_be_turned() -> None:
    turned = apply_knobs(BASE, {"env.set.VLLM_CPU_KVCACHE_SPACE.value": "4"})
    assert turned.env.set["VLLM_CPU_KVCACHE_SPACE"].value == "4"


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(RecipeError):
        apply_knobs(BASE, {"latency.max_step_tokens": -5})
    with pytest.raises(ConfigError, match="leads nowhere"):
        apply_knobs(BASE, {"name.inner": 1})


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_suggested_for_a_recipe_can_be_turned(name: str) -> None:
    recipe = load_recipe(name)
    knobs = suggested_knobs(name)
    assert knobs
    for knob in knobs:
        for value in knob.values:
            assert lint_faults(apply_knobs(recipe, {knob.path: value})) == []


def test_a_suggested_experiment_is_one(tmp_path: Path) -> None:
    from click.testing import CliRunner

    for name in recipe_names():
        shown = CliRunner().invoke(main, ["tune", "suggest", name])
        assert shown.exit_code == 0, shown.output
        file = tmp_path / f"{name}.yaml"
        file.write_text(shown.output)
        assert load_experiment(file).recipe == name


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "autosre.experiment/v2"},
        {"knobs": []},
        {"knobs": [{"path": "slots", "values": [1]}]},
        {"objective": {"figure": "speed"}},
        {"objective": {"constraints": {"speed": 1}}},
        {"workload": {"name": "poems"}},
        {"workload": {"arrivals": "often"}},
        {"workload": {"slo": "fast"}},
        {"budget": {"minutes": 0}},
        {"stratgy": "grid"},
    ],
)
def test_an_experiment_that_says_nothing_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    import json

    tree = json.loads(experiment().model_dump_json(by_alias=True)) | change
    file = tmp_path / "x.yaml"
    file.write_text(json.dumps(tree))
    with pytest.raises(ExperimentError, match="autosre tune suggest"):
        load_experiment(file)


def asked(strategy: Any, scores: dict[int, float | None]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    while (candidate := strategy.ask()) is not None and len(found) < 40:
        slots = candidate.values[SLOTS]
        found.append((slots, round(candidate.share, 3)))
        strategy.tell(candidate, scores.get(slots))
    return found


def test_a_grid_has_every_combination_once() -> None:
    knobs = [{"path": SLOTS, "values": [1, 2]}, {"path": "engine.args.seed", "values": [0, 1, 2]}]
    strategy = strategy_for(experiment(knobs=knobs), {})
    found: list[Any] = []
    while (candidate := strategy.ask()) is not None:
        found.append(tuple(candidate.values.values()))
    assert sorted(found) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_random_choice_repeats_nothing_and_follows_its_seed() -> None:
    knobs = [{"path": SLOTS, "values": list(range(1, 21))}]
    one, again, other = (
        asked(strategy_for(experiment(knobs=knobs, strategy="random", seed=seed), {}), {})
        for seed in (1, 1, 2)
    )
    assert one == again != other
    assert sorted(slots for slots, _ in one) == list(range(1, 21))


def test_halving_gives_the_best_third_three_times_as_much() -> None:
    knobs = [{"path": SLOTS, "values": list(range(1, 10))}]
    halving = experiment(knobs=knobs, strategy="halving")
    scores: dict[int, float | None] = {n: n / 10 for n in range(1, 10)}
    found = asked(strategy_for(halving, {}), scores | {1: None})
    assert [share for _, share in found] == [0.111] * 9 + [0.333] * 2 + [1.0]
    assert {slots for slots, share in found if share == 0.333} == {2, 3}
    assert found[-1] == (2, 1.0)


def test_halving_ends_where_everything_failed() -> None:
    found = asked(strategy_for(experiment(strategy="halving"), {}), {})
    assert len(found) == 3


def test_optuna_learns_what_is_better_and_can_be_replayed() -> None:
    pytest.importorskip("optuna", reason="CI installs the extra `tune`")
    knobs = [{"path": SLOTS, "values": list(range(1, 31))}]
    wanted = experiment(knobs=knobs, strategy="optuna", seed=3)

    def forty() -> list[int]:
        strategy = strategy_for(wanted, {})
        found = []
        for _ in range(40):
            candidate = strategy.ask()
            assert candidate is not None
            slots = int(str(candidate.values[SLOTS]))
            found.append(slots)
            strategy.tell(candidate, abs(slots - 20) / 20 if slots != 7 else None)
        return found

    found = forty()
    assert found == forty()
    late = found[20:]
    assert (
        sum(abs(one - 20) for one in late) / len(late)
        < sum(abs(one - 20) for one in found[:10]) / 10
    )


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=30))
def test_no_point_beats_one_on_the_front(points: list[tuple[float, float]]) -> None:
    front = pareto(points)
    for at in front:
        x, y = points[at]
        assert not any(a <= x and b <= y and (a < x or b < y) for a, b in points)
    assert bool(front) is bool(points)
