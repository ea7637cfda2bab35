"""The same gate for servers that are ASGI applications: token, reach, largest body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from autosre_lab.serving.body import too_large
from autosre_lab.serving.key_limits import KeyLimits
from autosre_lab.serving.keys import ClientKey, KeyRing, check_client
from autosre_lab.serving.reach import Denial

__all__ = ["App", "guarded"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def guarded(
    app: App,
    *,
    token: str | None,
    keys: KeyRing | None = None,
    server: str = "mcp",
    origins: Collection[str] = (),
    max_body_bytes: int = 16 * 1024**2,
) -> App:
    """Return an application that answers whom `check_client` lets through, and refuses the others.

    Args:
        app: The application.
        token: What clients have to show; None serves loopback only.
        keys: Keys of single clients, each with its limits. A request is what is posted: a stream
            that only waits for what the server has to say counts for none.
        server: What a key has to be for.
        origins: Origins of web pages that may ask.
        max_body_bytes: Largest request body passed on.
    """
    limits = KeyLimits()

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            # The first of several counts for nothing: a gate and its server must not disagree.
            key = name.decode("latin-1").lower()
            headers[key] = value.decode("latin-1") if key not in headers else "\0"
        found = check_client(headers, token, keys, server=server, origins=origins)
        denial = found if isinstance(found, Denial) else None
        length = headers.get("content-length", "0")
        if denial is None and length.isdecimal() and int(length) > max_body_bytes:
            denial = too_large(max_body_bytes)
        key = found if isinstance(found, ClientKey) and scope.get("method") == "POST" else None
        if denial is None and key is not None:
            denial = limits.begin(key)
        if denial is None:
            try:
                await app(scope, _limited(receive, max_body_bytes), send)
            finally:
                if key is not None:
                    limits.end(key)
        elif scope["type"] == "http":
            await _refuse(send, denial)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": denial.message})

    return gate


def _limited(receive: Receive, limit: int) -> Receive:
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body") or b"")
        # A body without a length that goes on for ever ends for the application here.
        return {"type": "http.disconnect"} if size > limit else message

    return limited


async def _refuse(send: Send, denial: Denial) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if denial.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if denial.retry_after_s is not None:
        headers.append((b"retry-after", str(denial.retry_after_s).encode()))
    await send({"type": "http.response.start", "status": denial.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{denial.message}\n".encode()})
