"""Results and comparisons as cards: the figures of `card_text`, for notebooks too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.cards import Card

if TYPE_CHECKING:
    from autosre_lab.bench.comparison import Comparison
    from autosre_lab.bench.result import Result

__all__ = ["comparison_card", "result_card"]


def result_card(result: Result) -> Card:
    """Return a run: how it was made, its figures, its latencies, what makes it doubtful."""
    from autosre_lab.bench.card_text import figures, footnotes, latency_rows, made_of

    head, rows = latency_rows(result)
    return Card(
        title=f"{result.id}, {result.at}",
        badge=result.badge,
        rows=[("made of", made_of(result)), *figures(result.summary).items()],
        parts=[Card(title="Latency", head=head, rows=rows, notes=result.warnings)],
        notes=[line for line in footnotes(result) if line],
    )


def comparison_card(comparison: Comparison) -> Card:
    """Return two runs side by side: first what differs, then the figures."""
    from autosre_lab.bench.card_text import compared_figures, compared_rows

    a, b = comparison.a, comparison.b
    differences = [(one.name, one.a, one.b) for one in comparison.differences]
    same = () if differences else ("nothing differs; the ratio shows the noise",)
    return Card(
        title=f"{a} and {b}",
        parts=(
            Card(
                title="Configuration: what differs",
                head=("condition", a, b) if differences else (),
                rows=differences,
                notes=same,
            ),
            Card(
                title="Latency, p50; said of the second",
                head=("p50", a, b, "ratio", "95 % interval", "verdict"),
                rows=compared_rows(comparison),
            ),
            Card(title="Figures", head=("figure", a, b), rows=compared_figures(comparison)),
        ),
        notes=comparison.warnings,
    )
