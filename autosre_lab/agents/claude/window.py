"""What fits into a context window: Claude Code's own arithmetic.

Claude Code compacts ahead of the limit at ``window - min(output, 20000) - 13000`` (2.1.197 and
2.1.332). Below some 24k tokens that is less than the first prompt, and it would compact on every
turn; 2.1.332 ends the session after three. There it is told its window but not to watch it, and
compacts when the proxy says "prompt is too long". 2.1.197 watches a window only with
``CLAUDE_CODE_AUTO_COMPACT_WINDOW`` set as well, 2.1.332 wherever it is told one, unless
``CLAUDE_CODE_DISABLE_UNKNOWN_MODEL_WINDOW_ENFORCEMENT`` is set.
"""

from __future__ import annotations

from collections.abc import Sequence

from autosre_lab.agents.claude.profiles import PROFILES, Profile
from autosre_lab.agents.window import Sizing, WindowFit
from autosre_lab.errors import ConfigError

__all__ = ["SIZING", "check_permission_mode", "compacts_at", "fit_window", "output_tokens"]

COMPACTION_RESERVE = 13_000
OUTPUT_RESERVE_CAP = 20_000
ROOM_AHEAD = 8_000
LARGEST_OUTPUT = 16_384
PERMISSION_CHECK = 50_000
"""Tokens of a permission check and its answer, from above: 2.1.332's has 144,586 bytes."""
LARGEST_OUTPUT_WISHED = 32_000
"""Claude Code reserves 33,000 tokens at most, so a longer answer would outgrow the window."""


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


def check_permission_mode(mode: Sequence[str], window: int) -> None:
    """Refuse to have commands judged by the model where the question does not fit.

    Claude Code takes the proxy's refusal for a full conversation, compacts it, asks again, and
    ends the session after four.

    Args:
        mode: What ``--permission-mode`` names.
        window: Tokens the engine serves.

    Raises:
        ConfigError: It is auto, and the window is too small.
    """
    if "auto" in mode and window < PERMISSION_CHECK:
        raise ConfigError(
            f"--permission-mode auto asks the model {PERMISSION_CHECK} tokens before a command, "
            f"and the window has {window}",
            remedy="leave it out: a person is asked then; or name --permission-mode acceptEdits, "
            "or a window that holds it",
        )


SIZING = Sizing(agent="Claude Code", profiles=PROFILES, fit=fit_window)
"""What the search for a profile must know of Claude Code."""
