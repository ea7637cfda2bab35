"""Requests with times written down beforehand."""

from __future__ import annotations

from typing import Any

from autosre_lab.bench.timing import RequestTiming

SECOND = 1_000_000_000


def request(
    session: str = "s",
    turn: int = 0,
    *,
    due: float = 0.0,
    sent: float | None = None,
    ttft: float = 0.5,
    tpot: float = 0.1,
    tokens: int = 11,
    **more: Any,
) -> RequestTiming:
    """A request whose chunks have one token each; times in seconds."""
    sent = due if sent is None else sent
    first = sent + ttft
    chunks = [round((first + n * tpot) * SECOND) for n in range(tokens)]
    return RequestTiming(
        **{
            "session": session,
            "turn": turn,
            "scheduled_ns": round(due * SECOND),
            "sent_ns": round(sent * SECOND),
            "first_event_ns": chunks[0],
            "first_token_ns": chunks[0],
            "first_output_ns": chunks[0],
            "last_token_ns": chunks[-1],
            "ended_ns": chunks[-1],
            "chunk_ns": chunks,
            "input_tokens": 100,
            "cached_tokens": 80,
            "output_tokens": tokens,
            "status": 200,
            **more,
        }
    )


def failed(session: str = "s", turn: int = 0, *, due: float = 0.0) -> RequestTiming:
    return RequestTiming(
        session=session,
        turn=turn,
        scheduled_ns=round(due * SECOND),
        sent_ns=round(due * SECOND),
        ended_ns=round((due + 1) * SECOND),
        status=503,
        error="HTTP 503: busy",
    )
