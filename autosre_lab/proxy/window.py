"""Window arithmetic: what fits and what does not."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = [
    "Fit",
    "answer_floor",
    "fit",
    "is_overflow",
    "prompt_bound",
]

ANSWER_FLOOR_TOKENS = 3000
"""Below it an agent does better to compact first. Claude Code has the same floor."""

FLOOR_SHARE = 16
"""On small windows the floor is this part of the window instead: 512 tokens of 8,192."""

TEMPLATE_TOKENS_PER_MESSAGE = 32
TEMPLATE_TOKENS_PER_REQUEST = 512
"""What a chat template adds, generously: role marks per message, its own preamble per request."""

IMAGE_TOKENS = 16_384
"""The most that one image costs on the vision models that vLLM serves today."""

# vLLM's wordings from 0.16 to 0.32, matched on what they have in common.
_OVERFLOW = re.compile(
    r"maximum (?:context|model) length|max_model_len|context length|longer than the maximum"
    r"|input tokens.{0,80}exceed|prompt contains|passed \d+ input (?:tokens|characters)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the window leaves for the answer.

    Attributes:
        max_tokens: The answer's limit; never more than was asked for, None where nothing was.
        limited: It is less than was asked for, because the window ends there.
    """

    max_tokens: int | None
    limited: bool


def answer_floor(window: int, wanted: int | None) -> int:
    """Return the fewest tokens of answer that are worth starting for."""
    floor = min(ANSWER_FLOOR_TOKENS, window // FLOOR_SHARE)
    return max(1, floor if wanted is None else min(floor, wanted))


def fit(prompt_tokens: int, *, wanted: int | None, window: int) -> Fit | None:
    """Fit an answer behind a prompt.

    Args:
        prompt_tokens: The prompt's count, exact or an upper bound.
        wanted: The answer's length that the client asks for; None for as much as fits.
        window: The engine's `max_model_len`.

    Returns:
        The limit, or None if the prompt leaves less than the floor: the client has to compact.
    """
    room = window - prompt_tokens
    if room < answer_floor(window, wanted):
        return None
    if wanted is None:
        return Fit(max_tokens=None, limited=False)
    return Fit(max_tokens=min(wanted, room), limited=room < wanted)


def prompt_bound(text_bytes: int, *, messages: int, images: int = 0) -> int:
    """Return tokens that a prompt cannot exceed, without tokenizing it.

    Every tokenizer in use works on bytes in the end, so no text has more tokens than UTF-8 bytes;
    JSON's escapes only make `text_bytes` larger. What a template adds is counted generously.

    Args:
        text_bytes: Bytes of the encoded messages and tools, image data not included.
        messages: Number of chat messages.
        images: Number of images.
    """
    return (
        text_bytes
        + messages * TEMPLATE_TOKENS_PER_MESSAGE
        + images * IMAGE_TOKENS
        + TEMPLATE_TOKENS_PER_REQUEST
    )


def is_overflow(message: str) -> bool:
    """Whether an engine's 400 says that the prompt is too long for the window.

    Matched on what the wordings of several vLLM versions share; the numbers in them may be lower
    bounds or characters, so the caller counts for itself.
    """
    return _OVERFLOW.search(message) is not None
