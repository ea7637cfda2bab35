"""The one guard in front of everything that fetches: which URLs may be asked for, and where.

A URL is parsed once and rewritten, its host is resolved once, and every address is judged.
Whoever fetches connects to the addresses in the `CheckedUrl` and to nothing else: a name that
answers differently a moment later (DNS rebinding) then changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from urllib.parse import quote, urlsplit

from autosre_lab.errors import BlockedError, FetchError
from autosre_lab.web.addresses import IPAddress, judge_address, never_reason, parse_address
from autosre_lab.web.allow_list import DEFAULT_PORTS, AllowList

__all__ = ["AddressGuard", "CheckedUrl", "Resolver", "resolve_with_system", "shown_url"]

Resolver = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host, as text; raises OSError where there are none."""

SCHEME_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 8192
SHOWN_URL = 200

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOOPBACK = ("127.0.0.1", "::1")

_USE_PUBLIC = "use a public http or https address"
_ALLOW = "if it is meant, the person who runs this opens it: AUTOSRE_FETCH_ALLOW={}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUrl:
    """A URL that may be fetched, and where it has to be fetched from.

    Attributes:
        url: The URL rewritten: host in ASCII, no user, no fragment.
        scheme: ``http`` or ``https``.
        host: The host in ASCII and small letters, without a trailing dot; an IPv6 address
            without brackets.
        port: The port, also where the URL has none.
        addresses: Every address of the host, all of them judged; connect to these only.
    """

    url: str
    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials belong to."""
        return self.scheme, self.host, self.port


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    scheme: str
    host: str
    port: int
    rest: str


def resolve_with_system(host: str, port: int) -> list[str]:
    """Return the addresses that this machine's resolver has for a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class AddressGuard:
    """Judges URLs before they are fetched.

    Args:
        allow: What may be fetched besides the public internet.
        resolve: Looks a host up; the machine's own resolver when not given.
    """

    def __init__(
        self, *, allow: AllowList | None = None, resolve: Resolver = resolve_with_system
    ) -> None:
        self._allow = allow or AllowList()
        self._resolve = resolve

    def check(self, url: str) -> CheckedUrl:
        """Parse a URL, resolve its host and judge every address. Blocks while it resolves.

        Raises:
            BlockedError: The URL must not be fetched; it says why.
            FetchError: The host has no address.
        """
        return self.check_addresses(url, self._addresses(self._split(url), url))

    async def check_async(self, url: str) -> CheckedUrl:
        """Do the same, with the look-up in a thread; raises as `check` does."""
        split = self._split(url)
        return self.check_addresses(url, await asyncio.to_thread(self._addresses, split, url))

    def check_addresses(self, url: str, addresses: Sequence[str]) -> CheckedUrl:
        """Judge a URL whose host was resolved elsewhere, for example by a browser's own network.

        Raises:
            BlockedError: The URL must not be fetched from these addresses.
        """
        split = self._split(url)
        known = [_parsed(address, url) for address in addresses]
        where = f"{_bracketed(split.host)}:{split.port}"
        for address in known:
            if reason := never_reason(address):
                raise _blocked(url, f"{_named(split.host, address)} is {reason}", _USE_PUBLIC)
        if not self._allow.opens(split.host, split.port, known):
            for address in known:
                if reason := judge_address(address):
                    why = f"{_named(split.host, address)} is {reason}, not a public one"
                    raise _blocked(url, why, f"{_USE_PUBLIC}; {_ALLOW.format(where)}")
            if split.port not in DEFAULT_PORTS:
                raise _bad_port(url, split)
        return self._checked(split, known)

    @staticmethod
    def _checked(split: _Split, addresses: Sequence[IPAddress]) -> CheckedUrl:
        shown_port = "" if SCHEME_PORTS[split.scheme] == split.port else f":{split.port}"
        return CheckedUrl(
            url=f"{split.scheme}://{_bracketed(split.host)}{shown_port}{split.rest}",
            scheme=split.scheme,
            host=split.host,
            port=split.port,
            addresses=tuple(str(address) for address in addresses),
        )

    def check_form(self, url: str) -> CheckedUrl:
        """Judge a URL without asking for its host's addresses: a proxy will, and decides then.

        Raises:
            BlockedError: The URL must not be fetched, by its form or by the address it names.
        """
        split = self._split(url)
        literal = _literal(split.host)
        if literal is None and not _is_local_name(split.host):
            if split.port not in DEFAULT_PORTS and not self._allow.opens(
                split.host, split.port, ()
            ):
                raise _bad_port(url, split)
            return self._checked(split, ())
        return self.check_addresses(url, self._addresses(split, url))

    def _addresses(self, split: _Split, url: str) -> list[str]:
        literal = _literal(split.host)
        if literal is not None:
            return [str(literal)]
        if _is_local_name(split.host):
            # Browsers and systemd-resolved take these names for loopback without asking anybody.
            return list(_LOOPBACK)
        try:
            found = list(self._resolve(split.host, split.port))
        except (OSError, UnicodeError) as error:
            raise FetchError(
                f"{shown_url(url)}: the host {split.host} has no address ({error})",
                remedy="check the spelling of the host, and that this machine has a resolver",
            ) from error
        if not found:
            raise FetchError(
                f"{shown_url(url)}: the host {split.host} has no address",
                remedy="check the spelling of the host",
            )
        return found

    @staticmethod
    def _split(url: str) -> _Split:
        url = url.strip(" ")
        if len(url) > LONGEST_URL:
            raise _blocked(url, f"longer than {LONGEST_URL} characters", "give a shorter URL")
        if _CONTROL.search(url):
            raise _blocked(url, "it has control characters in it", "give the URL without them")
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise _blocked(url, f"it is not a URL ({error})", _USE_PUBLIC) from None
        scheme = parts.scheme.lower()
        if scheme not in SCHEME_PORTS:
            named = f"{scheme}: is not fetched" if scheme else "it has no scheme"
            raise _blocked(url, f"{named}, only http: and https: are", "write https://host/path")
        if "@" in parts.netloc:
            why = "it has a user or a password in front of the host"
            raise _blocked(url, why, "leave out everything up to the @")
        host, port = _host_and_port(parts.netloc, url)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if not path.startswith("/"):
            raise _blocked(url, "its path does not begin with a slash", _USE_PUBLIC)
        query = quote(parts.query, safe="/%:@!$&'()*+,;=~?[]{}|^")
        return _Split(
            scheme=scheme,
            host=_canonical_host(host, url),
            port=SCHEME_PORTS[scheme] if port is None else port,
            rest=path + (f"?{query}" if query else ""),
        )


