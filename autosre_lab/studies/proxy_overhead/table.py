"""The proxy benchmark's figures as a table, Markdown so that it can be pasted as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autosre_lab.studies.proxy_overhead.stats import Added, ratio

__all__ = ["TARGETS", "Figures", "missed_targets", "render_table"]

TARGETS = {
    "ttft_claude_p50_ms": 3.0,
    "burst_us": 15.0,
    "paced_us": 100.0,
    "rss_mb": 80.0,
}
"""What our own proxy must stay at or below, by the name of the column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One contender's results; None where something was not or could not be measured.

    Attributes:
        name: Of the contender.
        version: Of it.
        small: What it adds to the TTFT of a request of one line.
        claude: What it adds to the TTFT of the agent's first request: 77 KB of Claude Code's, or
            40 KB of Codex's.
        small_us: CPU microseconds of a request of one line, answered in one chunk.
        agent_us: The same of the agent's first request.
        burst_us: CPU microseconds per chunk when chunks come as fast as they are taken.
        paced_us: The same when they come at a fixed pace.
        rss_mb: Largest resident memory after the phases above.
        streams: Concurrent streams asked for and those that ended well.
        streams_wall_s: How long these took.
        streams_ms: CPU milliseconds per stream of these.
        streams_rss_mb: Resident memory right after them.
    """

    name: str
    version: str
    small: Added | None = None
    claude: Added | None = None
    small_us: float | None = None
    agent_us: float | None = None
    burst_us: float | None = None
    paced_us: float | None = None
    rss_mb: float | None = None
    streams: tuple[int, int] | None = None
    streams_wall_s: float | None = None
    streams_ms: float | None = None
    streams_rss_mb: float | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    title: str
    value: Callable[[Figures], float | None]
    digits: int


_COLUMNS = (
    _Column("ttft_small_p50_ms", "added TTFT small p50 ms", lambda f: _p50(f.small), 2),
    _Column("ttft_small_p99_ms", "p99", lambda f: _tail(f.small), 2),
    _Column("ttft_claude_p50_ms", "added TTFT agent p50 ms", lambda f: _p50(f.claude), 2),
    _Column("ttft_claude_p99_ms", "p99", lambda f: _tail(f.claude), 2),
    _Column("small_us", "CPU µs/request small", lambda f: f.small_us, 0),
    _Column("agent_us", "CPU µs/request agent", lambda f: f.agent_us, 0),
    _Column("burst_us", "CPU µs/chunk burst", lambda f: f.burst_us, 1),
    _Column("paced_us", "CPU µs/chunk paced", lambda f: f.paced_us, 1),
    _Column("rss_mb", "RSS MB", lambda f: f.rss_mb, 0),
    _Column("streams_wall_s", "streams: wall s", lambda f: f.streams_wall_s, 1),
    _Column("streams_ms", "CPU ms/stream", lambda f: f.streams_ms, 2),
    _Column("streams_rss_mb", "RSS MB", lambda f: f.streams_rss_mb, 0),
)


def render_table(rows: Sequence[Figures], *, ours: str, baseline: str) -> str:
    """Return the table: figures, our targets, and how many times as much each rival takes.

    Args:
        rows: One per contender.
        ours: Name of the row that the ratios relate to.
        baseline: Name of the row without a proxy, which gets no ratio.
    """
    head = ["", *(column.title for column in _COLUMNS), "completed"]
    lines = [[_label(row), *_cells(row), _completed(row)] for row in rows]
    own = next((row for row in rows if row.name == ours), None)
    if own is not None:
        lines.append([f"target for {ours}", *(_target(column) for column in _COLUMNS), "all"])
        lines += [
            [f"{row.name} / {ours}", *(_times(column, row, own) for column in _COLUMNS), ""]
            for row in rows
            if row.name not in (ours, baseline)
        ]
    return _markdown([head, *lines])


def missed_targets(own: Figures) -> list[str]:
    """Return what our proxy missed, one sentence each; nothing if it met every target."""
    missed = []
    for column in _COLUMNS:
        value, limit = column.value(own), TARGETS.get(column.name)
        if limit is not None and value is not None and value > limit:
            missed.append(f"{column.name} is {value:.{column.digits}f}, the target {limit:g}")
    if own.streams is not None and own.streams[0] != own.streams[1]:
        missed.append(f"{own.streams[1]} of {own.streams[0]} concurrent streams ended well")
    return missed


def _p50(added: Added | None) -> float | None:
    return None if added is None else added.p50_ms


def _tail(added: Added | None) -> float | None:
    return None if added is None else added.p99_ms


def _label(row: Figures) -> str:
    return f"{row.name} {row.version}".strip()


def _cells(row: Figures) -> list[str]:
    values = ((column, column.value(row)) for column in _COLUMNS)
    return ["–" if value is None else f"{value:.{column.digits}f}" for column, value in values]


def _completed(row: Figures) -> str:
    return "–" if row.streams is None else f"{row.streams[1]}/{row.streams[0]}"


def _target(column: _Column) -> str:
    limit = TARGETS.get(column.name)
    return "" if limit is None else f"≤ {limit:g}"


def _times(column: _Column, rival: Figures, own: Figures) -> str:
    times = ratio(column.value(rival), column.value(own))
    if times is None:
        return "–"
    return f"{times:.{0 if times >= 10 else 1 if times >= 2 else 2}f}×"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(rows[0]), line(rule), *(line(row) for row in rows[1:])])
