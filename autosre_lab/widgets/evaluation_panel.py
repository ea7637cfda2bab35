"""The evaluation's panel: climb the ladder, look at the intervals, compare two in pairs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import NotComparableError
from autosre_lab.widgets.background import error_html
from autosre_lab.widgets.evaluation_levels import (
    checks_table,
    evaluation_comparison_table,
    levels_table,
    plot_levels,
)
from autosre_lab.widgets.measuring import evaluate_stack, evaluations_in
from autosre_lab.widgets.pair import PairChoice
from autosre_lab.widgets.panel import Panel
from autosre_lab.widgets.surface import require_widgets

if TYPE_CHECKING:
    import pandas

    from autosre_lab.evaluation import EvaluationResult

__all__ = ["EvaluationPanel"]


class EvaluationPanel(Panel):
    """Evaluates the model that runs. Its twins are `evaluate_stack` and `levels_table`.

    Args:
        folder: Where evaluations are kept; those that are there are shown too.
        levels: Levels asked for at first, with spaces between.
        limit: Problems of the levels that have many.

    Attributes:
        results: All evaluations, the oldest first.
        evaluated: Those of them that this panel made.
    """

    def __init__(self, folder: str | Path, *, levels: str = "L0 L1", limit: int = 2) -> None:
        super().__init__("Evaluation")
        self.folder = Path(folder)
        self.levels = levels.split()
        self.limit = limit
        self.results: list[EvaluationResult] = evaluations_in(self.folder)
        self.evaluated: list[EvaluationResult] = []
        self._two = PairChoice("the last two", self._offered, self.changed)

    def evaluate(self) -> EvaluationResult | None:
        """Evaluate what the form says.

        Returns:
            The evaluation; None where it still runs, in the background.
        """
        levels, limit = list(self.levels), self.limit

        def call() -> EvaluationResult:
            result = evaluate_stack(levels, limit=limit, folder=self.folder)
            self.results.append(result)
            self.evaluated.append(result)
            self._two.offer()
            self.changed()
            return result

        found: EvaluationResult | None = self.begin(call)
        return found

    def pair(self) -> tuple[EvaluationResult, EvaluationResult] | None:
        """Return the two evaluations to compare: the chosen ones, or the last two."""
        if self._two.chosen is not None:
            found = [next(o for o in self.results if o.id == name) for name in self._two.chosen]
            return found[0], found[1]
        return (self.results[-2], self.results[-1]) if len(self.results) > 1 else None

    def actions(self) -> Sequence[Any]:
        """Return the button that evaluates."""
        return [self.button("Evaluate", "play", "Evaluate the model that runs", self.evaluate)]

    def form(self) -> Mapping[str, Sequence[Any]]:
        """Return a box for each level, the limit, and the choice of two."""
        from autosre_lab.evaluation import LEVELS

        widgets = require_widgets()
        style = {"description_width": "90px"}
        boxes = []
        for level, what in LEVELS.items():
            box = widgets.Checkbox(
                value=level in self.levels,
                description=f"{level}: {what}",
                indent=False,
                layout={"width": "auto"},
            )
            box.observe(lambda change, level=level: self._turn(level, change["new"]), names="value")
            boxes.append(box)
        limit = widgets.BoundedIntText(
            value=self.limit, min=1, max=1000, description="Problems", style=style
        )
        limit.observe(lambda change: setattr(self, "limit", change["new"]), names="value")
        return {
            "Settings": [widgets.VBox(boxes), limit],
            "Compare two evaluations": [self._two.widget()],
        }

    def tables(self) -> Mapping[str, pandas.DataFrame]:
        """Return levels, the paired comparison, and the last evaluation's cases."""
        found = {"Levels": levels_table(self.results)}
        if (pair := self.pair()) is not None:
            with contextlib.suppress(NotComparableError):  # `notes` says why
                found["Paired comparison; said of the second"] = evaluation_comparison_table(*pair)
        if self.results:
            found["Cases of the last evaluation"] = checks_table(self.results[-1])
        return found

    def figures(self) -> Mapping[str, Any]:
        """Return the pass rates of the evaluations that are looked at."""
        self.badge = self.results[-1].badge if self.results else None
        return {"levels": plot_levels(self.pair() or self.results[-1:], dark=self.dark)}

    def notes(self) -> Sequence[str]:
        """Return why two evaluations cannot be compared."""
        from autosre_lab.evaluation import compare_evaluations

        if (pair := self.pair()) is None:
            return []
        try:
            compare_evaluations(*pair)
        except NotComparableError as error:
            return [error_html(error)]
        return []

    def summary(self) -> dict[str, Any]:
        """Return what was evaluated here, and the last of it, for `save_summary`."""
        last = self.evaluated[-1] if self.evaluated else None
        levels = last.levels if last is not None else []
        return {
            "badge": last.badge if last is not None else None,
            "evaluations": [one.id for one in self.evaluated],
            "levels": {
                one.level: {
                    "passed": one.passed,
                    "of": one.n,
                    "not_told": one.untold,
                    "interval": one.interval,
                }
                for one in levels
            },
            "failed": [o.name for o in last.checks if o.passed is False] if last else [],
            "seconds": round(last.seconds, 1) if last is not None else None,
        }

    def _turn(self, level: str, on: bool) -> None:  # noqa: FBT001 - as a box tells it
        self.levels = sorted({*self.levels, level} if on else set(self.levels) - {level})

    def _offered(self) -> list[tuple[str, str]]:
        return [
            (f"{one.id}, {one.recipe or one.model}, {one.at[11:19]}", one.id)
            for one in self.results
        ]
