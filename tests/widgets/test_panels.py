"""The panels, as a kernel holds them: what a press of a button does, and what is then shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.bench.result import save_result
from autosre_lab.errors import ConfigError
from autosre_lab.evaluation import save_evaluation
from autosre_lab.lifecycle import start, stop
from autosre_lab.settings import paths
from autosre_lab.widgets import (
    BenchPanel,
    EvaluationPanel,
    SessionPanel,
    TuningPanel,
    panel,
)
from tests.bench.recorded.test_cache_profile import record
from tests.bench.test_comparison import result
from tests.evaluation.test_result import result as evaluation

SCRIPTED = Path(__file__).parents[2] / "binder" / "scripted.yaml"


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks: what is long runs in the background."""
    monkeypatch.setattr(panel, "interactive", lambda: True)


@pytest.fixture
def scripted() -> Iterator[str]:
    """The scripted stack, under its name."""
    own = paths().config / "recipes"
    own.mkdir(parents=True, exist_ok=True)
    (own / "scripted.yaml").write_text(SCRIPTED.read_text("utf-8"), "utf-8")
    start("scripted")
    yield "scripted"
    stop()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def within(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from within(child)


def button(view: Any, name: str) -> Any:
    return next(one for one in within(view) if getattr(one, "description", "") == name)


def words(view: Any) -> str:
    return "".join(str(one.value) for one in within(view) if type(one).__name__ == "HTML")


def test_a_press_measures_in_the_background_and_shows_what_came(
    scripted: str, looked_at: None, tmp_path: Path
) -> None:
    one = BenchPanel(
        tmp_path, workload="decode", parameters="requests: 3, output_tokens: 8, input_tokens: 32"
    )
    view = one.widget()
    button(view, "Measure").click()
    one.work.wait(60)
    until(lambda: "scripted engine" in words(view), "the badge is shown")
    assert one.results[0].summary.requests == 3
    assert list(tmp_path.glob("*.result.json.gz"))
    drawn = one._live["requests"]
    # A page that loads plotly late, and a page that is loaded again, begin with this state alone.
    state = json.loads(drawn.get_state()["figure"])
    assert state["data"]
    assert "Requests" in state["layout"]["title"]["text"]
    # Another panel finds the card.
    assert [each.id for each in BenchPanel(tmp_path).results] == [one.results[0].id]
    one.close()


def test_stop_ends_a_measurement_within_a_second(
    scripted: str, looked_at: None, tmp_path: Path
) -> None:
    one = BenchPanel(
        tmp_path, workload="decode", parameters="requests: 1, output_tokens: 4000, input_tokens: 9"
    )
    view = one.widget()
    one.measure()
    until(lambda: one.work.text().count("running") > 0, "it runs")
    pressed = time.monotonic()
    button(view, "Stop").disabled = False
    button(view, "Stop").click()
    until(lambda: one.work.state == "stopped", "it stops")
    assert time.monotonic() - pressed < 5
    assert one.results == []
    one.close()


def test_where_nobody_looks_a_panel_is_tables_and_figures(scripted: str, tmp_path: Path) -> None:
    one = BenchPanel(
        tmp_path, workload="decode", parameters="requests: 3, output_tokens: 8, input_tokens: 32"
    )
    one.measure(repeats=2)
    parts = one.static()
    assert repr(parts[0]) == "measured on: scripted engine"
    assert {type(part).__name__ for part in parts[1:]} == {"DataFrame", "Figure"}
    summary = one.summary()
    assert (summary["requests"], summary["failed"], summary["badge"]) == (3, 0, "scripted")
    assert len(summary["results"]) == 2
    assert summary["differences"] == 0


def test_results_of_other_work_are_not_compared_and_it_says_why(tmp_path: Path) -> None:
    save_result(result("a"), tmp_path / "1.result.json.gz")
    other = result("b", conditions={"workload_sha256": "f" * 64})
    save_result(other, tmp_path / "2.result.json.gz")
    one = BenchPanel(tmp_path)
    view = one.widget()
    assert one.comparison() is None  # no two of the same work
    first, second = one._pair.lists
    first.value, second.value = "a", "b"
    until(lambda: "different work" in words(view), "the reason is shown")
    assert "same workload" in words(view)  # what to do
    assert not one.figures()["comparison"].data
    one.close()


def test_a_form_that_cannot_be_used_says_so(scripted: str, looked_at: None, tmp_path: Path) -> None:
    one = BenchPanel(tmp_path, workload="decode", parameters="no_such: 1")
    view = one.widget()
    one.measure()
    until(lambda: one.work.state == "failed", "it fails")
    until(lambda: "no parameter" in words(view), "the error is shown")
    one.close()


def test_evaluations_are_compared_in_pairs(tmp_path: Path) -> None:
    for name, passed in (("1", "ppff"), ("2", "pppf")):
        made = msgspec.structs.replace(evaluation(passed), id=name)
        save_evaluation(made, tmp_path / f"{name}.evaluation.json")
    one = EvaluationPanel(tmp_path)
    tables = one.tables()
    assert tables["Paired comparison; said of the second"].loc["L3", "only second"] == 1
    assert len(one.figures()["levels"].data) == 2
    # What was made earlier is compared with, and is not this run's.
    assert one.summary()["levels"] == {}
    one.evaluated = one.results[-1:]
    assert one.summary()["levels"]["L3"]["passed"] == 3
    view = one.widget()
    assert button(view, "L0: the API keeps its promises").value is True
    button(view, "L0: the API keeps its promises").value = False
    assert one.levels == ["L1"]
    one.close()


def test_an_evaluation_of_the_stack_passes_its_first_levels(scripted: str, tmp_path: Path) -> None:
    one = EvaluationPanel(tmp_path, levels="L0 L1")
    one.evaluate()
    summary = one.summary()
    assert summary["badge"] == "scripted"
    assert summary["levels"]["L0"]["passed"] == summary["levels"]["L0"]["of"] > 5
    assert summary["failed"] == []


@pytest.mark.timeout(240)
def test_an_experiment_runs_from_its_form_and_goes_on_where_it_was(
    scripted: str, tmp_path: Path
) -> None:
    more: dict[str, Any] = {
        "knobs": "engine.args.max-num-seqs: [1]",
        "parameters": "sessions: 3, turns: 2, scale: 0.02, waits: 0.0, context: 4096",
        "trials": 1,
        "abba": False,
    }
    one = TuningPanel(scripted, tmp_path, **more)
    assert one.badge == "scripted"
    trials = one.run()
    assert trials is not None
    # On a machine that others use the machine check may find it suspect; that is a result too.
    assert trials[0].outcome in ("ok", "machine_suspect")
    summary = one.summary()
    assert summary["trials"][0]["values"] == {"engine.args.max-num-seqs": 1}
    assert summary["trials"][0]["gated"] is True
    began = time.monotonic()
    again = TuningPanel(scripted, tmp_path, **more)
    assert again.run() == trials
    assert time.monotonic() - began < 15
    names = [name for name, figure in again.figures().items() if figure.data]
    assert names == ["trials", "pareto", "parallel"]


def test_the_designer_turns_what_is_ticked_to_the_values_written(tmp_path: Path) -> None:
    one = TuningPanel("smollm2-135m-cpu", tmp_path, trials=3)
    view = one.widget()
    paths_offered = list(one.knobs)
    assert "latency.max_step_tokens" in paths_offered
    button(view, "engine.args.max-num-seqs").value = False
    field = next(
        each for each in within(view) if getattr(each, "value", "") == "256, 512, 1024, 2048"
    )
    field.value = "256, 8192"
    (knob,) = one.design().knobs
    assert (knob.path, knob.values) == ("latency.max_step_tokens", (256, 8192))
    assert one.design().budget.trials == 3
    button(view, "latency.max_step_tokens").value = False
    button(view, "Run").click()
    until(lambda: "no knob is turned" in words(view), "the reason is shown")
    button(view, "Promote").click()
    until(lambda: "nothing was tried yet" in words(view), "the reason is shown")
    one.close()


@pytest.mark.parametrize("knobs", ["x", "a: 1", "a: [1"])
def test_knobs_that_are_none_are_refused(knobs: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no knobs"):
        TuningPanel("smollm2-135m-cpu", tmp_path, knobs=knobs)


def test_a_recorded_log_is_explained_and_marked_as_one(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    records = [record(0, 1000), record(1, 1200, 400), record(2, 9000, 16, session="x")]
    log.write_bytes(b"\n".join(msgspec.json.encode(one) for one in records))
    one = SessionPanel(tmp_path, log=str(log))
    view = one.widget()
    assert one.badge == "fixture"
    assert one.record(["asked in vain"]) == "x"
    picked = next(each for each in within(view) if getattr(each, "description", "") == "Session")
    picked.value = "s"
    until(lambda: "<b>first turn</b>" in words(view), "the worst cause is named")
    assert [turn.cause for turn in one.profile()] == ["first turn", "evicted"]
    assert one.summary()["tokens"]["evicted"] == 592
    assert button(view, "Ask").disabled
    assert one.export().exists()
    one.close()


def test_a_recorded_session_is_replayed_on_the_stack(scripted: str, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    log.write_bytes(
        b"\n".join(msgspec.json.encode(one) for one in [record(0, 400), record(1, 600, 384)])
    )
    one = SessionPanel(tmp_path, log=str(log))
    one.record([], replay=True)
    summary = one.summary()
    assert (summary["badge"], summary["replay_badge"]) == ("fixture", "scripted")
    assert (summary["replayed_requests"], summary["replayed_failed"]) == (2, 0)
    assert len(one.tables()["Recorded and replayed"]) == 2
