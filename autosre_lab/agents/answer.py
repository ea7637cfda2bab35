"""One question, one answer, and where its time and tokens went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an agent answered.

    Attributes:
        text: The answer.
        duration_s: Seconds from start to end, as the agent measured them.
        started_at: When its process was started, in seconds since the epoch.
        wall_s: Seconds its process took, its own start included.
        ttft_s: Seconds to the first token of the first request; None where it is not told.
        input_tokens: Tokens of all prompts together, those from the prefix cache included.
        cached_tokens: Those of `input_tokens` that came from the prefix cache.
        output_tokens: Tokens generated.
        session: The agent's name of the conversation, with which a later question goes on in it.
        is_error: Whether the agent calls its result an error; `text` then says which.
        raw: The agent's whole result.
    """

    text: str
    duration_s: float
    ttft_s: float | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    is_error: bool
    session: str = ""
    started_at: float
    wall_s: float
    raw: dict[str, Any] = field(repr=False)
