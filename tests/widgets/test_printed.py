"""What IPython shows of the objects that people print."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter

from autosre_lab.bench.comparison import compare_results
from autosre_lab.evaluation import CheckResult, EvaluationResult
from autosre_lab.parity.report import DriftReport, DriftRow
from autosre_lab.recipe import load_recipe, recipe_names
from autosre_lab.stack import ServiceStatus, Stack, StackStatus
from autosre_lab.stack.preflight import PreflightReport, fail, ok
from tests.bench.test_comparison import result

STACK = Stack(
    recipe_name="smollm2-135m-cpu",
    engine_url="http://127.0.0.1:8010",
    proxy_url="http://127.0.0.1:8011",
    token="a-secret-token",
    model="smollm2",
    max_model_len=8192,
    log_dir=Path("/logs"),
    request_log=None,
)


def shown(one: object) -> dict[str, str]:
    data, _ = DisplayFormatter().format(one)  # type: ignore[no-untyped-call]
    assert {"text/plain", "text/html", "text/markdown"} <= set(data)
    return dict(data)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_its_model_window_places_and_what_was_tried(name: str) -> None:
    recipe = load_recipe(name)
    for text in shown(recipe).values():
        assert recipe.model.repo in text
        assert f"{recipe.model.context:,} tokens" in text
        assert name in text
    assert all(flag in shown(recipe)["text/plain"] for flag in recipe.engine.args)


def test_a_stack_is_shown_without_its_token() -> None:
    for text in shown(STACK).values():
        assert "http://127.0.0.1:8011" in text
        assert "a-secret-token" not in text


def test_a_crash_is_shown_with_its_cause_and_remedy() -> None:
    service = ServiceStatus(
        name="engine",
        state="crashed",
        pid=None,
        port=8010,
        started_at=None,
        uptime_s=None,
        exit_code=1,
        cause="memory ran out",
        remedy="take a smaller model",
        restarts=3,
        log_path=None,
    )
    status = StackStatus(state="crashed", recipe_name="r", services={"engine": service})
    for text in shown(status).values():
        assert "memory ran out" in text
        assert "take a smaller model" in text


def test_an_evaluation_has_its_badge_its_rates_and_what_did_not_pass() -> None:
    checks = (
        CheckResult(level="L0", name="streams", passed=True),
        CheckResult(level="L0", name="stops", passed=False, detail="it did not"),
    )
    evaluated = EvaluationResult(
        id="e1", at="2026-11-25T00:00:00Z", badge="cpu-engine", model="m", checks=checks, seconds=3
    )
    for text in shown(evaluated).values():
        assert "CPU engine" in text
        assert "50%" in text
        assert "it did not" in text


def test_drift_is_a_table_with_the_reason_for_each_row() -> None:
    row = DriftRow(
        layer="process",
        subject="--max-num-seqs",
        expected="4",
        live="8",
        severity="error",
        why="more at once",
    )
    report = DriftReport(
        recipe_name="r", place="local", engine="", layers=("process",), rows=(row,)
    )
    for text in shown(report).values():
        assert "max-num-seqs" in text
        assert "more at once" in text


def test_a_preflight_tells_pass_from_fail_in_words() -> None:
    report = PreflightReport(
        recipe="r", checks=(ok("node", "is there"), fail("gpu", "none", "buy"))
    )
    for text in shown(report).values():
        assert "✓ ok" in text
        assert "✗ fail" in text
        assert "buy" in text


def test_a_result_and_a_comparison_say_what_made_the_numbers() -> None:
    one = result("first", badge="scripted")
    for text in shown(one).values():
        assert "scripted engine" in text
        assert "ttft" in text
        assert "first" in text
    compared = compare_results(one, result("second", badge="scripted", factor=1.1))
    for text in shown(compared).values():
        assert "first" in text
        assert "95 % interval" in text
        assert "slower" in text