def shown_url(url: str) -> str:
    """Return a URL fit for a message: short, on one line, without a password."""
    line = _CONTROL.sub("?", url.strip())
    line = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*:/*)[^/?#]*@", r"\1…@", line)
    return line if len(line) <= SHOWN_URL else line[: SHOWN_URL - 1] + "…"


def _blocked(url: str, reason: str, remedy: str) -> BlockedError:
    shown = shown_url(url)
    return BlockedError(f"{shown} is refused: {reason}", remedy=remedy, url=shown, reason=reason)


def _bad_port(url: str, split: _Split) -> BlockedError:
    where = f"{_bracketed(split.host)}:{split.port}"
    return _blocked(url, f"port {split.port} is not 80 or 443", _ALLOW.format(where))


def _host_and_port(netloc: str, url: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"(\[[^\[\]]*\])(?::(\d*))?", netloc, re.ASCII)
    plain = re.fullmatch(r"([^:\[\]]*)(?::(\d*))?", netloc, re.ASCII)
    match = bracketed or plain
    if match is None:
        raise _blocked(url, "its host and port cannot be told apart", _USE_PUBLIC)
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise _blocked(url, f"{match[2]} is not a port", _USE_PUBLIC)
    return match[1], port


def _canonical_host(host: str, url: str) -> str:
    """Return a host the way every later step reads it alike; refuse what they might not."""
    if host.startswith("["):
        try:
            return str(parse_address(host[1:-1]))
        except ValueError:
            raise _blocked(url, f"{host} is not an IPv6 address", _USE_PUBLIC) from None
    if not host.isascii():
        host = _mapped_to_ascii(host, url)
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return _ipv4_of(labels, url)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _blocked(url, f"{host[:80]!r} is not a host name", _USE_PUBLIC)
    return host


def _mapped_to_ascii(host: str, url: str) -> str:
    try:
        import idna
    except ImportError:
        why = "its host is not ASCII, and the package idna of the web extra is not installed"
        raise _blocked(url, why, "write the host in ASCII (xn--…)") from None
    try:
        # Digits in circles and full-width dots become plain ones here; then they are judged.
        mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
        return mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _blocked(url, f"{host[:80]!r} is not a host name", _USE_PUBLIC) from None


def _ipv4_of(labels: Sequence[str], url: str) -> str:
    """Return the IPv4 address in any of the spellings that C's inet_aton and browsers take."""
    why = f"{'.'.join(labels)[:80]!r} is not an IPv4 address"
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        raise _blocked(url, why, _USE_PUBLIC) from None
    *leading, last = numbers
    if len(numbers) > 4 or any(number > 255 for number in leading):
        raise _blocked(url, why, _USE_PUBLIC)
    if last >= 256 ** (4 - len(leading)):
        raise _blocked(url, why, _USE_PUBLIC)
    value = last + sum(number << 8 * (3 - place) for place, number in enumerate(leading))
    return str(IPv4Address(value))


def _number(label: str) -> int:
    if not _NUMERIC_LABEL.fullmatch(label):
        raise ValueError(label)
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if len(label) > 1 and label.startswith("0"):
        return int(label, 8)
    return int(label, 10)


def _is_local_name(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _literal(host: str) -> IPAddress | None:
    try:
        return parse_address(host)
    except ValueError:
        return None


def _parsed(address: str, url: str) -> IPAddress:
    try:
        return parse_address(address)
    except ValueError:
        raise _blocked(url, f"its host has the address {address!r}", _USE_PUBLIC) from None


def _named(host: str, address: IPAddress) -> str:
    return host if host == str(address) else f"{host} has the address {address}, which"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
