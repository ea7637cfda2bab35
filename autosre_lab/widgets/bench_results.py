"""Benchmark results as tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import BADGES, Badge
from autosre_lab.markup import plot_text
from autosre_lab.widgets.figures import badged, new_figure, table_of

if TYPE_CHECKING:
    import pandas

    from autosre_lab.bench.comparison import Comparison
    from autosre_lab.bench.result import Result
    from autosre_lab.bench.timing import RequestTiming

__all__ = [
    "comparison_table",
    "difference_table",
    "plot_comparison",
    "plot_latencies",
    "plot_requests",
    "requests_table",
    "results_table",
]

_SHOWN = {"ttft": "first token", "tpot": "per token", "e2el": "whole answer"}
_VERDICTS = {
    "faster": "triangle-left",
    "slower": "triangle-right",
    "no difference shown": "circle-open",
    "inconclusive": "x-thin-open",
}


def results_table(results: Sequence[Result]) -> pandas.DataFrame:
    """Return one row a result, in their order.

    Returns:
        Index ``id``; how it was made, its figures in seconds and tokens a second, and for each of
        ``ttft``, ``tpot`` and ``e2el`` the median with its interval's ends.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    columns = ["id", "measured on", "recipe", "workload", "arrivals", "cache", "requests", "failed"]
    rows: list[dict[str, Any]] = []
    for one in results:
        row: dict[str, Any] = {
            "id": one.id,
            "measured on": BADGES[one.badge],
            "recipe": one.conditions.recipe,
            "workload": one.conditions.workload,
            "arrivals": one.conditions.arrivals,
            "cache": one.conditions.cache,
            "requests": one.summary.requests,
            "failed": one.summary.failed,
            "output_tps": one.summary.output_tps,
            "hit_rate": one.summary.hit_rate,
        }
        for metric in _SHOWN:
            found = one.summary.latency.get(metric)
            low, high = (found.interval if found else None) or (None, None)
            row |= {f"{metric}_p50": found.p50 if found else None}
            row |= {f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row | {"warnings": "; ".join(one.warnings)})
    return table_of(rows, columns, "id")  # type: ignore[no-any-return]


def requests_table(timings: Sequence[RequestTiming]) -> pandas.DataFrame:
    """Return one row a request, of a run that has ended or is under way.

    Returns:
        Index ``request``; ``session``, ``turn``, ``sent_s`` from the first request's sending,
        ``ttft_s``, ``e2el_s``, tokens, and ``error``.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    first = min((one.sent_ns for one in timings), default=0)
    rows = [
        {
            "request": number,
            "session": one.session,
            "turn": one.turn + 1,
            "sent_s": (one.sent_ns - first) / 1e9,
            "ttft_s": one.ttft_s,
            "e2el_s": one.e2el_s,
            "input_tokens": one.input_tokens,
            "cached_tokens": one.cached_tokens,
            "output_tokens": one.output_tokens,
            "error": one.error,
        }
        for number, one in enumerate(timings, 1)
    ]
    columns = ["request", "session", "turn", "sent_s", "ttft_s", "e2el_s", "error"]
    return table_of(rows, columns, "request")  # type: ignore[no-any-return]


def comparison_table(comparison: Comparison) -> pandas.DataFrame:
    """Return one row a metric: medians in seconds, their ratio with its interval, the verdict.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    rows = [
        {
            "metric": one.metric,
            comparison.a: one.a,
            comparison.b: one.b,
            "ratio": one.ratio,
            "low": one.interval[0] if one.interval else None,
            "high": one.interval[1] if one.interval else None,
            "verdict": one.verdict,
        }
        for one in comparison.rows
    ]
    return table_of(rows, ["metric", "ratio", "low", "high", "verdict"], "metric")  # type: ignore[no-any-return]


