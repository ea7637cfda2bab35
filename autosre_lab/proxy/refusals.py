"""Why a request is not answered, said without any API's words: a dialect gives it its form.

A refusal's status is HTTP's own; a dialect may know a better one for its client (Anthropic's 529).
While no byte of an answer went out, whatever died on the engine's side is a 503 with
`retry-after`: every client tries that again, and the next try finds what took its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec

from autosre_lab.errors import AutosreError
from autosre_lab.proxy.priority import RequestKind
from autosre_lab.serving.reach import Denial

__all__ = [
    "BadRequestError",
    "EngineBrokeError",
    "Overflow",
    "Refusal",
    "RefusalKind",
    "Refused",
    "bad_request",
    "broken_stream",
    "closing",
    "engine_down",
    "engine_message",
    "engine_refused",
    "forbidden",
    "full",
    "lacks_tool_parser",
    "method_not_allowed",
    "not_found",
    "overflow",
    "refusal_of_key",
    "refusal_of_status",
    "retry_after",
    "said_in",
    "too_large",
    "unauthenticated",
    "unexpected",
]

RETRY_AFTER_S = 2
"""Seconds a client is asked to wait for an engine that is down, full or restarting."""

_MESSAGE_CHARS = 2000
_MOST_ERRORS = 8

_GONE = frozenset({408, 425, 502, 503, 504, *range(520, 528), 530})
"""Statuses by which an engine, or a gateway in front, says that the next try may find it."""

RefusalKind = Literal[
    "invalid",
    "overflow",
    "unauthenticated",
    "key",
    "engine_key",
    "forbidden",
    "not_found",
    "method",
    "too_large",
    "busy",
    "shed",
    "unavailable",
    "closing",
    "failed",
]
"""What kind of refusal it is.

`invalid`, `overflow` and `too_large`: the request itself; `busy`: wait, `shed`: not worth waiting
for; `unavailable`: nobody answers behind us, or it broke off; `closing`: this proxy ends; `failed`:
the engine or we made a mistake that may happen again; `engine_key`: the engine refuses our key;
`key`: the key that the client showed has ended.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """A prompt that leaves no room for an answer; tokens.

    Attributes:
        prompt: The prompt's exact count.
        window: The engine's window.
        wanted: The answer's length that was asked for.
    """

    prompt: int
    window: int
    wanted: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error answer without a form: HTTP status, kind, message for a person, extra headers.

    `code` is the API's own word for it, where the kind alone does not give it.
    """

    status: int
    kind: RefusalKind
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    overflow: Overflow | None = None
    code: str = ""


class Refused(Exception):  # noqa: N818 - an outcome that the client is told, not a fault of ours
    """The request cannot be answered; carries what the client is told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class EngineBrokeError(Refused):
    """The engine went away, or broke off its answer: it may be asked again."""


class BadRequestError(AutosreError, ValueError):
    """The request is not one that the client's API would take. Answered with a 400.

    Attributes:
        message: What is wrong, and where in the body.
        code: The API's own word for it; "" where it has none.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message, remedy="correct the request; the API's reference has its form")
        self.code = code


def bad_request(message: str, code: str = "") -> Refusal:
    """The request itself is at fault; sending it again does not help."""
    return Refusal(status=400, kind="invalid", message=message, code=code)


def overflow(prompt: int, *, window: int, wanted: int | None) -> Refusal:
    """The prompt leaves no room for an answer; tokens."""
    return Refusal(
        status=400,
        kind="overflow",
        message=f"the prompt has {prompt} tokens; the model's context window holds {window}",
        overflow=Overflow(prompt=prompt, window=window, wanted=wanted),
    )


def unauthenticated() -> Refusal:
    """No token, or the wrong one."""
    return Refusal(
        status=401, kind="unauthenticated", message="this proxy wants its token, as a bearer token"
    )


def forbidden(message: str) -> Refusal:
    """A web page, or a name that is not this machine's, asks."""
    return Refusal(status=403, kind="forbidden", message=message)


def not_found(path: str) -> Refusal:
    """No such route or model."""
    return Refusal(status=404, kind="not_found", message=f"there is no {path} here")


def method_not_allowed(method: str, path: str) -> Refusal:
    """The route exists, for another method."""
    return Refusal(status=405, kind="method", message=f"{path} does not take {method}")


def too_large(limit_bytes: int) -> Refusal:
    """The body is larger than we take."""
    return Refusal(
        status=413,
        kind="too_large",
        message=f"the request is larger than {limit_bytes // 1024**2} MB",
    )


def full(kind: RequestKind, running: int) -> Refusal:
    """Too many requests run already; what nobody waits for is dropped."""
    return _crowded(kind, f"{running} requests are running, which is this proxy's limit")


def engine_down(url: str, reason: str) -> Refusal:
    """Nobody answers at the engine's address: it restarts, or it is gone."""
    return Refusal(
        status=503,
        kind="unavailable",
        message=f"the engine at {url} does not answer ({reason}); `autosre status` says why",
        headers=_WAIT,
    )


def closing() -> Refusal:
    """This proxy ends; a client that tries again finds the next one."""
    return Refusal(status=503, kind="closing", message="the proxy is shutting down", headers=_WAIT)


