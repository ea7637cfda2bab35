"""One question to an agent's command line, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autosre_lab.agents.answer import Answer
from autosre_lab.errors import ConfigError

if TYPE_CHECKING:
    from autosre_lab.stack import Stack

__all__ = ["AGENTS", "Agent", "ask"]

Agent = Literal["claude", "codex"]
AGENTS: tuple[Agent, ...] = ("claude", "codex")


def ask(
    question: str,
    *,
    agent: Agent = "claude",
    stack: Stack | None = None,
    args: Sequence[str] = (),
    timeout_s: float = 1800.0,
    cwd: Path | None = None,
    keep: bool = False,
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

    Raises:
        ConfigError: There is no such agent.
        AgentError: It ended without an answer, or took longer than `timeout_s`.
        WindowTooSmallError: The served window cannot hold a session.
        EngineError: The stack could not be started.
    """
    if agent == "claude":
        from autosre_lab.agents.claude.answer import ask as asked
    elif agent == "codex":
        from autosre_lab.agents.codex.answer import ask as asked
    else:
        raise ConfigError(f"no agent {agent!r}", remedy=f"agent is {' or '.join(AGENTS)}")
    return asked(question, stack=stack, args=args, timeout_s=timeout_s, cwd=cwd, keep=keep)
