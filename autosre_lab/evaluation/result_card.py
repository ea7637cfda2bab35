"""An evaluation as it is printed: each level's rate, then what did not pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.cards import Card

if TYPE_CHECKING:
    from autosre_lab.evaluation.result import EvaluationResult

__all__ = ["evaluation_card"]

_SHOWN = 20


def evaluation_card(result: EvaluationResult) -> Card:
    """Return the rates by level with their intervals, and the cases that did not pass."""
    levels = [
        (
            level.level,
            str(level.passed),
            str(level.n),
            str(level.untold),
            "n/a" if not level.n else f"{level.passed / level.n:.0%}",
            "n/a" if level.interval is None else "{:.0%} to {:.0%}".format(*level.interval),
        )
        for level in result.levels
    ]
    missed = [one for one in result.checks if one.passed is not True]
    rows = [
        (one.level, "failed" if one.passed is False else "not told", one.name, one.detail)
        for one in missed[:_SHOWN]
    ]
    more = [f"and {len(missed) - _SHOWN} more"] if len(missed) > _SHOWN else []
    return Card(
        title=f"{result.id}, {result.at}, {result.model}, {result.seconds:.0f} s",
        badge=result.badge,
        head=("level", "passed", "of", "not told", "rate", "95 % interval"),
        rows=levels,
        parts=[
            Card(title="Not passed", head=("level", "", "case", "detail"), rows=rows, notes=more)
        ]
        if rows
        else (),
        notes=result.notes,
    )
