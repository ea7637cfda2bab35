"""Evaluations as tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import BADGES
from autosre_lab.markup import plot_text
from autosre_lab.widgets.figures import badged, new_figure, table_of

if TYPE_CHECKING:
    import pandas

    from autosre_lab.evaluation import EvaluationResult

__all__ = ["checks_table", "evaluation_comparison_table", "levels_table", "plot_levels"]

_MARKS = {True: "✓ passed", False: "✗ failed", None: "? not told"}


def levels_table(results: Sequence[EvaluationResult]) -> pandas.DataFrame:
    """Return one row a level of each evaluation.

    Returns:
        Index ``level``; ``evaluation``, ``passed``, ``of``, ``not told``, ``rate`` (0 to 1) and its
        95 % Wilson interval's ends ``low`` and ``high``.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    rows = [
        {
            "level": one.level,
            "evaluation": result.id,
            "measured on": BADGES[result.badge],
            "passed": one.passed,
            "of": one.n,
            "not told": one.untold,
            "rate": one.passed / one.n if one.n else None,
            "low": one.interval[0] if one.interval else None,
            "high": one.interval[1] if one.interval else None,
        }
        for result in results
        for one in result.levels
    ]
    columns = ["level", "evaluation", "measured on", "passed", "of", "not told", "rate"]
    return table_of(rows, columns, "level")  # type: ignore[no-any-return]


def checks_table(result: EvaluationResult) -> pandas.DataFrame:
    """Return one row a case: level, name, outcome in words, detail.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    rows = [
        {
            "level": one.level,
            "name": one.name,
            "outcome": _MARKS[one.passed],
            "detail": one.detail,
        }
        for one in result.checks
    ]
    return table_of(rows, ["level", "name", "outcome", "detail"], "level")  # type: ignore[no-any-return]


def evaluation_comparison_table(a: EvaluationResult, b: EvaluationResult) -> pandas.DataFrame:
    """Return one row a level of two evaluations of the same cases, paired.

    Returns:
        Index ``level``; cases, passed by each, by only one of them, McNemar's ``p``, ``verdict``.

    Raises:
        NotComparableError: They are of different cases.
        MissingExtraError: pandas is not installed.
    """
    from autosre_lab.evaluation import compare_evaluations

    rows = [
        {
            "level": one.level,
            "cases": one.n,
            "first": one.a,
            "second": one.b,
            "only first": len(one.only_a),
            "only second": len(one.only_b),
            "p": one.p,
            "verdict": one.verdict,
        }
        for one in compare_evaluations(a, b)
    ]
    return table_of(rows, ["level", "cases", "first", "second", "p", "verdict"], "level")  # type: ignore[no-any-return]


def plot_levels(results: Sequence[EvaluationResult], *, dark: bool = False) -> Any:
    """Draw each level's pass rate with its 95 % interval, one series an evaluation.

    Raises:
        MissingExtraError: pandas or plotly is not installed.
    """
    figure = new_figure(
        badged("Pass rates and their 95 % intervals", [one.badge for one in results]),
        dark=dark,
        hovermode="closest",
        scattermode="group",
    )
    for result in results:
        table = levels_table([result])
        table = table[table["rate"].notna()]
        figure.add_scatter(
            x=[plot_text(one) for one in table.index],
            y=table["rate"],
            name=plot_text(f"{result.id} ({result.recipe or result.model})"),
            mode="markers+text",
            text=[f"{row['passed']}/{row['of']}" for _, row in table.iterrows()],
            textposition="middle right",
            marker={"size": 11},
            error_y={
                "array": table["high"] - table["rate"],
                "arrayminus": table["rate"] - table["low"],
            },
            hovertemplate="%{x}: %{y:.0%}",
        )
    return figure.update_layout(
        xaxis={"title": "level", "type": "category"},
        yaxis={"title": "passed", "tickformat": ".0%", "range": [-0.05, 1.08]},
        showlegend=True,
    )
