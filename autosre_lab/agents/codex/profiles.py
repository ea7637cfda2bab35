"""How much of Codex is loaded, and what a context window holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autosre_lab.agents.window import Sizing, WindowFit

__all__ = ["COMPACT_PERCENT", "PROFILES", "SIZING", "CodexProfile", "compacts_at", "estimate"]

COMPACT_PERCENT = 70
"""Codex compacts by what the last answer's counts say; the rest of the window is for one turn."""

BYTES_PER_TOKEN = 3
"""Fewer than any tokenizer we met needs for these prompts: an estimate is too high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodexProfile:
    """One way to start Codex.

    Attributes:
        name: As in ``--profile``.
        summary: What it is, for people.
        settings: Codex's configuration keys, TOML values.
        recorded_bytes: The first prompt's messages and tools as the engine gets them.
        room_tokens: What a session needs beyond its first prompt to get anywhere.
    """

    name: str
    summary: str
    settings: Mapping[str, str]
    recorded_bytes: int
    room_tokens: int


PROFILES = {
    profile.name: profile
    for profile in (
        CodexProfile(
            name="full",
            summary="all of Codex that needs no server of OpenAI's",
            settings={},
            recorded_bytes=21_000,
            room_tokens=8_000,
        ),
        CodexProfile(
            name="lean",
            summary="no subagents and no goals: five tools",
            settings={"agents.enabled": "false", "features.goals": "false"},
            recorded_bytes=11_000,
            room_tokens=1_500,
        ),
    )
}


def compacts_at(window: int) -> int:
    """Return the tokens at which a session is compacted."""
    return window * COMPACT_PERCENT // 100


def estimate(profile: CodexProfile) -> int:
    """Return an upper estimate of a profile's first prompt, in tokens."""
    return profile.recorded_bytes // BYTES_PER_TOKEN


def _fit(
    window: int, profile: CodexProfile, first_prompt: int, *, wish: int | None = None
) -> WindowFit | None:
    """Return how a profile fits a window; `wish` has no meaning here: Codex sets no limit."""
    room = compacts_at(window) - first_prompt
    if room < profile.room_tokens:
        return None
    return WindowFit(
        window=window,
        output=window - compacts_at(window),
        first_prompt=first_prompt,
        compaction="ahead",
        room=room,
    )


SIZING = Sizing(agent="Codex", profiles=PROFILES, fit=_fit)
"""What the search for a profile must know of Codex."""
