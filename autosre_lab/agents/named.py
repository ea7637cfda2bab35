"""The agents by name, each loaded when it is asked for."""

from __future__ import annotations

from typing import Any, Literal

from autosre_lab.agents.agent import Agent
from autosre_lab.errors import ConfigError

__all__ = ["AGENTS", "AgentName", "agent_named"]

AgentName = Literal["claude", "codex"]
AGENTS: tuple[AgentName, ...] = ("claude", "codex")


def agent_named(name: str) -> Agent[Any]:
    """Return an agent.

    Raises:
        ConfigError: There is none of this name.
    """
    if name == "claude":
        from autosre_lab.agents.claude.agent import CLAUDE

        return CLAUDE
    if name == "codex":
        from autosre_lab.agents.codex.agent import CODEX

        return CODEX
    raise ConfigError(f"no agent {name!r}", remedy=f"agent is {' or '.join(AGENTS)}")
