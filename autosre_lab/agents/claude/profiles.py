"""How much of Claude Code is loaded: its prompt and tools alone cost thousands of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autosre_lab.agents.claude.version import known_version

__all__ = ["PROFILES", "FirstRequestSize", "Profile"]

WITHHELD_TOOLS = ("WebFetch", "WebSearch", "Workflow")
"""The web tools run on Anthropic's servers; against another model WebSearch *invents* its results.
Workflow's schema alone is 21 KB of every request of 2.1.197, 6 KB of 2.1.332."""


@dataclass(frozen=True, slots=True)
class FirstRequestSize:
    """How large a version's first request is.

    Attributes:
        recorded_bytes: With a single question, ``-p``.
        terminal_factor: How much longer it is in an interactive session, which has more tools.
    """

    recorded_bytes: int
    terminal_factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One way to start Claude Code.

    Attributes:
        name: As in ``--profile``.
        summary: What it is, for people.
        bare: Whether Claude Code runs in its minimal mode.
        tools: The built-in tools it gets; None for Claude Code's own choice.
        withheld: Tools taken away by name.
        added_prompt: What is added to Claude Code's system prompt; empty for nothing.
        room_tokens: What a session needs beyond its first prompt to get anywhere.
        compacts_ahead: Whether it may only run where Claude Code compacts before the window is
            full, and not when a request has been refused.
        sizes: Its first request in each tested version.
    """

    name: str
    summary: str
    bare: bool
    tools: tuple[str, ...] | None
    withheld: tuple[str, ...]
    added_prompt: str
    room_tokens: int
    compacts_ahead: bool
    sizes: Mapping[str, FirstRequestSize]

    def size(self, version: str) -> FirstRequestSize:
        """Return the size of its first request in a version, tested or near one that is."""
        return self.sizes[known_version(version)]


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="full",
            summary="all of Claude Code's tools, except those that only Anthropic can serve",
            bare=False,
            tools=None,
            withheld=WITHHELD_TOOLS,
            added_prompt="",
            room_tokens=8000,
            compacts_ahead=True,
            sizes={
                "2.1.332": FirstRequestSize(44_000, 1.15),
                "2.1.197": FirstRequestSize(53_000, 1.25),
            },
        ),
        Profile(
            name="trimmed",
            summary="Bash, Read, Edit and Write with Claude Code's own prompt and CLAUDE.md",
            bare=False,
            tools=("Bash", "Read", "Edit", "Write"),
            withheld=(),
            added_prompt="",
            room_tokens=8000,
            compacts_ahead=False,
            sizes={
                "2.1.332": FirstRequestSize(17_500, 1.15),
                "2.1.197": FirstRequestSize(13_000, 1.0),
            },
        ),
        Profile(
            name="lean",
            summary="Claude Code's minimal mode: Bash, Read and Edit, a few lines of prompt",
            bare=True,
            tools=None,
            withheld=(),
            # The models of such windows are small, and without it they do not find an end.
            added_prompt="Keep answers short.",
            room_tokens=4000,
            compacts_ahead=False,
            sizes={
                "2.1.332": FirstRequestSize(4_400, 1.15),
                "2.1.197": FirstRequestSize(4_100, 1.0),
            },
        ),
    )
}
"""Every profile by name, the widest first."""
