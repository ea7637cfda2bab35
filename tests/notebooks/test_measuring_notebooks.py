"""Benchmark, tune, evaluate and sessions, run headless as CI and a person's script run them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.lifecycle import start, status, stop
from autosre_lab.notebooks import run_notebook
from autosre_lab.settings import paths
from autosre_lab.stack import Stack
from tests.bench.recorded.test_cache_profile import record

SCRIPTED = Path(__file__).parents[2] / "binder" / "scripted.yaml"
LARGEST_BYTES = 1_000_000


@pytest.fixture
def scripted() -> Iterator[Stack]:
    """The scripted engine as the stack that runs."""
    own = paths().config / "recipes"
    own.mkdir(parents=True, exist_ok=True)
    (own / "scripted.yaml").write_text(SCRIPTED.read_text("utf-8"), "utf-8")
    yield start("scripted")
    stop()


def run(name: str, folder: Path, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Execute a notebook; whatever it shows, it is small and says what produced its numbers."""
    executed = folder / f"{name}.ipynb"
    summary = run_notebook(name, executed, parameters or {})
    assert executed.stat().st_size < LARGEST_BYTES
    shown = executed.read_text("utf-8")
    assert "application/vnd.plotly.v1+json" in shown
    words = {"scripted": "scripted engine", "cpu-engine": "CPU engine", "fixture": "recorded"}
    assert f"measured on: {words[summary['badge']]}" in shown
    return summary


@pytest.mark.notebook
def test_a_stack_that_ran_before_is_left_running(scripted: Stack, tmp_path: Path) -> None:
    more = {"RUN_DIR": str(tmp_path / "run"), "STOP_AT_END": True, "REPEATS": 1}
    run("4_benchmark", tmp_path, more)
    assert status().state == "ready"


def check_benchmark(summary: Mapping[str, Any]) -> None:
    assert len(summary["results"]) == 2
    assert (summary["requests"], summary["failed"]) == (4, 0)
    assert summary["output_tps"] > 0
    assert 0 < summary["ttft_p50_s"] < 60
    assert 0 < summary["tpot_p50_s"] < 5
    # The same recipe twice: what remains is the noise.
    assert summary["differences"] == 0
    assert set(summary["verdicts"]) >= {"ttft", "tpot", "e2el"}


def check_evaluation(summary: Mapping[str, Any]) -> None:
    levels = summary["levels"]
    assert list(levels) == ["L0", "L1", "L3"]
    assert levels["L0"]["passed"] == levels["L0"]["of"] >= 10
    assert levels["L1"]["passed"] + levels["L1"]["not_told"] == 5
    assert levels["L3"]["of"] == 1
    assert not [name for name in summary["failed"] if not name.startswith("HumanEval")]


def check_tuning(summary: Mapping[str, Any], trials_wanted: int) -> None:
    trials = summary["trials"]
    assert len(trials) == trials_wanted
    for trial in trials:
        # On a machine that others use the machine check may find it suspect; that is a result too.
        assert trial["outcome"] in ("ok", "machine_suspect")
        assert trial["gated"] is True
        assert trial["ratio"] > 0
        assert list(trial["values"]) == ["latency.max_step_tokens", "engine.args.max-num-seqs"]
    assert summary["promoted"] is None
    assert (Path(summary["folder"]) / "journal.jsonl").exists()


@pytest.mark.notebook
def test_the_benchmark_measures_twice_and_compares(scripted: Stack, tmp_path: Path) -> None:
    summary = run("benchmark", tmp_path)
    assert (summary["badge"], summary["recipe"]) == ("scripted", "scripted")
    check_benchmark(summary)
    assert len(list(tmp_path.glob("*.result.json.gz"))) == 2


@pytest.mark.notebook
def test_the_evaluation_climbs_the_ladder(scripted: Stack, tmp_path: Path) -> None:
    summary = run("evaluate", tmp_path)
    assert summary["badge"] == "scripted"
    check_evaluation(summary)


@pytest.mark.notebook
def test_the_experiment_tries_its_budget_and_restores_what_ran(
    scripted: Stack, tmp_path: Path
) -> None:
    summary = run("tune", tmp_path, {"RECIPE": "scripted"})
    assert summary["badge"] == "scripted"
    check_tuning(summary, 2)
    assert status().recipe_name == "scripted"


@pytest.mark.notebook
def test_a_recorded_session_is_explained_and_replayed(scripted: Stack, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    records = [record(0, 1000), record(1, 1200, 992), record(2, 1400, 304)]
    log.write_bytes(b"\n".join(msgspec.json.encode(one) for one in records))
    summary = run("sessions", tmp_path / "run", {"LOG": str(log)})
    assert summary["badge"] == "fixture"
    assert summary["turns"] == 3
    assert sum(summary["tokens"].values()) == summary["input_tokens"] == 3600
    assert summary["causes"] == ["first turn", "block rounding", "evicted"]
    assert (summary["replayed_requests"], summary["replayed_failed"]) == (3, 0)
    assert summary["replay_badge"] == "scripted"


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.timeout(900)
def test_the_benchmark_measures_the_real_engine(real_stack: Stack, tmp_path: Path) -> None:
    summary = run("benchmark", tmp_path)
    assert (summary["badge"], summary["recipe"]) == ("cpu-engine", real_stack.recipe_name)
    check_benchmark(summary)


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.timeout(900)
def test_the_real_engine_is_evaluated(real_stack: Stack, tmp_path: Path) -> None:
    summary = run("evaluate", tmp_path)
    assert summary["badge"] == "cpu-engine"
    check_evaluation(summary)


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.claude
@pytest.mark.timeout(900)
def test_a_real_session_of_claude_code_is_recorded_explained_and_replayed(
    real_stack: Stack, tmp_path: Path
) -> None:
    # The CPU engine's cache has blocks of 128 tokens, and the CLI's own prompt has fewer.
    first = "Answer questions about geography in one short sentence. " * 30
    summary = run("sessions", tmp_path, {"QUESTIONS": f"{first}What is it?|And of Italy?"})
    assert summary["badge"] == "cpu-engine"
    assert summary["turns"] >= 2
    tokens = summary["tokens"]
    assert sum(tokens.values()) == summary["input_tokens"]
    # The second question goes on in the session, so the engine had its beginning.
    assert tokens["cached"] > 0
    assert "not reported" not in tokens
    assert "not told" not in tokens
    assert summary["replayed_requests"] >= 2
    assert summary["replayed_failed"] == 0


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.timeout(1200)
def test_the_real_engine_is_tuned(real_stack: Stack, tmp_path: Path) -> None:
    summary = run("tune", tmp_path, {"RECIPE": real_stack.recipe_name, "TRIALS": 1})
    assert summary["badge"] == "cpu-engine"
    check_tuning(summary, 1)
    assert status().state == "ready"
