"""Refusals as Anthropic's errors, in the form that makes the client do the right thing.

The statuses are those of the gateway contract that Claude Code documents
(https://code.claude.com/docs/en/llm-gateway-protocol): 4xx ends or changes the request, 429 waits
for `retry-after`, 503 and 529 are tried again with growing pauses (529 not by background requests).
An `error` event inside a stream makes Claude Code send the request again without streaming, unless
a content block has been closed by then: what was shown cannot be taken back, and the turn ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from autosre_lab.proxy.refusals import Overflow, Refusal, RefusalKind
from autosre_lab.proxy.window import answer_floor

__all__ = ["error_body", "error_message", "error_status", "error_type", "overflow_message"]

_TYPES: Mapping[RefusalKind, str] = {
    "invalid": "invalid_request_error",
    "overflow": "invalid_request_error",
    "unauthenticated": "authentication_error",
    "key": "authentication_error",
    "engine_key": "authentication_error",
    "forbidden": "permission_error",
    "not_found": "not_found_error",
    "method": "invalid_request_error",
    "too_large": "request_too_large",
    "busy": "rate_limit_error",
    "shed": "overloaded_error",
    "unavailable": "api_error",
    "closing": "overloaded_error",
    "failed": "api_error",
}

# pydantic's words for vLLM's `stop`, which is the client's `stop_sequences`.
_TOO_MANY_STOPS = re.compile(r"\bstop\b.{0,200}?at most (\d+) item", re.DOTALL)

_OVERLOADED = 529
"""Claude Code drops background requests on it, and does not try them again."""

_ASKS_TO_SHOW_IT = (
    "this proxy wants its token: set ANTHROPIC_AUTH_TOKEN to it, or start Claude Code with "
    "`autosre claude`, which does"
)


def error_type(refusal: Refusal) -> str:
    """Return Anthropic's error type."""
    return _TYPES[refusal.kind]


def error_status(refusal: Refusal) -> int:
    """Return the HTTP status that Anthropic's clients know."""
    return _OVERLOADED if refusal.kind == "shed" else refusal.status


def error_message(refusal: Refusal) -> str:
    """Return what the client is told."""
    if refusal.overflow is not None:
        return overflow_message(refusal.overflow)
    if refusal.kind == "unauthenticated":
        return _ASKS_TO_SHOW_IT
    too_many = _TOO_MANY_STOPS.search(refusal.message) if refusal.kind == "invalid" else None
    if too_many is not None:
        return (
            f"stop_sequences: the engine takes at most {too_many[1]}; start it with "
            "VLLM_MAX_STOP_STRINGS set to more, or send fewer"
        )
    return refusal.message


def error_body(refusal: Refusal, request_id: str) -> bytes:
    """Return Anthropic's error object as JSON."""
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {"type": error_type(refusal), "message": error_message(refusal)},
            "request_id": request_id,
        }
    )


def overflow_message(overflow: Overflow) -> str:
    r"""Return the one sentence that makes Claude Code compact and go on.

    Its pattern is ``prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)``, and it decides by
    the difference how much to drop. So where the prompt itself still fits and only the floor for
    the answer is missing, the maximum named is what a prompt may have.
    """
    window = overflow.window
    floor = 0 if overflow.prompt > window else answer_floor(window, overflow.wanted)
    return f"prompt is too long: {overflow.prompt} tokens > {window - floor} maximum"