def broken_stream(reason: str) -> Refusal:
    """The engine ended its answer in the middle, or before it."""
    return Refusal(
        status=503,
        kind="unavailable",
        message=f"the engine broke off its answer: {reason}",
        headers=_WAIT,
    )


def unexpected(kind: str) -> Refusal:
    """A mistake of ours; the log has the trace."""
    return Refusal(
        status=500, kind="failed", message=f"the proxy failed ({kind}); its log has the trace"
    )


def engine_message(body: bytes) -> str:
    """Return the message inside vLLM's error body, whichever of its shapes it has."""
    text = body.decode("utf-8", "replace").strip()
    try:
        content: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text[:_MESSAGE_CHARS]
    return (said_in(content) or text)[:_MESSAGE_CHARS]


def said_in(content: object) -> str:
    """Return what an engine's error says, whichever of the known shapes it has; "" for nothing.

    Args:
        content: Decoded JSON: vLLM's and OpenAI's `error`, FastAPI's `detail`, and what the servers
            in front of engines make of them.
    """
    if isinstance(content, list):
        return "; ".join(filter(None, map(said_in, content[:_MOST_ERRORS])))
    if not isinstance(content, dict):
        return content if isinstance(content, str) else ""
    names = ["message", "detail", "msg", "error_message", "errors", "error"]
    if isinstance(content.get("error"), (dict, list)):
        names.insert(0, "error")
    said = next(filter(None, (said_in(content.get(name)) for name in names)), "")
    where = content.get("loc")
    return f"{'.'.join(map(str, where))}: {said}" if said and isinstance(where, list) else said


def engine_refused(
    status: int, message: str, headers: Mapping[str, str], kind: RequestKind
) -> Refusal:
    """Judge an error answer of the engine.

    Args:
        status: The engine's HTTP status.
        message: What it says; see `engine_message`.
        headers: Its headers; `retry-after` is passed on.
        kind: What the request was for.
    """
    message = message or f"the engine answered {status}"
    wait = {"retry-after": retry_after(headers.get("retry-after"))}
    if status in (429, 529) or (status == 503 and kind == "background"):
        return _crowded(kind, message, wait)
    if status in _GONE or (status >= 500 and _died(message)):
        return Refusal(status=503, kind="unavailable", message=message, headers=wait)
    if status in (401, 403):
        return _key_refused(status)
    if status == 404:
        # Another model is served by now; the next try is made with its name.
        return Refusal(status=503, kind="unavailable", message=message, headers=wait)
    if 300 <= status < 400:
        return _redirected(status)
    if status == 413:
        return Refusal(status=413, kind="too_large", message=message)
    if 400 <= status < 500:
        return bad_request(message)
    return Refusal(status=500, kind="failed", message=message)


def lacks_tool_parser(message: str) -> bool:
    """Whether an engine's 400 says that it was started without a parser for calls of tools."""
    return "--tool-call-parser" in message or "--enable-auto-tool-choice" in message


def refusal_of_status(status: int, message: str) -> Refusal:
    """Return the refusal for what HTTP itself, or a gate before us, has a status for."""
    kinds: dict[int, RefusalKind] = {
        401: "unauthenticated",
        403: "forbidden",
        404: "not_found",
        405: "method",
        413: "too_large",
    }
    usual: RefusalKind = "invalid" if 400 <= status < 500 else "failed"
    return Refusal(status=status, kind=kinds.get(status, usual), message=message)


def refusal_of_key(denial: Denial) -> Refusal:
    """Return the refusal for what a client's key does not let it do."""
    kinds: dict[int, RefusalKind] = {
        401: "key",
        403: "forbidden",
        429: "busy",
        503: "unavailable",
    }
    wait = denial.retry_after_s
    return Refusal(
        status=denial.status,
        kind=kinds[denial.status],
        message=denial.message,
        headers={} if wait is None else {"retry-after": str(wait)},
        code=denial.code,
    )


def retry_after(value: str | None) -> str:
    """Return what a server wrote into `retry-after` if it is that header's form, else our own."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return text
    try:
        if text.isascii() and text.isprintable() and parsedate_to_datetime(text):
            return text
    except (ValueError, TypeError):
        pass
    return str(RETRY_AFTER_S)


_WAIT: Mapping[str, str] = {"retry-after": str(RETRY_AFTER_S)}


def _crowded(kind: RequestKind, message: str, wait: Mapping[str, str] = _WAIT) -> Refusal:
    if kind == "background":
        return Refusal(status=503, kind="shed", message=message)
    return Refusal(status=429, kind="busy", message=message, headers=wait)


def _died(message: str) -> bool:
    # vLLM's own words for requests that its core process took down with it.
    return "EngineCore" in message or "EngineDead" in message


def _key_refused(status: int) -> Refusal:
    return Refusal(
        status=401,
        kind="engine_key",
        message=f"the engine wants an API key, and answered {status} to this proxy: start the "
        "proxy with the engine's key in AUTOSRE_ENGINE_KEY, or in a file given by "
        "--engine-key-file",
    )


def _redirected(status: int) -> Refusal:
    return Refusal(
        status=503,
        kind="unavailable",
        message=f"the engine's address answers with a redirect ({status}), which is not followed; "
        "start the proxy with the engine's own address",
        headers=_WAIT,
    )
