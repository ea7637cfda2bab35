"""Evaluations in figures, on disk and side by side."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from autosre_lab.cli.evaluation import evaluation_text
from autosre_lab.errors import EvaluationError, NotComparableError
from autosre_lab.evaluation import (
    CheckResult,
    EvaluationResult,
    compare_evaluations,
    load_evaluation,
    save_evaluation,
)


def result(passed: str, *, level: str = "L3", temperature: float = 0.0) -> EvaluationResult:
    """One case a letter: p passed, f failed, n not told."""
    outcomes = {"p": True, "f": False, "n": None}
    checks = tuple(
        CheckResult(level=level, name=str(at), passed=outcomes[one])
        for at, one in enumerate(passed)
    )
    return EvaluationResult(
        id="a",
        at="t",
        badge="scripted",
        model="m",
        checks=checks,
        seconds=1,
        temperature=temperature,
    )


def test_what_could_not_be_told_is_neither_passed_nor_counted() -> None:
    score = result("ppfn").levels[0]
    assert (score.n, score.passed, score.untold) == (3, 2, 1)
    assert result("nn").levels[0].interval is None


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ("pppppppppp", "ffffffpppp", "worse"),
        ("ffffffpppp", "pppppppppp", "better"),
        ("pppppppppp", "ffppppppff", "no difference shown"),
        ("pfpfpfpfpf", "fpfpfpfpfp", "no difference shown"),
        ("nnnnnnpppp", "ffffffpppp", "no difference shown"),
    ],
)
def test_a_difference_is_said_only_where_the_pairs_show_it(a: str, b: str, verdict: str) -> None:
    row = compare_evaluations(result(a), result(b))[0]
    assert row.verdict == verdict


def test_which_cases_changed_is_told() -> None:
    row = compare_evaluations(result("pf"), result("fp"))[0]
    assert (row.only_a, row.only_b, row.n) == (("0",), ("1",), 2)


def test_different_cases_and_temperatures_are_not_compared() -> None:
    with pytest.raises(NotComparableError, match="different cases"):
        compare_evaluations(result("pp"), result("ppp"))
    with pytest.raises(NotComparableError, match="temperature"):
        compare_evaluations(result("pp"), result("pp", temperature=0.7))


def test_an_evaluation_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = result("pfn")
    assert load_evaluation(save_evaluation(found, tmp_path / "deep" / "e.json")) == found
    with pytest.raises(EvaluationError, match="autosre eval run"):
        load_evaluation(tmp_path / "missing.json")
    newer = msgspec.structs.replace(found, schema="autosre.evaluation/v9")
    with pytest.raises(EvaluationError, match="v9"):
        load_evaluation(save_evaluation(newer, tmp_path / "new.json"))


def test_text_never_says_passed_of_what_could_not_be_told() -> None:
    text = evaluation_text(result("pn", level="L1"))
    assert "L1 passed: 0" in text
    assert "L1 not told: 1" in text
    assert "scripted engine" in text
