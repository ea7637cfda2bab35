"""What the events of ``codex exec`` say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autosre_lab.agents.answer import Answer
from autosre_lab.errors import CodexError

__all__ = ["read_answer"]

SHOWN_CHARACTERS = 2000


def read_answer(out: str, err: str, exit_code: int) -> Answer:
    """Read what ``codex exec --json`` wrote. It tells no times.

    Raises:
        CodexError: No turn ended in it.
    """
    events = [event for event in map(_event, out.splitlines()) if event is not None]
    texts = [
        str(item.get("text") or "")
        for item in (event.get("item") for event in events if event["type"] == "item.completed")
        if isinstance(item, dict) and item.get("type") == "agent_message"
    ]
    ended = next(
        (one for one in reversed(events) if one["type"] in ("turn.completed", "turn.failed")), None
    )
    if ended is None or (ended["type"] == "turn.failed" and not texts):
        shown = _said(ended) or err.strip() or out.strip() or "nothing was written"
        raise CodexError(
            f"Codex ended with exit code {exit_code} and no answer: {shown[-SHOWN_CHARACTERS:]}",
            remedy="run it in a terminal to see more: autosre codex exec '…'",
            exit_code=exit_code,
            output=shown[-SHOWN_CHARACTERS:],
        )
    usage: Mapping[str, Any] = ended.get("usage") or {}
    return Answer(
        text=texts[-1] if texts else "",
        duration_s=float("nan"),
        ttft_s=None,
        input_tokens=int(usage.get("input_tokens") or 0),
        cached_tokens=int(usage.get("cached_input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        session=next(
            (str(one.get("thread_id")) for one in events if one["type"] == "thread.started"), ""
        ),
        is_error=ended["type"] == "turn.failed" or exit_code != 0,
        started_at=float("nan"),  # its output does not tell; whoever ran it knows
        wall_s=float("nan"),
        raw={"events": events},
    )


def _said(ended: Mapping[str, Any] | None) -> str:
    error = (ended or {}).get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""


def _event(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and isinstance(parsed.get("type"), str) else None
