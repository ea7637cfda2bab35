"""What went wrong, as the Anthropic error that makes the client do the right thing.

The statuses are those of the gateway contract that Claude Code documents
(https://code.claude.com/docs/en/llm-gateway-protocol): 4xx ends or changes the request, 429 waits
for `retry-after`, 503 and 529 are tried again with growing pauses (529 not by background requests),
an `error` event inside a stream makes the client send the request again without streaming.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from autosre_lab.proxy.priority import RequestKind

__all__ = [
    "Failure",
    "bad_request",
    "broken_stream",
    "engine_down",
    "engine_message",
    "engine_refused",
    "error_body",
    "forbidden",
    "full",
    "method_not_allowed",
    "not_found",
    "shutting_down",
    "too_large",
    "unauthenticated",
    "unexpected",
]

RETRY_AFTER_S = 2
"""Seconds a client is asked to wait for an engine that is down, full or restarting."""

_MESSAGE_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error answer: HTTP status, Anthropic error type, message for a person, extra headers."""

    status: int
    type: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


def error_body(failure: Failure, request_id: str) -> bytes:
    """Return Anthropic's error object as JSON."""
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {"type": failure.type, "message": failure.message},
            "request_id": request_id,
        }
    )


def bad_request(message: str) -> Failure:
    """The request itself is at fault; sending it again does not help."""
    return Failure(status=400, type="invalid_request_error", message=message)


def unauthenticated() -> Failure:
    """No token, or the wrong one."""
    return Failure(
        status=401,
        type="authentication_error",
        message="this proxy wants its token: set ANTHROPIC_AUTH_TOKEN to it, or start Claude Code "
        "with `python -m autosre_lab.claude`, which does",
    )


def forbidden(what: str) -> Failure:
    """A web page, or a name that is not this machine's, asks a proxy without a token."""
    return Failure(
        status=403,
        type="permission_error",
        message=f"{what} is not allowed without a token; start the proxy with AUTOSRE_PROXY_TOKEN "
        "set to serve it",
    )


def not_found(path: str) -> Failure:
    """No such route or model."""
    return Failure(status=404, type="not_found_error", message=f"there is no {path} here")


def method_not_allowed(method: str, path: str) -> Failure:
    """The route exists, for another method."""
    return Failure(
        status=405, type="invalid_request_error", message=f"{path} does not take {method}"
    )


def too_large(limit_bytes: int) -> Failure:
    """The body is larger than we take."""
    return Failure(
        status=413,
        type="request_too_large",
        message=f"the request is larger than {limit_bytes // 1024**2} MB",
    )


def full(kind: RequestKind, running: int) -> Failure:
    """Too many requests run already. Claude Code drops background requests on a 529 by itself."""
    message = f"{running} requests are running, which is this proxy's limit"
    if kind == "background":
        return Failure(status=529, type="overloaded_error", message=message)
    return Failure(
        status=429,
        type="rate_limit_error",
        message=message,
        headers={"retry-after": str(RETRY_AFTER_S)},
    )


def engine_down(url: str, reason: str) -> Failure:
    """Nobody answers at the engine's address: it restarts, or it is gone."""
    return Failure(
        status=503,
        type="api_error",
        message=f"the engine at {url} does not answer ({reason}); `autosre status` says why",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )


def shutting_down() -> Failure:
    """This proxy ends; a client that tries again finds the next one."""
    return Failure(
        status=503,
        type="overloaded_error",
        message="the proxy is shutting down",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )


def broken_stream(reason: str) -> Failure:
    """The engine ended its answer in the middle."""
    return Failure(
        status=502, type="api_error", message=f"the engine broke off its answer: {reason}"
    )


def unexpected(kind: str) -> Failure:
    """A mistake of ours; the log has the trace."""
    return Failure(
        status=500, type="api_error", message=f"the proxy failed ({kind}); its log has the trace"
    )


def engine_message(body: bytes) -> str:
    """Return the message inside vLLM's error body, whichever of its shapes it has."""
    text = body.decode("utf-8", "replace").strip()
    try:
        content: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text[:_MESSAGE_CHARS]
    if isinstance(content, dict):
        for found in (content.get("error"), content):
            if isinstance(found, dict):
                message = found.get("message") or found.get("detail")
                if message:
                    return str(message)[:_MESSAGE_CHARS]
            elif isinstance(found, str):
                return found[:_MESSAGE_CHARS]
    return text[:_MESSAGE_CHARS]


def engine_refused(
    status: int, body: bytes, headers: Mapping[str, str], kind: RequestKind
) -> Failure:
    """Translate an error answer of the engine.

    Args:
        status: The engine's HTTP status.
        body: Its body.
        headers: Its headers; `retry-after` is passed on.
        kind: What the request was for.
    """
    message = engine_message(body) or f"the engine answered {status}"
    wait = {"retry-after": headers.get("retry-after") or str(RETRY_AFTER_S)}
    if status in (429, 529) or (status == 503 and kind == "background"):
        if kind == "background":
            return Failure(status=529, type="overloaded_error", message=message)
        return Failure(status=429, type="rate_limit_error", message=message, headers=wait)
    if status in (502, 503, 504):
        return Failure(status=503, type="api_error", message=message, headers=wait)
    if status in (401, 403):
        message = f"the engine refuses this proxy: {message}"
        return Failure(status=500, type="api_error", message=message)
    if status == 404:
        # Another model is served by now; the next try is made with its name.
        return Failure(status=503, type="api_error", message=message, headers=wait)
    if status == 413:
        return Failure(status=413, type="request_too_large", message=message)
    if 400 <= status < 500:
        return bad_request(message)
    return Failure(status=500, type="api_error", message=message)
