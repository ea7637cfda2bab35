"""Which of an agent's profiles a context window can hold. Pure.

An agent brings its profiles and its own arithmetic (`Sizing`); the search is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from autosre_lab.errors import WindowTooSmallError

__all__ = ["AgentProfile", "Sizing", "WindowFit", "choose_profile", "smallest_window"]

LARGEST_WINDOW_TRIED = 1 << 21


class AgentProfile(Protocol):
    """One way to start an agent, with more or fewer of its tools."""

    @property
    def name(self) -> str:
        """As in ``--profile``."""

    @property
    def summary(self) -> str:
        """What it is, for people."""


AnyProfile = TypeVar("AnyProfile", bound=AgentProfile)
TakenProfile = TypeVar("TakenProfile", bound=AgentProfile, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFit:
    """How a session fits a window.

    Attributes:
        window: Tokens the engine serves.
        output: Tokens of one answer at most.
        first_prompt: Tokens of the first request, before the user has said much.
        compaction: "ahead" where the agent watches the window itself, "refusal" where it
            compacts once a request was refused as too long.
        room: Tokens left to work with between the first prompt and compaction.
    """

    window: int
    output: int
    first_prompt: int
    compaction: Literal["ahead", "refusal"]
    room: int


class FitsWindow(Protocol[TakenProfile]):
    """An agent's own arithmetic."""

    def __call__(
        self, window: int, profile: TakenProfile, first_prompt: int, *, wish: int | None = None
    ) -> WindowFit | None:
        """Return how a profile fits a window, None where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing(Generic[AnyProfile]):
    """What the search for a profile must know of an agent.

    Attributes:
        agent: Its name, for people.
        profiles: Every profile by name, the widest first.
        fit: How a profile fits a window.
    """

    agent: str
    profiles: Mapping[str, AnyProfile]
    fit: FitsWindow[AnyProfile]


def smallest_window(
    sizing: Sizing[AnyProfile], profile: AnyProfile, first_prompt: int, *, wish: int | None = None
) -> int:
    """Return the smallest window, in whole 1024 tokens, in which a profile can work."""
    return next(
        window
        for window in range(1024, LARGEST_WINDOW_TRIED, 1024)
        if sizing.fit(window, profile, first_prompt, wish=wish)
    )


def choose_profile(
    sizing: Sizing[AnyProfile],
    window: int,
    measure: Callable[[AnyProfile], int],
    *,
    asked: str | None = None,
    widest: str = "full",
    wish: int | None = None,
) -> tuple[AnyProfile, WindowFit]:
    """Return the widest profile that fits, or the one that was asked for.

    Args:
        sizing: The agent's profiles and arithmetic.
        window: Tokens the engine serves.
        measure: Says how many tokens a profile's first prompt has.
        asked: A profile that a person named: it is taken or refused, never replaced.
        widest: Where the search starts: what the recipe recommends.
        wish: Longest answer wanted, in tokens.

    Raises:
        WindowTooSmallError: Neither fits; the message says which window would do.
    """
    names = list(sizing.profiles)
    candidates = [asked] if asked else names[names.index(widest) :]
    for name in candidates:
        profile = sizing.profiles[name]
        if fit := sizing.fit(window, profile, measure(profile), wish=wish):
            return profile, fit
    wanted = sizing.profiles[candidates[-1]]
    first_prompt = measure(wanted)
    needed = smallest_window(sizing, wanted, first_prompt, wish=wish)
    remedies = [
        f"serve a window of at least {needed} tokens (engine.args: max-model-len)",
        *(
            f"or take --profile {profile.name}: {profile.summary}"
            for profile in sizing.profiles.values()
            if profile is not wanted and sizing.fit(window, profile, measure(profile), wish=wish)
        ),
    ]
    raise WindowTooSmallError(
        f"a window of {window} tokens is too small for {sizing.agent}'s {wanted.name} profile: "
        f"its first prompt alone has {first_prompt}",
        remedy="; ".join(remedies),
    )
