"""What fits into a context window: Claude Code's own arithmetic, and which profile that allows.

Claude Code 2.1.197 compacts ahead of the limit at ``window - min(output, 20000) - 13000``. Below
some 24k tokens that is less than the first prompt, and it would compact on every turn. There it is
told its window but not to watch it, and compacts when the proxy says "prompt is too long".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from autosre_lab.agents.claude.profiles import PROFILES, Profile
from autosre_lab.errors import WindowTooSmallError

__all__ = [
    "WindowFit",
    "choose_profile",
    "compacts_at",
    "fit_window",
    "output_tokens",
    "smallest_window",
]

COMPACTION_RESERVE = 13_000
OUTPUT_RESERVE_CAP = 20_000
ROOM_AHEAD = 8_000
LARGEST_OUTPUT = 16_384
LARGEST_OUTPUT_WISHED = 32_000
"""Claude Code reserves 33,000 tokens at most, so a longer answer would outgrow the window."""
LARGEST_WINDOW_TRIED = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFit:
    """How a session fits a window.

    Attributes:
        window: Tokens the engine serves.
        output: Tokens of one answer at most.
        first_prompt: Tokens of the first request, before the user has said much.
        compaction: "ahead" where Claude Code watches the window itself, "refusal" where it
            compacts once a request was refused as too long.
        room: Tokens left to work with between the first prompt and compaction.
    """

    window: int
    output: int
    first_prompt: int
    compaction: Literal["ahead", "refusal"]
    room: int


def output_tokens(window: int, wish: int | None = None) -> int:
    """Return the longest answer to allow: an eighth of the window, at most 16,384.

    Args:
        window: Tokens the engine serves.
        wish: What a recipe asks for; it may be more than an eighth, at most half of the window
            and 32,000.
    """
    if wish is not None and wish > 0:
        return max(1, min(wish, window // 2, LARGEST_OUTPUT_WISHED))
    return max(1, min(window // 8, LARGEST_OUTPUT))


def compacts_at(window: int, output: int) -> int:
    """Return the prompt size at which Claude Code compacts by itself; may be negative."""
    return window - min(output, OUTPUT_RESERVE_CAP) - COMPACTION_RESERVE


def fit_window(
    window: int, profile: Profile, first_prompt: int, *, wish: int | None = None
) -> WindowFit | None:
    """Return how a profile fits a window, None where it does not."""
    output = output_tokens(window, wish)
    ahead = compacts_at(window, output) - first_prompt
    if ahead >= ROOM_AHEAD:
        return WindowFit(
            window=window,
            output=output,
            first_prompt=first_prompt,
            compaction="ahead",
            room=ahead,
        )
    room = window - output - first_prompt
    if profile.compacts_ahead or room < profile.room_tokens:
        return None
    return WindowFit(
        window=window, output=output, first_prompt=first_prompt, compaction="refusal", room=room
    )


def smallest_window(profile: Profile, first_prompt: int, *, wish: int | None = None) -> int:
    """Return the smallest window, in whole 1024 tokens, in which a profile can work."""
    return next(
        window
        for window in range(1024, LARGEST_WINDOW_TRIED, 1024)
        if fit_window(window, profile, first_prompt, wish=wish)
    )


def choose_profile(
    window: int,
    measure: Callable[[Profile], int],
    *,
    asked: str | None = None,
    widest: str = "full",
    wish: int | None = None,
) -> tuple[Profile, WindowFit]:
    """Return the widest profile that fits, or the one that was asked for.

    Args:
        window: Tokens the engine serves.
        measure: Says how many tokens a profile's first prompt has.
        asked: A profile that a person named: it is taken or refused, never replaced.
        widest: Where the search starts: what the recipe recommends.
        wish: Longest answer wanted, in tokens.

    Raises:
        WindowTooSmallError: Neither fits; the message says which window would do.
    """
    names = list(PROFILES)
    candidates = [asked] if asked else names[names.index(widest) :]
    for name in candidates:
        fit = fit_window(window, PROFILES[name], measure(PROFILES[name]), wish=wish)
        if fit:
            return PROFILES[name], fit
    wanted = PROFILES[candidates[-1]]
    first_prompt = measure(wanted)
    needed = smallest_window(wanted, first_prompt, wish=wish)
    remedies = [
        f"serve a window of at least {needed} tokens (engine.args: max-model-len)",
        *(
            f"or take --profile {profile.name}: {profile.summary}"
            for profile in PROFILES.values()
            if profile is not wanted and fit_window(window, profile, measure(profile), wish=wish)
        ),
    ]
    raise WindowTooSmallError(
        f"a window of {window} tokens is too small for Claude Code's {wanted.name} profile: "
        f"its first prompt alone has {first_prompt}",
        remedy="; ".join(remedies),
    )
