"""One question to the real ``codex exec``, and what its events say."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.agents.answer import Answer
from autosre_lab.agents.codex.arguments import split_arguments
from autosre_lab.agents.codex.session import prepare_launch
from autosre_lab.agents.running import capture
from autosre_lab.errors import CodexError

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
    """Ask Codex one question and wait for the answer.

    Args:
        question: The prompt.
        stack: A running stack; found or started when not given.
        args: Further arguments: ours first, then those of ``codex exec``.
        timeout_s: Seconds Codex may take, the start of a stack not included.
        cwd: Where it runs, and what its tools see; the current folder when not given.
        keep: Keep the session, so that ``codex exec resume`` can go on in it.

    Raises:
        CodexError: It ended without an answer, or took longer than `timeout_s`.
        WindowTooSmallError: The served window cannot hold a session.
        EngineError: The stack could not be started.
    """
    own, rest = split_arguments(args)
    folder = cwd or Path.cwd()
    launch = prepare_launch(
        own, ["exec", "--json", *([] if keep else ["--ephemeral"]), *rest, "-"], stack=stack
    )
    started_at, started = time.time(), time.monotonic()
    # The question goes in by standard input: as an argument it might look like an option.
    try:
        done = capture(launch, question, cwd=folder, timeout_s=timeout_s)
    except TimeoutError as error:
        raise CodexError(
            f"Codex had no answer after {timeout_s:g} s",
            remedy="give it more time (timeout_s), or read the request log to see which step took "
            "the time",
            exit_code=None,
            output="",
        ) from error
    wall_s = time.monotonic() - started
    answer = read_answer(done.stdout, done.stderr, done.returncode)
    return replace(answer, started_at=started_at, wall_s=wall_s, duration_s=wall_s)


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
