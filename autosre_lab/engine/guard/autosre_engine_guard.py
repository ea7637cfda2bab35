"""Asks for the engine's key on every route of vLLM's server but those that only tell its state.

vLLM itself guards `/v1` and a few more, and leaves `/invocations` open, which generates as well:
any local user, or a web page that resolves its own name to loopback, could drive the engine past
the proxy. Given to vLLM with ``--middleware``; it needs the standard library alone.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

__all__ = ["EngineGuard"]

OPEN = frozenset({"/health", "/metrics", "/version", "/ping", "/tokenize"})
"""Routes that generate nothing and change nothing."""

App = Callable[[Any, Any, Any], Awaitable[None]]


class EngineGuard:
    """An ASGI middleware.

    Args:
        app: vLLM's application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._wanted = b"Bearer " + os.environ.get("VLLM_API_KEY", "").encode()

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Pass on what shows the key or needs none, and refuse everything else."""
        kind = scope["type"]
        if kind not in ("http", "websocket") or self._may(scope):
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            start: MutableMapping[str, Any] = {
                "type": "http.response.start",
                "status": 401,
                "headers": [(b"content-type", b"application/json")],
            }
            await send(start)
            await send({"type": "http.response.body", "body": b'{"error":"Unauthorized"}'})

    def _may(self, scope: Mapping[str, Any]) -> bool:
        if scope["path"] in OPEN:
            return True
        shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(shown, self._wanted)
