"""How much of Claude Code is loaded: its prompt and tools alone cost thousands of tokens."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PROFILES", "Profile"]

WITHHELD_TOOLS = ("WebFetch", "WebSearch", "Workflow")
"""The web tools run on Anthropic's servers; against another model WebSearch *invents* its results.
Workflow's schema alone is 21 KB of every request."""


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
        interactive_factor: How much longer the first prompt is in an interactive session, which
            has more tools, than in one of a single question.
        recorded_bytes: Size of its first request with Claude Code 2.1.197, for estimates.
    """

    name: str
    summary: str
    bare: bool
    tools: tuple[str, ...] | None
    withheld: tuple[str, ...]
    added_prompt: str
    room_tokens: int
    compacts_ahead: bool
    interactive_factor: float
    recorded_bytes: int


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
            interactive_factor=1.25,
            recorded_bytes=53_000,
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
            interactive_factor=1.0,
            recorded_bytes=13_000,
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
            interactive_factor=1.0,
            recorded_bytes=4_100,
        ),
    )
}
"""Every profile by name, the widest first."""
