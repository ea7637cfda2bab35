"""Refusals as OpenAI's errors, in the form that makes Codex do the right thing.

Measured with Codex 0.171: a 400 ends the turn after one request, a 429 without `retry-after` too; a
429 or 503 with it is waited for; a bare 5xx costs up to 30 requests. So what will fail again is a
400, and what may pass is told with a time to wait.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autosre_lab.proxy.refusals import Refusal, RefusalKind

__all__ = ["error_body", "error_message", "error_status", "error_type", "failure_code"]

_TYPES: Mapping[RefusalKind, str] = {
    "invalid": "invalid_request_error",
    "overflow": "invalid_request_error",
    "unauthenticated": "authentication_error",
    "key": "authentication_error",
    "engine_key": "authentication_error",
    "forbidden": "permission_error",
    "not_found": "not_found_error",
    "method": "invalid_request_error",
    "too_large": "invalid_request_error",
    "busy": "rate_limit_error",
    "shed": "rate_limit_error",
    "unavailable": "server_error",
    "closing": "server_error",
    "failed": "server_error",
}

_CODES: Mapping[RefusalKind, str] = {
    "overflow": "context_length_exceeded",
    "unauthenticated": "invalid_api_key",
    "key": "invalid_api_key",
    "busy": "rate_limit_exceeded",
    "shed": "rate_limit_exceeded",
}

_STATUSES: Mapping[RefusalKind, int] = {"shed": 429, "failed": 400}

_WANTS_KEY = (
    "this proxy wants its token, as the API key: start Codex with `autosre codex`, which sets it"
)


def error_type(refusal: Refusal) -> str:
    """Return OpenAI's error type."""
    return _TYPES[refusal.kind]


def error_status(refusal: Refusal) -> int:
    """Return the HTTP status that makes the client do the right thing."""
    return _STATUSES.get(refusal.kind, refusal.status)


def failure_code(refusal: Refusal) -> str:
    """Return the code of a `response.failed`; `server_error` is tried again."""
    return _CODES.get(refusal.kind, "server_error")


def error_message(refusal: Refusal) -> str:
    """Return what the client is told."""
    overflow = refusal.overflow
    if overflow is not None:
        return (
            f"This model's maximum context length is {overflow.window} tokens, and the input has "
            f"{overflow.prompt}. Shorten it, or let the conversation be compacted."
        )
    return _WANTS_KEY if refusal.kind == "unauthenticated" else refusal.message


def error_body(refusal: Refusal) -> bytes:
    """Return OpenAI's error object as JSON."""
    return msgspec.json.encode(
        {
            "error": {
                "message": error_message(refusal),
                "type": error_type(refusal),
                "param": None,
                "code": refusal.code or _CODES.get(refusal.kind),
            }
        }
    )
