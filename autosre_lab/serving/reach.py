"""Who may reach a server: this machine, or whoever shows a token; no web page by itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from autosre_lab.errors import ConfigError
from autosre_lab.serving.token import shows_token

__all__ = ["Denial", "check_access", "check_reach", "host_name", "is_loopback", "read_origins"]


@dataclass(frozen=True, slots=True)
class Denial:
    """Why somebody is not served.

    Attributes:
        status: HTTP status.
        message: For a person.
        retry_after_s: Seconds after which it may be tried again; None where that does not help.
        of_key: The name of the client's key that is why; "" for none.
        code: The word for it that programs read, where the status alone does not say it.
    """

    status: int
    message: str
    retry_after_s: int | None = None
    of_key: str = ""
    code: str = ""


def is_loopback(host: str) -> bool:
    """Whether an address or name can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_reach(host: str, token: str | None, *, server: str, remedy: str) -> None:
    """Refuse to listen for everybody without a token.

    Args:
        host: The address to listen on.
        token: The token that clients have to show, if there is one.
        server: What would listen: "the proxy".
        remedy: How a token is given.

    Raises:
        ConfigError: The address is not loopback, and there is no token.
    """
    if not token and not is_loopback(host):
        raise ConfigError(
            f"{server} would listen on {host} for everybody, without a token",
            remedy=f"{remedy}, or listen on 127.0.0.1",
        )


def check_access(
    headers: Mapping[str, str], token: str | None, *, origins: Collection[str] = ()
) -> Denial | None:
    """Return why a request is refused, or None.

    A web page in this machine's browser could reach us by a name that it resolves to loopback, or
    by a request to another origin. Neither carries a loopback name in both `Host` and `Origin`. A
    page whose origin is listed is welcome; it needs the token where one is set.

    Args:
        headers: The request's headers, looked up by lower-case names.
        token: The token that is asked for, or None.
        origins: Origins of web pages that may ask; see `read_origins`.
    """
    origin = headers.get("origin", "")
    if origin and origin.lower() not in origins and not is_loopback(_hostname(origin) or ""):
        return Denial(403, f"web pages of {_shown(origin)} may not ask this server")
    if token is not None:
        return None if shows_token(headers, token) else Denial(401, "the token is missing or wrong")
    host = host_name(headers)
    if host is None:
        return Denial(400, "the Host header names no host")
    if not is_loopback(host):
        return Denial(403, f"without a token, requests to the host name {_shown(host)} are refused")
    return None


def host_name(headers: Mapping[str, str]) -> str | None:
    """Return the name in `Host`, "localhost" where there is none, None where it is no host."""
    text = headers.get("host", "localhost").strip()
    return _hostname(f"//{text}") if text else "localhost"


def read_origins(texts: Iterable[str]) -> frozenset[str]:
    """Check and normalise a list of origins.

    Args:
        texts: Each one origin like ``https://app.example:8443``, or several with commas between.

    Raises:
        ConfigError: One is no origin. ``*`` is none: whoever may ask is listed by name.
    """
    found = set()
    for text in (part.strip() for one in texts for part in one.replace(",", " ").split()):
        parts = _split(text)
        if (
            parts is None
            or not parts.hostname
            or not parts.scheme
            or "*" in text
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            raise ConfigError(
                f"{text!r} is no origin of a web page",
                remedy="write scheme, host and port like https://app.example:8443; there is no "
                "wildcard",
            )
        found.add(text.rstrip("/").lower())
    return frozenset(found)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _hostname(url: str) -> str | None:
    parts = _split(url)
    return parts.hostname if parts is not None else None


def _shown(text: str) -> str:
    return text[:100].encode("ascii", "replace").decode("ascii")
