"""Where the time of one answer went, from the agent's start to its end."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import MissingExtraError
from autosre_lab.markup import plot_text
from autosre_lab.widgets.theme import figure_theme

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

    from autosre_lab.agents.answer import Answer

__all__ = ["PARTS", "plot_time_breakdown", "time_breakdown"]

PARTS = {
    "start-up": "the agent, until its first request",
    "proxy": "from a request's arrival to its sending on",
    "prefill": "until the engine's first token",
    "decode": "from the first token to the last",
    "tools": "the agent, between two requests",
    "end": "the agent, after its last request",
}
"""The parts of an answer's time, in order, and what each is."""

_LOOKS = (
    # Fill, pattern, label: fills that the colour-blind tell apart too (after Okabe and Ito).
    ("#999999", "", "black"),
    ("#d55e00", "x", "black"),
    ("#56b4e9", "", "black"),
    ("#0072b2", "", "white"),
    ("#e69f00", ".", "black"),
    ("#cccccc", "/", "black"),
)

_LABEL_SHARE = 0.08
"""Share of the whole from which on a part has room for its name."""


def time_breakdown(
    answer: Answer, requests: pandas.DataFrame, *, session: str | None = None
) -> pandas.DataFrame:
    """Split the time that an answer took into its parts; they add up to the whole.

    Where requests ran at the same time, as those of subagents do, each moment counts once, for
    the request that was furthest.

    Args:
        answer: What `autosre_lab.ask` returned.
        requests: What `autosre_lab.read_request_log` returned.
        session: The session to look at; the answer's own by default.

    Returns:
        One row a part of `PARTS`, in order: index ``part``; ``seconds``, ``share`` (0 to 1) and
        ``what``.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("a table of where the time went", extra="notebooks") from error
    wanted = session or answer.session
    own = requests[(requests["session"] == wanted) & requests["total_ms"].notna()]
    seconds = _seconds([_phases(row) for row in own.to_dict("records")], answer)
    whole = sum(seconds.values())
    table = pandas.DataFrame(
        {
            "part": list(PARTS),
            "seconds": [seconds[part] for part in PARTS],
            "share": [seconds[part] / whole if whole else 0.0 for part in PARTS],
            "what": list(PARTS.values()),
        }
    )
    return table.set_index("part")


def _phases(request: dict[Any, Any]) -> tuple[float, float, float, float]:
    """Return when a request arrived, was sent on, had its first token, and ended."""

    def or_else(value: float | None, otherwise: float) -> float:
        return otherwise if value is None or value != value else float(value)

    total = float(request["total_ms"])
    first = or_else(request["ttft_ms"], total)
    added = min(or_else(request["added_ms"], 0.0), first)
    arrived = request["time"].timestamp()
    return arrived, arrived + added / 1e3, arrived + first / 1e3, arrived + total / 1e3


def _seconds(requests: list[tuple[float, float, float, float]], answer: Answer) -> dict[str, float]:
    begin, finish = answer.started_at, answer.started_at + answer.wall_s
    first = min((arrived for arrived, *_ in requests), default=finish)
    last = max((ended for *_, ended in requests), default=finish)
    edges = sorted({begin, finish, *(edge for one in requests for edge in one)})
    seconds = dict.fromkeys(PARTS, 0.0)
    for left, right in pairwise(edges):
        if begin <= left and right <= finish:
            seconds[_part((left + right) / 2, requests, first, last)] += right - left
    return seconds


def _part(
    moment: float,
    requests: list[tuple[float, float, float, float]],
    first: float,
    last: float,
) -> str:
    running = [one for one in requests if one[0] <= moment < one[3]]
    if running:
        passed = max(sum(edge <= moment for edge in one[1:3]) for one in running)
        return ("proxy", "prefill", "decode")[passed]
    if moment < first:
        return "start-up"
    return "end" if moment >= last else "tools"


def plot_time_breakdown(table: pandas.DataFrame, *, title: str = "") -> plotly.graph_objects.Figure:
    """Draw one bar whose parts are the parts of an answer's time.

    Args:
        table: What `time_breakdown` returned.
        title: Above the bar.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as graph
    except ImportError as error:
        raise MissingExtraError("plots", extra="notebooks") from error
    figure: Any = graph.Figure()
    rows: list[tuple[Any, Any]] = list(table.iterrows())
    for (part, row), (fill, pattern, label) in zip(rows, _LOOKS, strict=True):
        figure.add_bar(
            x=[row["seconds"]],
            y=[""],
            # A part too thin for its name still has it, and its seconds, in the legend.
            name=f"{part} {row['seconds']:.2f} s",
            text=str(part) if row["share"] >= _LABEL_SHARE else "",
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            orientation="h",
            insidetextfont={"color": label},
            marker={"color": fill, "pattern": {"shape": pattern, "solidity": 0.15}},
            hovertemplate=f"{row['what']}: {row['seconds']:.3f} s, {row['share']:.0%}"
            "<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        title=plot_text(title),
        xaxis_title="seconds",
        height=260,
        margin={"l": 20, "r": 20, "t": 60 if title else 20, "b": 40},
        legend={"orientation": "h", "traceorder": "normal", "y": -0.45},
        hovermode="closest",
    )
    return figure_theme(figure)