def difference_table(comparison: Comparison) -> pandas.DataFrame:
    """Return one row a condition that the two runs do not share.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    rows = [
        {"condition": one.name, comparison.a: one.a, comparison.b: one.b}
        for one in comparison.differences
    ]
    return table_of(rows, ["condition"], "condition")  # type: ignore[no-any-return]


def plot_requests(
    timings: Sequence[RequestTiming], badge: Badge | None, *, dark: bool = False
) -> Any:
    """Draw each request's first token and end over when it was sent.

    Raises:
        MissingExtraError: pandas or plotly is not installed.
    """
    table = requests_table(timings)
    figure = new_figure(badged("Requests", [badge if timings else None]), dark=dark)
    whole = table[table["e2el_s"].notna() & ~table["error"].astype(bool)]
    failed = table[table["error"].astype(bool)]
    who = list(zip(whole["session"].map(plot_text), whole["turn"], strict=True))
    named = {"customdata": who, "mode": "markers"}
    hover = "%{customdata[0]}, turn %{customdata[1]}: %{y:.3f} s"
    for column, name in (("ttft_s", "first token"), ("e2el_s", "end")):
        figure.add_scatter(
            x=whole["sent_s"], y=whole[column], name=name, hovertemplate=hover, **named
        )
    if len(failed):
        figure.add_scatter(
            x=failed["sent_s"],
            y=[0] * len(failed),
            name="failed",
            mode="markers",
            marker={"symbol": "x", "size": 10},
            text=failed["error"].map(plot_text),
            hovertemplate="%{text}",
        )
    return figure.update_layout(
        xaxis_title="sent, seconds from the first", yaxis_title="seconds", yaxis_rangemode="tozero"
    )


def plot_latencies(results: Sequence[Result], *, dark: bool = False) -> Any:
    """Draw medians with their 95 % intervals side by side, one row a result.

    Raises:
        MissingExtraError: pandas or plotly is not installed.
    """
    table = results_table(results)
    figure = new_figure(
        badged("Medians and their 95 % intervals", [one.badge for one in results]),
        dark=dark,
        height=150 + 46 * max(1, len(results)),
        showlegend=False,
        hovermode="closest",
    )
    labels = [
        f"{plot_text(one.id)}<br>{plot_text(one.conditions.recipe or one.conditions.model)}"
        for one in results
    ]
    width = 1 / len(_SHOWN)
    for at, (metric, name) in enumerate(_SHOWN.items()):
        middle = table[f"{metric}_p50"]
        figure.add_scatter(
            x=middle,
            y=labels,
            xaxis=f"x{at + 1}",
            name=name,
            mode="markers",
            marker={"size": 10},
            error_x={
                "array": (table[f"{metric}_high"] - middle).fillna(0),
                "arrayminus": (middle - table[f"{metric}_low"]).fillna(0),
            },
            hovertemplate="%{x:.4g} s",
        )
        domain = [at * width + (0.02 if at else 0), (at + 1) * width]
        axis = {"title": f"{name}, s", "domain": domain, "rangemode": "tozero"}
        figure.update_layout({f"xaxis{at + 1 if at else ''}": axis})
    return figure.update_layout(yaxis={"autorange": "reversed"})


def plot_comparison(comparison: Comparison, badge: Badge | None, *, dark: bool = False) -> Any:
    """Draw each metric's ratio with its interval; left of 1 the second run is faster.

    Raises:
        MissingExtraError: pandas or plotly is not installed.
    """
    table = comparison_table(comparison)
    figure = new_figure(
        badged(plot_text(f"{comparison.b} over {comparison.a}"), [badge]),
        dark=dark,
        height=170 + 34 * len(table),
        showlegend=False,
        hovermode="closest",
    )
    figure.add_scatter(
        x=table["ratio"],
        y=[plot_text(one) for one in table.index],
        mode="markers+text",
        text=table["verdict"],
        textposition="top center",
        marker={"size": 11, "symbol": [_VERDICTS[one] for one in table["verdict"]]},
        error_x={
            "array": (table["high"] - table["ratio"]).fillna(0),
            "arrayminus": (table["ratio"] - table["low"]).fillna(0),
        },
        hovertemplate="%{y}: %{x:.3f}, %{text}<extra></extra>",
    )
    figure.add_vline(x=1, line={"dash": "dot", "width": 1})
    return figure.update_layout(
        xaxis_title="ratio of the medians; below 1 the second is faster",
        yaxis={"autorange": "reversed"},
    )
