"""Who may ask: a token where one is set, and nobody from the web where none is."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from autosre_lab.proxy.config import is_loopback
from autosre_lab.proxy.failures import Failure, forbidden, unauthenticated

__all__ = ["check_access"]


def check_access(headers: Mapping[str, str], token: str | None) -> Failure | None:
    """Return why a request is refused, or None.

    Without a token only loopback is served, and then a web page in this machine's browser could
    still reach us, by a name that it resolves to loopback or by a cross-origin request. Neither
    carries a loopback name in both `Host` and `Origin`.

    Args:
        headers: The request's headers, case-insensitive.
        token: The token that is asked for, or None.
    """
    if token is not None:
        return None if _shows(headers, token) else unauthenticated()
    host = urlsplit(f"//{headers.get('host', 'localhost')}").hostname or "localhost"
    if not is_loopback(host):
        return forbidden(f"the host name {host}")
    origin = headers.get("origin")
    if origin and not is_loopback(urlsplit(origin).hostname or ""):
        return forbidden(f"a web page of {origin}")
    return None


def _shows(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    bearer = credentials.strip() if scheme.lower() == "bearer" else ""
    shown = (bearer, headers.get("x-api-key", ""))
    wanted = token.encode()
    return any(hmac.compare_digest(one.encode("utf-8", "replace"), wanted) for one in shown)
