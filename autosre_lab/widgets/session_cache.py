"""Recorded sessions, and each turn's use of the prefix cache, as tables and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import Badge
from autosre_lab.errors import ConfigError
from autosre_lab.markup import plot_text
from autosre_lab.widgets.figures import badged, new_figure, table_of

if TYPE_CHECKING:
    import pandas

    from autosre_lab.bench.recorded import RecordedSession, TurnCache
    from autosre_lab.bench.result import Result

__all__ = ["cache_table", "plot_cache", "replay_table", "session_profile", "sessions_table"]

_COLUMNS = ("turn", "agent", "kind", "ttft_s", "input", "cached", "expected", "hit_rate", "cause")


def sessions_table(log: str | Path) -> pandas.DataFrame:
    """Return the sessions of a request log, the latest first.

    Returns:
        Index ``session``; when it began, requests, subagents, tokens, hit rate.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    from autosre_lab.bench.recorded import sessions_in_request_log
    from autosre_lab.errors import BenchmarkError

    try:
        sessions = sessions_in_request_log(log)
    except BenchmarkError:
        sessions = []
    rows = []
    for one in sorted(sessions, key=lambda one: one.requests[0].start_s, reverse=True):
        tokens = sum(request.input_tokens for request in one.requests)
        cached = sum(request.cached_tokens for request in one.requests)
        rows.append(
            {
                "session": one.id,
                "began": datetime.fromtimestamp(one.requests[0].start_s, UTC),
                "requests": len(one.requests),
                "subagents": len(one.agents),
                "input_tokens": tokens,
                "cached_tokens": cached,
                "hit_rate": cached / tokens if tokens else None,
                "output_tokens": sum(request.output_tokens for request in one.requests),
            }
        )
    return table_of(rows, ["session", "began", "requests", "hit_rate"], "session")  # type: ignore[no-any-return]


def session_profile(
    session: str | None = None, log: str | Path | None = None, *, block_tokens: int | None = None
) -> list[TurnCache]:
    """Return each turn's use of the prefix cache; see `autosre_lab.bench.recorded.cache_profile`.

    Args:
        session: Only this session; all by default.
        log: A request log; the running stack's by default, whose engine then tells the size of
            its cache's blocks and when it was started.
        block_tokens: That size. Where nobody tells, what all counts of cached tokens are multiples
            of: never less than it is, so nothing is called evicted that was only rounded.

    Raises:
        NotReadyError: No log is named and no stack runs.
        ConfigError: The stack runs in a cluster, which keeps the log.
    """
    from autosre_lab.bench.recorded import cache_profile, records_in_request_log

    restarts_s: list[float] = []
    if log is None:
        from autosre_lab.bench.target import target_of
        from autosre_lab.evaluation.short_form import cache_block_tokens
        from autosre_lab.lifecycle import status, wait_ready

        stack = wait_ready()
        log = stack.request_log
        if log is None:
            raise ConfigError(
                "the proxy of a cluster keeps its request log in its Pod",
                remedy="copy it from there and name the file",
            )
        engine = status().services.get("engine")
        if engine is not None and engine.started_at is not None:
            restarts_s = [engine.started_at]
        if block_tokens is None:
            block_tokens = cache_block_tokens(target_of(stack, badge="cpu-engine"))
    records = records_in_request_log(log)
    return cache_profile(
        records,
        session=session,
        block_tokens=block_tokens or math.gcd(*(one.cached_tokens for one in records)) or 16,
        restarts_s=restarts_s,
    )


def replay_table(session: RecordedSession, result: Result) -> pandas.DataFrame:
    """Return one row a turn of the main conversation: as recorded, and as replayed.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    replayed = [one for one in result.timings if not one.session.partition("-agent-")[1]]
    rows = [
        {
            "turn": number,
            "input": was.input_tokens,
            "input replayed": now.input_tokens,
            "hit_rate": was.cached_tokens / was.input_tokens if was.input_tokens else None,
            "hit_rate replayed": (now.cached_tokens or 0) / now.input_tokens
            if now.input_tokens and now.cached_tokens is not None
            else None,
            "ttft_s": was.ttft_s,
            "ttft_s replayed": now.ttft_s,
        }
        for number, (was, now) in enumerate(
            zip(session.of_agent(""), replayed, strict=False), start=1
        )
    ]
    return table_of(rows, ["turn", "input", "hit_rate", "ttft_s"], "turn")  # type: ignore[no-any-return]


def cache_table(profile: Sequence[TurnCache], *, every_cause: bool = False) -> pandas.DataFrame:
    """Return one row a turn: tokens, what was expected of the cache, and why it was missed.

    Args:
        profile: Of `cache_profile`.
        every_cause: Also a column of tokens for each cause.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    from autosre_lab.bench.recorded import profile_rows

    rows = [
        {name: value for name, value in row.items() if every_cause or "missed." not in name}
        for row in profile_rows(profile)
    ]
    return table_of(rows, _COLUMNS, "turn")  # type: ignore[no-any-return]


def plot_cache(profile: Sequence[TurnCache], badge: Badge | None, *, dark: bool = False) -> Any:
    """Draw each turn's prompt: what came from the cache, and the rest by why it did not.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    from autosre_lab.bench.recorded import CAUSES, missed_totals

    figure = new_figure(
        badged("Prompt tokens by turn", [badge if profile else None]),
        dark=dark,
        height=380,
        barmode="stack",
    )
    turns = [_named(one) for one in profile]
    figure.add_bar(x=turns, y=[one.cached_tokens for one in profile], name="from the cache")
    for cause in missed_totals(profile):
        if cause == "cached":
            continue
        figure.add_bar(
            x=turns,
            y=[one.missed.get(cause, 0) for one in profile],
            name=cause,
            hovertemplate="%{y} tokens: " + CAUSES[cause] + "<extra></extra>",
        )
    figure.add_scatter(
        x=turns,
        y=[one.expected_tokens for one in profile],
        name="expected of the cache",
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 22, "line": {"width": 3}},
    )
    return figure.update_layout(
        xaxis={"title": "turn", "type": "category"}, yaxis_title="tokens of the prompt"
    )


def _named(turn: TurnCache) -> str:
    who = f"{turn.agent[:8]} " if turn.agent else ""
    kind = "" if turn.kind in ("main", "subagent") else f" {turn.kind}"
    return plot_text(f"{who}{turn.turn}{kind}")
