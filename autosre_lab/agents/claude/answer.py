"""What the result of ``claude -p`` says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autosre_lab.agents.answer import Answer
from autosre_lab.errors import ClaudeCodeError

__all__ = ["read_answer"]

SHOWN_CHARACTERS = 2000


def read_answer(out: str, err: str, exit_code: int) -> Answer:
    """Read what ``claude -p --output-format json`` wrote; its own start it does not know.

    Raises:
        ClaudeCodeError: There is no result in it.
    """
    result = _last_result(out)
    if result is None:
        shown = (err.strip() or out.strip() or "nothing was written")[-SHOWN_CHARACTERS:]
        raise ClaudeCodeError(
            f"Claude Code ended with exit code {exit_code} and no answer: {shown}",
            remedy="run it in a terminal to see more: autosre claude -p '…' --debug",
            exit_code=exit_code,
            output=shown,
        )
    usage = result.get("usage") or {}
    cached = _number(usage, "cache_read_input_tokens")
    fresh = _number(usage, "input_tokens") + _number(usage, "cache_creation_input_tokens")
    ttft_ms = result.get("ttft_ms")
    return Answer(
        text=str(result.get("result") or ""),
        duration_s=float(result.get("duration_ms") or 0) / 1000,
        ttft_s=None if ttft_ms is None else float(ttft_ms) / 1000,
        input_tokens=fresh + cached,
        cached_tokens=cached,
        output_tokens=_number(usage, "output_tokens"),
        session=str(result.get("session_id") or ""),
        is_error=bool(result.get("is_error")),
        started_at=float("nan"),  # its output does not tell; whoever ran it knows
        wall_s=float("nan"),
        raw=result,
    )


def _last_result(out: str) -> dict[str, Any] | None:
    for line in reversed(out.splitlines()):
        try:
            parsed = json.loads(line)
        except ValueError:
            continue
        if isinstance(parsed, dict) and parsed.get("type") == "result":
            return parsed
    return None


def _number(usage: Mapping[str, Any], name: str) -> int:
    return int(usage.get(name) or 0)
