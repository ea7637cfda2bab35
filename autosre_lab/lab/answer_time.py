"""Where the time of one answer went, from Claude Code's start to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autosre_lab.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects

    from autosre_lab.claude import Answer

__all__ = ["plot_time_breakdown", "time_breakdown"]

PARTS = (
    ("Claude Code", "start-up, tools and end, outside any request"),
    ("proxy", "from a request's arrival until it is sent to the engine"),
    ("prefill", "until the engine's first token"),
    ("decode", "from the first token to the last"),
)
"""The parts of an answer's time, in order, and what each is."""

_COLOURS = ("#6c757d", "#d08770", "#5e81ac", "#a3be8c")


def time_breakdown(
    answer: Answer, requests: pandas.DataFrame, *, session: str | None = None
) -> pandas.DataFrame:
    """Split an answer's time into its parts; they add up to the whole.

    Args:
        answer: What `autosre_lab.ask` returned.
        requests: What `autosre_lab.read_request_log` returned.
        session: The Claude Code session to look at; the answer's own by default.

    Returns:
        One row a part of `PARTS`, in order: index ``part``; ``seconds``, ``share`` (0 to 1) and
        ``what``. Requests that ran at the same time are added up, so that with subagents
        "Claude Code" can be 0.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("a table of where the time went", extra="notebooks") from error
    wanted = session or str(answer.raw.get("session_id", ""))
    own = requests[(requests["session"] == wanted) & (requests["status"] == 200)]
    added = float(own["added_ms"].fillna(0).sum()) / 1e3
    first = float(own["ttft_ms"].fillna(own["total_ms"]).sum()) / 1e3
    whole = float(own["total_ms"].sum()) / 1e3
    total = max(answer.duration_s, whole)
    seconds = [total - whole, added, first - added, whole - first]
    table = pandas.DataFrame(
        {
            "part": [part for part, _ in PARTS],
            "seconds": seconds,
            "share": [one / total if total else 0.0 for one in seconds],
            "what": [what for _, what in PARTS],
        }
    )
    return table.set_index("part")


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
    for (part, row), colour in zip(rows, _COLOURS, strict=True):
        figure.add_bar(
            x=[row["seconds"]],
            y=[""],
            name=str(part),
            orientation="h",
            marker_color=colour,
            # Colour is not the only sign: each part has its name and its seconds on it.
            text=f"{part}<br>{row['seconds']:.2f} s",
            textposition="inside",
            hovertext=f"{row['what']}: {row['seconds']:.3f} s, {row['share']:.0%}",
        )
    figure.update_layout(
        barmode="stack",
        title=title,
        xaxis_title="seconds",
        height=220,
        margin={"l": 20, "r": 20, "t": 50 if title else 20, "b": 40},
        showlegend=False,
    )
    return figure
