"""Evaluations as sections of a report."""

from __future__ import annotations

from autosre_lab.badges import BADGES
from autosre_lab.bench.card_text import duration_text
from autosre_lab.evaluation.check import CheckResult
from autosre_lab.evaluation.ladder import LEVELS
from autosre_lab.evaluation.result import EvaluationResult, LevelScore
from autosre_lab.report.page import Figure, PageSection, Table

__all__ = ["evaluation_section"]

_MARKS = {True: "passed", False: "FAILED", None: "not told"}
_MANY = 40
"""Of a level with more cases, only those are listed that did not pass."""


def evaluation_section(result: EvaluationResult) -> PageSection:
    """Return one evaluation: each level's rate with its interval, then the cases."""
    levels = result.levels
    made = {
        "evaluation": f"{result.id}, {result.at}, {duration_text(result.seconds)}",
        "model": result.model,
        "recipe": f"{result.recipe or 'n/a'} {(result.recipe_sha256 or '')[:12]}".strip(),
        "engine": f"vLLM {result.engine}" if result.engine else "n/a",
        "temperature": f"{result.temperature:g}",
        "how": "; ".join(result.notes) or "n/a",
    }
    lead = [
        "A case that could not be told is neither passed nor counted. The interval is Wilson's, "
        "for 95 %.",
    ]
    if any(one.level in ("L0", "L1") and one.passed is False for one in result.checks):
        lead.append("The protocol or the cache path failed: speed measured on this engine is none.")
    return PageSection(
        title=f"Evaluation of {result.model}",
        badge=BADGES[result.badge],
        text=tuple(lead),
        tables=(
            Table(
                head=("level", "what", "passed", "of", "not told", "rate", "95 % interval"),
                rows=tuple(_score(one) for one in levels),
            ),
            Table(head=("made how", ""), rows=tuple(made.items()), words=True),
            *(_cases(result, one) for one in levels),
        ),
        figures=(_rates(levels),),
    )


def _score(level: LevelScore) -> tuple[str, ...]:
    what = LEVELS.get(level.level, "own repository tasks through Claude Code")
    rate = "n/a" if not level.n else f"{level.passed / level.n:.0%}"
    interval = "n/a" if level.interval is None else "{:.0%} to {:.0%}".format(*level.interval)
    return level.level, what, str(level.passed), str(level.n), str(level.untold), rate, interval


def _cases(result: EvaluationResult, level: LevelScore) -> Table:
    cases = [one for one in result.checks if one.level == level.level]
    shown = cases if len(cases) <= _MANY else [one for one in cases if one.passed is not True]
    left = len(cases) - len(shown)
    return Table(
        head=(f"{level.level} case", "outcome", "detail"),
        rows=tuple(_case(one) for one in shown),
        caption=f"{left} cases that passed are left out." if left else "",
        words=True,
    )


def _case(check: CheckResult) -> tuple[str, str, str]:
    return check.name, _MARKS[check.passed], check.detail


def _rates(levels: list[LevelScore]) -> Figure:
    known = [one for one in levels if one.interval is not None]
    rates = [100 * one.passed / one.n for one in known]
    intervals = [one.interval or (0.0, 1.0) for one in known]
    return Figure(
        data=[
            {
                "type": "scatter",
                "mode": "markers",
                "name": "pass rate",
                "marker": {"symbol": "diamond", "size": 10},
                "x": [one.level for one in known],
                "y": rates,
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [
                        100 * high - rate for rate, (_, high) in zip(rates, intervals, strict=True)
                    ],
                    "arrayminus": [
                        rate - 100 * low for rate, (low, _) in zip(rates, intervals, strict=True)
                    ],
                },
            }
        ],
        layout={
            "title": {"text": "Passed, with 95 % intervals"},
            "xaxis": {"title": {"text": "level"}, "type": "category"},
            "yaxis": {"title": {"text": "% of judged cases"}, "range": [-2, 102]},
        },
        summary="Share of cases passed by level: "
        + ", ".join(f"{one.level} {one.passed} of {one.n}" for one in known)
        + ".",
    )
