"""One question to the real ``claude -p``, and what its result says."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.agents.answer import Answer
from autosre_lab.agents.claude.arguments import split_arguments
from autosre_lab.agents.claude.session import prepare_launch
from autosre_lab.agents.running import capture
from autosre_lab.errors import ClaudeCodeError

if TYPE_CHECKING:
    from autosre_lab.stack import Stack

__all__ = ["ask", "read_answer"]

SHOWN_CHARACTERS = 2000


def ask(
    question: str,
    *,
    stack: Stack | None = None,
    args: Sequence[str] = (),
    timeout_s: float = 1800.0,
    cwd: Path | None = None,
    keep: bool = False,
) -> Answer:
    """Ask Claude Code one question and wait for the answer.

    Args:
        question: The prompt.
        stack: A running stack; found or started when not given.
        args: Further arguments, as for `launch`: ours first, then Claude Code's own.
        timeout_s: Seconds Claude Code may take, the start of a stack not included.
        cwd: Where it runs, and what its tools see; the current folder when not given.
        keep: Keep the session, so that a later question in the same folder goes on in it, with
            ``args=["--resume", answer.raw["session_id"]]``.

    Raises:
        ClaudeCodeError: It ended without an answer, or took longer than `timeout_s`.
        WindowTooSmallError: The served window cannot hold a session.
        EngineError: The stack could not be started.
    """
    own, rest = split_arguments(args)
    folder = cwd or Path.cwd()
    launch = prepare_launch(
        own,
        ["-p", "--output-format", "json", *([] if keep else ["--no-session-persistence"]), *rest],
        cwd=folder,
        stack=stack,
    )
    started_at, started = time.time(), time.monotonic()
    # The question goes in by standard input: as an argument it might look like an option.
    try:
        done = capture(launch, question, cwd=folder, timeout_s=timeout_s)
    except TimeoutError as error:
        raise ClaudeCodeError(
            f"Claude Code had no answer after {timeout_s:g} s",
            remedy="give it more time (timeout_s), or read the request log to see which step took "
            "the time",
            exit_code=None,
            output="",
        ) from error
    answer = read_answer(done.stdout, done.stderr, done.returncode)
    return replace(answer, started_at=started_at, wall_s=time.monotonic() - started)


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
