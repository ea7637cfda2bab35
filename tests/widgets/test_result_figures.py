"""Results, trials, evaluations and sessions as tables and figures, each marked with its badge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.bench.comparison import compare_results
from autosre_lab.bench.recorded import cache_profile
from autosre_lab.evaluation import EvaluationResult
from autosre_lab.tuning import Trial
from autosre_lab.widgets import (
    cache_table,
    checks_table,
    comparison_table,
    difference_table,
    evaluation_comparison_table,
    levels_table,
    plot_cache,
    plot_comparison,
    plot_latencies,
    plot_levels,
    plot_parallel,
    plot_pareto,
    plot_requests,
    plot_trials,
    requests_table,
    results_table,
    sessions_table,
    trials_table,
)
from tests.bench.recorded.test_cache_profile import record
from tests.bench.test_comparison import result
from tests.bench.timings import failed
from tests.evaluation.test_result import result as evaluation

SLOTS = "engine.args.max-num-seqs"
STEP = "latency.max_step_tokens"


def trial(number: int, ratio: float | None = 0.9, **more: Any) -> Trial:
    fields: dict[str, Any] = {
        "values": {SLOTS: 2 * number, STEP: 256},
        "outcome": "ok" if ratio is not None else "out_of_memory",
        "ratio": ratio,
        "figures": {} if ratio is None else {"ttft_p50": ratio, "tpot_p50": 0.1, "e2el_p50": 2.0},
        "incumbent_figures": {} if ratio is None else {"ttft_p50": 1.0, "tpot_p50": 0.1},
    }
    return Trial(number=number, **(fields | more))


TRIALS = [
    trial(1, 0.8, better=True, interval=(0.7, 0.9), gated=True),
    trial(2, 1.1, better=False, interval=(0.9, 1.2)),
    trial(3, None, reasons=("CUDA out of memory",)),
]


def title(figure: Any) -> str:
    return str(figure.layout.title.text)


def evaluated(passed: str, name: str) -> EvaluationResult:
    return msgspec.structs.replace(evaluation(passed), id=name, badge="cpu-engine")


def test_every_figure_says_what_produced_its_numbers() -> None:
    a, b = result("a"), result("b", factor=0.5)
    profile = cache_profile([record(0, 1000), record(1, 1200, 992)])
    words = {"scripted": "scripted engine", "gpu": "GPU", "fixture": "recorded fixture"}
    for badge, said in words.items():
        marked = [msgspec.structs.replace(one, badge=badge) for one in (a, b)]
        figures = [
            plot_requests(a.timings, badge),  # type: ignore[arg-type]
            plot_latencies(marked),
            plot_comparison(compare_results(*marked), badge),  # type: ignore[arg-type]
            plot_trials(TRIALS, badge),  # type: ignore[arg-type]
            plot_pareto(TRIALS, badge),  # type: ignore[arg-type]
            plot_parallel(TRIALS, badge),  # type: ignore[arg-type]
            plot_levels([msgspec.structs.replace(evaluated("pf", "a"), badge=badge)]),
            plot_cache(profile, badge),  # type: ignore[arg-type]
        ]
        assert [one for one in figures if f"measured on: {said}" not in title(one)] == []


def test_figures_have_a_dark_and_a_light_form() -> None:
    light, dark = (plot_trials(TRIALS, "gpu", dark=dark) for dark in (False, True))
    assert light.layout.template.layout.paper_bgcolor != dark.layout.template.layout.paper_bgcolor


def test_results_stand_side_by_side_with_their_intervals() -> None:
    table = results_table([result("a"), result("b", factor=0.5)])
    assert list(table.index) == ["a", "b"]
    assert set(table["measured on"]) <= {"CPU engine", "scripted engine", "GPU"}
    row = table.loc["a"]
    assert row["ttft_low"] < row["ttft_p50"] < row["ttft_high"]
    assert results_table([]).empty


def test_a_comparison_shows_what_differs_and_how_sure_it_is() -> None:
    other = {"recipe_yaml": "engine: {args: {max-num-seqs: 8}}\nname: r\n"}
    comparison = compare_results(result("a"), result("b", factor=0.5, conditions=other))
    assert "recipe.engine.args.max-num-seqs" in difference_table(comparison).index
    table = comparison_table(comparison)
    assert table.loc["ttft", "verdict"] == "faster"
    figure = plot_comparison(comparison, "gpu")
    assert list(figure.data[0].x) == list(table["ratio"])
    # Words and shapes beside the colour.
    assert set(figure.data[0].text) == set(table["verdict"])


def test_a_request_that_failed_is_shown_as_failed() -> None:
    timings = [*result("a").timings[:3], failed("x")]
    assert list(requests_table(timings)["error"].astype(bool)) == [False, False, False, True]
    figure = plot_requests(timings, "gpu")
    assert [trace.name for trace in figure.data] == ["first token", "end", "failed"]
    assert len(plot_requests([], None).data) == 2


def test_trials_are_told_apart_by_shape_and_failures_are_named() -> None:
    figure = plot_trials(TRIALS, "gpu", objective="ttft_p50")
    by_name = {trace.name: trace for trace in figure.data}
    symbols = [trace.marker.symbol for trace in by_name.values()]
    assert len(set(symbols)) == len(symbols) == 3
    assert list(by_name["no measurement"].text) == ["out of memory"]
    assert "CUDA out of memory" in by_name["no measurement"].hovertext[0]
    assert list(trials_table(TRIALS, "ttft_p50")["outcome"]) == ["ok", "ok", "out_of_memory"]
    assert trials_table([], "ttft_p50").empty


def test_the_front_holds_what_nothing_beats() -> None:
    front = plot_pareto(TRIALS, "gpu").data[0]
    assert list(front.x) == [0.8]
    assert len(plot_pareto([], "gpu").data[1].x) == 0


def test_parallel_axes_have_the_values_that_were_tried() -> None:
    axes = plot_parallel(TRIALS, "gpu").data[0].dimensions
    assert [axis.label for axis in axes] == ["max-num-seqs", "max_step_tokens", "ratio"]
    assert list(axes[0].ticktext) == ["2", "4"]
    assert list(axes[2].values) == [0.8, 1.1]


def test_levels_have_rates_and_intervals_and_cases_have_words() -> None:
    one = evaluated("ppfn", "a")
    row = levels_table([one]).loc["L3"]
    assert (row["passed"], row["of"], row["not told"]) == (2, 3, 1)
    assert row["low"] < row["rate"] < row["high"]
    assert list(checks_table(one)["outcome"]) == [
        "✓ passed",
        "✓ passed",
        "✗ failed",
        "? not told",
    ]
    paired = evaluation_comparison_table(one, evaluated("pppn", "b"))
    assert paired.loc["L3", "only second"] == 1
    assert paired.loc["L3", "verdict"] == "no difference shown"
    assert [trace.text[0] for trace in plot_levels([one]).data] == ["2/3"]


def test_each_bar_of_a_turn_is_its_whole_prompt() -> None:
    profile = cache_profile([record(0, 1000), record(1, 1200, 992)], block_tokens=16)
    figure = plot_cache(profile, "cpu-engine")
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [sum(bar.y[at] for bar in bars) for at in (0, 1)] == [1000, 1200]
    assert [bar.name for bar in bars] == [
        "from the cache",
        "first turn",
        "new text",
        "block rounding",
    ]
    table = cache_table(profile)
    assert list(table["cause"]) == ["first turn", "block rounding"]
    assert "missed.evicted" in cache_table(profile, every_cause=True).columns


def test_sessions_are_listed_the_latest_first(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    records = [record(0, 1000), record(1, 1200, 992), record(2, 500, session="later")]
    log.write_bytes(b"\n".join(msgspec.json.encode(one) for one in records))
    table = sessions_table(log)
    assert list(table.index) == ["later", "s"]
    assert table.loc["s", "hit_rate"] == pytest.approx(992 / 2200)
    assert sessions_table(tmp_path / "none").empty
