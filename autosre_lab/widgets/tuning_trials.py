"""An experiment's trials as a table and as figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import Badge
from autosre_lab.markup import plot_text
from autosre_lab.widgets.figures import badged, new_figure, table_of
from autosre_lab.widgets.theme import COLOURS

if TYPE_CHECKING:
    import pandas

    from autosre_lab.tuning import Trial

__all__ = ["plot_parallel", "plot_pareto", "plot_trials", "trials_table"]

_COLUMNS = ("trial", "outcome", "ratio", "better", "gated", "restarts", "seconds", "reasons")


def trials_table(trials: Sequence[Trial], objective: str = "e2el_p50") -> pandas.DataFrame:
    """Return one row a trial.

    Args:
        trials: In order.
        objective: The figure that was to be better.

    Returns:
        Index ``trial``; what was turned, how it went, the objective beside the incumbent's.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    from autosre_lab.tuning import trial_rows

    return table_of(trial_rows(list(trials), objective), _COLUMNS, "trial")  # type: ignore[no-any-return]


def plot_trials(
    trials: Sequence[Trial], badge: Badge | None, *, objective: str = "", dark: bool = False
) -> Any:
    """Draw each trial's ratio to the incumbent with its interval; failures are named.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    measured = [one for one in trials if one.ratio is not None]
    failed = [one for one in trials if one.ratio is None]
    figure = new_figure(
        badged(f"Trials: {objective or 'objective'} over the incumbent's", [badge]),
        dark=dark,
        hovermode="closest",
    )
    for name, symbol, wanted in (
        ("better beyond doubt", "star", True),
        ("not shown to be better", "circle-open", False),
    ):
        part = [one for one in measured if bool(one.better) is wanted]
        if not part:
            continue
        ends = [one.interval or (one.ratio or 0.0, one.ratio or 0.0) for one in part]
        figure.add_scatter(
            x=[one.number for one in part],
            y=[one.ratio for one in part],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 12},
            text=[_turned(one) for one in part],
            error_y={
                "array": [end[1] - (one.ratio or 0.0) for one, end in zip(part, ends, strict=True)],
                "arrayminus": [
                    (one.ratio or 0.0) - end[0] for one, end in zip(part, ends, strict=True)
                ],
            },
            hovertemplate="trial %{x}: %{y:.3f}<br>%{text}<extra></extra>",
        )
    if failed:
        figure.add_scatter(
            x=[one.number for one in failed],
            y=[1.0] * len(failed),
            name="no measurement",
            mode="markers+text",
            marker={"symbol": "x", "size": 11},
            text=[plot_text(one.outcome.replace("_", " ")) for one in failed],
            textposition="top center",
            hovertext=[f"{_turned(one)}<br>{plot_text('; '.join(one.reasons))}" for one in failed],
            hoverinfo="text",
        )
    figure.add_hline(y=1, line={"dash": "dot", "width": 1})
    return figure.update_layout(
        xaxis={"title": "trial", "dtick": 1}, yaxis_title="ratio; 1 is the incumbent"
    )


def plot_pareto(
    trials: Sequence[Trial],
    badge: Badge | None,
    *,
    x: str = "ttft_p50",
    y: str = "tpot_p50",
    dark: bool = False,
) -> Any:
    """Draw two latencies of each trial against each other, and those that no other beats in both.

    Args:
        trials: In order.
        badge: What produced the numbers.
        x: A figure of which low is good.
        y: Another one.
        dark: For a dark page.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    from autosre_lab.tuning import pareto

    named = [
        (figures[x], figures[y], label)
        for one in trials
        for figures, label in (
            (one.figures, f"trial {one.number}: {_turned(one)}"),
            (one.incumbent_figures, f"incumbent of trial {one.number}"),
        )
        if figures.get(x) is not None and figures.get(y) is not None
    ]
    points = [(float(a or 0), float(b or 0)) for a, b, _ in named]
    front = sorted(pareto(points), key=lambda at: points[at])
    figure = new_figure(
        badged("Pareto front: nothing beats these in both", [badge]), dark=dark, hovermode="closest"
    )
    figure.add_scatter(
        x=[points[at][0] for at in front],
        y=[points[at][1] for at in front],
        mode="lines",
        name="front",
        line={"shape": "hv", "dash": "dot"},
        hoverinfo="skip",
    )
    for name, symbol, own in (("candidate", "circle", False), ("incumbent", "square-open", True)):
        part = [one for one in named if one[2].startswith("incumbent") is own]
        figure.add_scatter(
            x=[one[0] for one in part],
            y=[one[1] for one in part],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 11},
            text=[one[2] for one in part],
            hovertemplate="%{text}<br>%{x:.4g} s, %{y:.4g} s<extra></extra>",
        )
    return figure.update_layout(xaxis_title=f"{x}, s", yaxis_title=f"{y}, s")


def plot_parallel(
    trials: Sequence[Trial], badge: Badge | None, *, objective: str = "", dark: bool = False
) -> Any:
    """Draw each measured trial as a line over what was turned and what came of it.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    measured = [one for one in trials if one.ratio is not None]
    figure = new_figure(
        badged(f"Parallel coordinates; last axis: {plot_text(objective or 'objective')}", [badge]),
        dark=dark,
        height=340,
        margin={"l": 80, "r": 80, "t": 90, "b": 30},
    )
    paths = list(dict.fromkeys(path for one in measured for path in one.values))
    axes: list[dict[str, Any]] = []
    for path in paths:
        values = [str(one.values.get(path)) for one in measured]
        kinds = sorted(set(values), key=_as_number)
        axes.append(
            {
                "label": plot_text(path.rpartition(".")[2]),
                "values": [kinds.index(value) for value in values],
                "tickvals": list(range(len(kinds))),
                "ticktext": [plot_text(kind) for kind in kinds],
                "range": [-0.2, max(1, len(kinds) - 1) + 0.2],
            }
        )
    ratios = [one.ratio or 0.0 for one in measured]
    axes.append({"label": "ratio", "values": ratios, "tickformat": ".3f"})
    low, high = COLOURS["dark" if dark else "light"][:2]
    figure.add_parcoords(
        dimensions=axes if measured else [],
        line={"color": ratios, "colorscale": [[0, low], [1, high]], "showscale": False},
    )
    return figure


def _turned(trial: Trial) -> str:
    said = (f"{path.rpartition('.')[2]}={value}" for path, value in trial.values.items())
    return plot_text(", ".join(said))


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
