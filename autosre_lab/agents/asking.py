"""One question to an agent's command line, whichever it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.agents.answer import Answer
from autosre_lab.agents.named import AgentName, agent_named
from autosre_lab.agents.running import capture
from autosre_lab.agents.session import prepare_launch

if TYPE_CHECKING:
    from autosre_lab.stack import Stack

__all__ = ["ask"]


def ask(
    question: str,
    *,
    agent: AgentName = "claude",
    stack: Stack | None = None,
    args: Sequence[str] = (),
    timeout_s: float = 1800.0,
    cwd: Path | None = None,
    keep: bool = False,
    session: str = "",
) -> Answer:
    """Ask Claude Code or Codex one question and wait for the answer.

    Args:
        question: The prompt.
        agent: ``claude`` or ``codex``.
        stack: A running stack; found or started when not given.
        args: Further arguments: ours first, then the agent's own.
        timeout_s: Seconds the agent may take, the start of a stack not included.
        cwd: Where it runs, and what its tools see; the current folder when not given.
        keep: Keep the session, so that a later question in the same folder can go on in it.
        session: The one to go on in, an earlier answer's `session` that was kept.

    Raises:
        ConfigError: There is no such agent.
        AgentError: It ended without an answer, or took longer than `timeout_s`.
        ProvisionError: It could not be installed.
        WindowTooSmallError: The served window cannot hold a session.
        EngineError: The stack could not be started.
    """
    asked = agent_named(agent)
    own, rest = asked.split(args)
    folder = cwd or Path.cwd()
    launch = prepare_launch(
        asked, own, asked.asking(rest, keep=keep, session=session), cwd=folder, stack=stack
    )
    started_at, started = time.time(), time.monotonic()
    # The question goes in by standard input: as an argument it might look like an option.
    try:
        done = capture(launch, question, cwd=folder, timeout_s=timeout_s)
    except TimeoutError as error:
        raise asked.error(
            f"{asked.program.title} had no answer after {timeout_s:g} s",
            remedy="give it more time (timeout_s), or read the request log to see which step took "
            "the time",
            exit_code=None,
            output="",
        ) from error
    wall_s = time.monotonic() - started
    answer = asked.read_answer(done.stdout, done.stderr, done.returncode)
    # Codex tells no times of its own.
    duration_s = wall_s if answer.duration_s != answer.duration_s else answer.duration_s
    return replace(answer, started_at=started_at, wall_s=wall_s, duration_s=duration_s)
