"""One question, one answer: the real ``claude -p``, and where its time and tokens went."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.agents.claude.arguments import split_arguments
from autosre_lab.agents.claude.session import prepare_launch
from autosre_lab.errors import ClaudeCodeError

if TYPE_CHECKING:
    from autosre_lab.stack import Stack

__all__ = ["Answer", "ask", "read_answer"]

STOP_GRACE_S = 5.0
SHOWN_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Claude Code answered.

    Attributes:
        text: The answer.
        duration_s: Seconds from start to end, as Claude Code measured them.
        started_at: When its process was started, in seconds since the epoch.
        wall_s: Seconds its process took, the start of Node.js included.
        ttft_s: Seconds to the first token of the first request; None where it is not told.
        input_tokens: Tokens of all prompts together, those from the prefix cache included.
        cached_tokens: Those of `input_tokens` that came from the prefix cache.
        output_tokens: Tokens generated.
        is_error: Whether Claude Code calls its result an error; `text` then says which.
        raw: Claude Code's whole result.
    """

    text: str
    duration_s: float
    ttft_s: float | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    is_error: bool
    started_at: float
    wall_s: float
    raw: dict[str, Any] = field(repr=False)


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
    with subprocess.Popen(
        launch.argv,
        env=launch.env,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            out, err = process.communicate(question, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ClaudeCodeError(
                f"Claude Code had no answer after {timeout_s:g} s",
                remedy="give it more time (timeout_s), or see the request log for where it went",
                exit_code=None,
                output="",
            ) from error
        finally:
            _end(process)
    answer = read_answer(out, err, process.returncode)
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
            remedy="run it in a terminal to see more: python -m autosre_lab.claude -p '…' --debug",
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


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.communicate(timeout=STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
