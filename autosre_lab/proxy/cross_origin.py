"""Web pages that may ask: the answers by which a browser lets a listed origin through (CORS)."""

from __future__ import annotations

import re
from collections.abc import Collection

from aiohttp import web

__all__ = ["allow_page", "preflight"]

_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\- ,]{0,2000}")
_REMEMBERED_S = 600
_READABLE = "request-id, retry-after"


def preflight(request: web.BaseRequest, origins: Collection[str]) -> web.Response | None:
    """Answer a browser's question before a request; None where its page may not ask.

    A preflight carries no token, so none is asked for.
    """
    if request.headers.get("origin", "").lower() not in origins:
        return None
    headers = {
        "access-control-allow-methods": "GET, HEAD, POST, DELETE",
        "access-control-max-age": str(_REMEMBERED_S),
    }
    wanted = request.headers.get("access-control-request-headers", "")
    if wanted and _HEADER_NAMES.fullmatch(wanted):
        headers["access-control-allow-headers"] = wanted
    if request.headers.get("access-control-request-private-network") == "true":
        headers["access-control-allow-private-network"] = "true"
    return web.Response(status=204, headers=headers)


def allow_page(
    request: web.BaseRequest, response: web.StreamResponse, origins: Collection[str]
) -> None:
    """Let the page of a listed origin read an answer, errors included."""
    if not origins:
        return
    response.headers["vary"] = "origin"
    origin = request.headers.get("origin", "")
    if origin and origin.lower() in origins:
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = _READABLE
