"""The dashboard's one figure: its charts, and requests along time; made once, its data change."""

from __future__ import annotations

import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import MissingExtraError
from autosre_lab.widgets.observation import CHARTS, Observation
from autosre_lab.widgets.theme import COLOURS, DASHES, figure_theme

if TYPE_CHECKING:
    from autosre_lab.proxy.request_log import RequestRecord

__all__ = ["WINDOW_S", "colour_series", "columns_for", "dashboard_figure", "show_observation"]

WINDOW_S = 300.0
"""Seconds of the axes."""

_WIDE, _NARROW = 860, 520
"""Pixels below which there are two columns of charts, and one."""
_HEIGHT, _BETWEEN = 205, 72
"""Pixels of a row, and of them between two rows."""
_LANES = 8
_KINDS = ("main", "subagent", "compaction", "background", "other")
_TIMELINE = "Request timeline: waiting for the first token (thin), answer (thick)"


def columns_for(width: int) -> int:
    """Return how many charts fit beside each other into so many pixels."""
    return 3 if width >= _WIDE else 2 if width >= _NARROW else 1


def dashboard_figure(*, columns: int = 3) -> Any:
    """Return the figure, empty.

    Args:
        columns: Charts beside each other; 1, 2 or 3.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        from plotly.subplots import make_subplots
    except ImportError as error:
        raise MissingExtraError("plots", extra="notebooks") from error
    titles = [chart.title for chart in CHARTS]
    rows = len(CHARTS) // columns
    figure: Any = make_subplots(
        rows=rows + 1,
        cols=columns,
        specs=[[{}] * columns] * rows + [[{"colspan": columns}, *[None] * (columns - 1)]],
        subplot_titles=[*titles, _TIMELINE],
        vertical_spacing=_BETWEEN / (_HEIGHT * (rows + 1)),
        horizontal_spacing=0.06,
    )
    for at, chart in enumerate(CHARTS):
        row, column = divmod(at, columns)
        for number, series in enumerate(chart.series):
            figure.add_scatter(
                x=[],
                y=[],
                name=series.name,
                mode="lines",
                line={"dash": DASHES[number], "width": 2},
                showlegend=False,
                row=row + 1,
                col=column + 1,
            )
    for kind in _KINDS:
        for part, width in (("wait", 2), ("answer", 7)):
            figure.add_scatter(
                x=[],
                y=[],
                name=kind,
                legendgroup=kind,
                mode="lines",
                line={"dash": "solid" if part == "answer" else "dot", "width": width},
                showlegend=part == "answer",
                hoverinfo="name+x",
                connectgaps=False,
                row=rows + 1,
                col=1,
            )
    figure.update_layout(
        height=_HEIGHT * (rows + 1),
        autosize=True,
        margin={"l": 40, "r": 10, "t": 58, "b": 30},
        uirevision="kept",  # what a person has zoomed to stays
        hovermode="closest",
        legend={"y": -0.06, "font": {"size": 11}},
    )
    figure.update_annotations(font_size=12)
    figure.update_xaxes(range=[-WINDOW_S, 0], ticksuffix=" s", nticks=6)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(visible=False, range=[-0.7, _LANES - 0.3], row=rows + 1, col=1)
    for at, chart in enumerate(CHARTS):
        row, column = divmod(at, columns)
        figure.update_yaxes(range=[0, chart.top], row=row + 1, col=column + 1)
    # One note a chart, empty until there is something to say in place of a line.
    for at in range(len(CHARTS)):
        axis = "" if at == 0 else str(at + 1)
        figure.add_annotation(
            text="",
            xref=f"x{axis} domain",
            yref=f"y{axis} domain",
            x=0.02,
            y=0.97,
            xanchor="left",
            yanchor="top",
            align="left",
            showarrow=False,
            font={"size": 11},
        )
    figure_theme(figure)
    colour_series(figure, dark=False)
    return figure


def colour_series(figure: Any, *, dark: bool) -> None:
    """Give the lines a theme's colours; a template's own cycle runs over all subplots."""
    colours = COLOURS["dark" if dark else "light"]
    at = 0
    for chart in CHARTS:
        for number, _ in enumerate(chart.series):
            figure.data[at].line.color = colours[number]
            at += 1
    for number, _ in enumerate(_KINDS):
        for _ in range(2):
            figure.data[at].line.color = colours[number]
            at += 1


def show_observation(figure: Any, seen: Observation) -> None:
    """Put what is known into the figure."""
    times, values = seen.columns(seconds=WINDOW_S)
    span = max(30.0, min(WINDOW_S, -times[0] if times else 0.0))
    series = [one for chart in CHARTS for one in chart.series]
    bars = _timeline(seen.requests(), seen.sample.time_s if seen.sample else 0.0)
    with figure.batch_update():
        for trace, one in zip(figure.data, series, strict=False):
            trace.x, trace.y = _numbers(times), _numbers(values[one.key])
        for trace, (x, y) in zip(figure.data[len(series) :], bars, strict=True):
            trace.x, trace.y = _numbers(x), _numbers(y)
        notes = figure.layout.annotations[len(CHARTS) + 1 :]
        for at, chart in enumerate(CHARTS):
            text = "<br>".join(textwrap.wrap(seen.missing(chart), 44)) or _legend(chart, values)
            if notes[at].text != text:
                notes[at].text = text
            known = [v for one in chart.series for v in values[one.key] if v == v]
            axis = "" if at == 0 else str(at + 1)
            top = max([chart.top, *(v * 1.35 for v in known)])
            figure.layout[f"yaxis{axis}"].range = [0, top]
        for at in range(len(CHARTS) + 1):
            figure.layout[f"xaxis{'' if at == 0 else at + 1}"].range = [-span, span * 0.01]


def _legend(chart: Any, values: dict[str, list[float]]) -> str:
    """Return the lines' names beside samples of their dashes: a legend inside each chart."""
    signs = ("──", "- -", "···")
    parts = []
    for sign, one in zip(signs, chart.series, strict=False):
        last = next((v for v in reversed(values[one.key]) if v == v), None)
        parts.append(f"{sign} {one.name} {'n/a' if last is None else _short(last)}")
    return "   ".join(parts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _numbers(values: list[float]) -> Any:
    import numpy

    return numpy.asarray(values, dtype="float32")


def _timeline(
    requests: list[RequestRecord], newest: float
) -> list[tuple[list[float], list[float]]]:
    """Return for each class the waits and the answers as pieces of lines in lanes."""
    gap = float("nan")
    pieces: dict[tuple[str, str], tuple[list[float], list[float]]] = {
        (kind, part): ([], []) for kind in _KINDS for part in ("wait", "answer")
    }
    free = [float("-inf")] * _LANES
    spans = sorted(
        (
            (datetime.fromisoformat(one.time).timestamp() - newest, one)
            for one in requests
            if one.total_ms is not None
        ),
        key=lambda pair: pair[0],
    )
    for begin, one in spans:
        end = begin + (one.total_ms or 0.0) / 1e3
        if end < -WINDOW_S:
            continue
        lane = min(
            range(_LANES), key=lambda at: (free[at] > begin, at if free[at] <= begin else free[at])
        )
        free[lane] = end
        until_first = one.total_ms if one.ttft_ms is None else one.ttft_ms
        first = min(end, begin + (until_first or 0.0) / 1e3)
        kind = one.kind if one.kind in _KINDS else "other"
        for part, left, right in (("wait", begin, first), ("answer", first, end)):
            x, y = pieces[kind, part]
            x += [left, right, gap]
            y += [float(lane), float(lane), gap]
    return [pieces[kind, part] for kind in _KINDS for part in ("wait", "answer")]
