"""Keys of single clients: what each may do, and whether a request shows one.

A key is 256 random bits, so its SHA-256 is all that has to be kept: a slow hash makes guesses at
passwords expensive, and nobody guesses 256 bits. The file is looked at again whenever it has
changed, which costs a request one `stat`: what is made or revoked counts from the next request on.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autosre_lab.errors import ConfigError
from autosre_lab.logs import get_logger
from autosre_lab.serving.reach import Denial, check_access
from autosre_lab.serving.token import shown_secrets

__all__ = [
    "CLASSES",
    "DIALECTS",
    "SERVERS",
    "ClientKey",
    "KeyRing",
    "check_client",
    "digest_of",
    "is_key_name",
    "keys_in",
    "keys_text",
]

logger = get_logger(__name__)

SERVERS = ("proxy", "mcp", "browser")
"""Servers of ours that take keys."""

DIALECTS = ("messages", "responses")
"""APIs of the proxy."""

CLASSES = ("main", "subagent", "compaction", "background")
"""Priority classes, the most urgent first."""

_VERSION = 1
_MOST_BYTES = 4 * 1024**2
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CORRECT = "correct the file, or make the keys again with `autosre keys create`"
_WAIT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    """A client's key, without its secret. Times are seconds since 1970.

    Attributes:
        name: Who has it; in logs and figures.
        sha256: Of the secret.
        created: When it was made.
        expires: When it ends by itself; None never.
        revoked: When it was revoked; None where it was not.
        old_sha256: Of the secret that the last rotation replaced; "" for none.
        old_until: Until when that one still counts.
        servers: Which servers it opens; see `SERVERS`.
        dialects: Which APIs of the proxy; see `DIALECTS`.
        priority: The most urgent class that its requests get; see `CLASSES`.
        requests_per_minute: Requests that may begin in 60 seconds; None without limit.
        concurrent: Requests at a time; None without limit.
        tokens_per_day: Computed tokens in a day of UTC; None without limit.
    """

    name: str
    sha256: str = field(repr=False)
    created: float
    expires: float | None = None
    revoked: float | None = None
    old_sha256: str = field(default="", repr=False)
    old_until: float = 0.0
    servers: tuple[str, ...] = ("proxy",)
    dialects: tuple[str, ...] = DIALECTS
    priority: str = "main"
    requests_per_minute: int | None = None
    concurrent: int | None = None
    tokens_per_day: int | None = None

    def state(self, now: float) -> str:
        """Return active, expired or revoked."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


class KeyRing:
    """The keys of a file, as they are at each request.

    Args:
        path: The file; it need not be there yet. A link is followed: a Secret in a Pod is one.

    Raises:
        ConfigError: It is there, and cannot be read as keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._broken = ""
        self._by_digest: dict[str, ClientKey] = {}
        self._nobody = secrets.token_urlsafe(32)
        seen = self._signature()
        if seen is not None:
            self._take(seen)
        if self._broken:
            raise ConfigError(self._broken, remedy=_CORRECT)

    def owner_token(self, token: str | None) -> str:
        """Return the owner's token; without one, a token that nobody has: keys are asked for."""
        return token or self._nobody

    def find(self, headers: Mapping[str, str], *, server: str) -> ClientKey | Denial | None:
        """Return the key that a request shows, why it does not count, or None for no key of ours.

        Args:
            headers: The request's, looked up by lower-case names.
            server: Which server is asked; see `SERVERS`.
        """
        shown = shown_secrets(headers)
        if not any(shown):
            return None
        seen = self._signature()
        if seen != self._seen:
            self._take(seen)
        if self._broken:
            return Denial(
                503, "the keys cannot be read; this server's log says why", retry_after_s=_WAIT_S
            )
        found: ClientKey | Denial | None = None
        for secret in shown:
            digest = digest_of(secret)
            # Looked up by its digest, which nobody can choose: the time tells nothing.
            key = self._by_digest.get(digest)
            judged = None if key is None else _judged(key, digest, server)
            if isinstance(judged, ClientKey):
                return judged
            found = found or judged
        return found

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)

    def _take(self, seen: tuple[int, ...] | None) -> None:
        self._seen, self._broken, self._by_digest = seen, "", {}
        if seen is None:
            return
        try:
            keys = keys_in(self._path)
        except ConfigError as error:
            # Keys that cannot be read open nothing: one of them may have been revoked.
            self._broken = error.message
            logger.error("%s", error.message)
            return
        self._by_digest = {key.sha256: key for key in keys}
        self._by_digest |= {key.old_sha256: key for key in keys if key.old_sha256}


def check_client(
    headers: Mapping[str, str],
    token: str | None,
    keys: KeyRing | None,
    *,
    server: str,
    origins: Collection[str] = (),
) -> ClientKey | Denial | None:
    """Return which key a request shows, why it is refused, or None for the owner.

    The owner shows the server's token and has no limits; whoever shows a key has those of the key,
    also where the server has no token.

    Args:
        headers: The request's headers, looked up by lower-case names.
        token: The server's token, or None.
        keys: The clients' keys, where the server takes any.
        server: Which server is asked; see `SERVERS`.
        origins: Origins of web pages that may ask; see `read_origins`.
    """
    if keys is None:
        return check_access(headers, token, origins=origins)
    denial = check_access(headers, keys.owner_token(token), origins=origins)
    if denial is None or denial.status != 401:
        return denial
    return keys.find(headers, server=server) or denial


def digest_of(secret: str) -> str:
    """Return what is kept of a secret: its SHA-256 in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def is_key_name(text: str) -> bool:
    """Whether a key may be called so."""
    return _NAME.fullmatch(text) is not None


def keys_in(path: Path) -> list[ClientKey]:
    """Read a file of keys; one that does not exist has none.

    Raises:
        ConfigError: It cannot be read, or is no file of keys of this version.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES // 1024**2} MB")
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            raise ValueError(f"it is no file of keys of version {_VERSION}")
        keys = [_key(one) for one in content["keys"]]
        if len({key.name for key in keys}) < len(keys):
            raise ValueError("two keys have the same name")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"the keys in {path} cannot be read: {error.strerror}",
            remedy=f"make it readable for this user: ls -l {path}",
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else type(error).__name__
        raise ConfigError(f"the keys in {path} cannot be read: {why}", remedy=_CORRECT) from error
    return keys


def keys_text(keys: Collection[ClientKey]) -> str:
    """Return what a file of keys holds."""
    return json.dumps({"version": _VERSION, "keys": [_plain(key) for key in keys]}, indent=1) + "\n"


def _judged(key: ClientKey, digest: str, server: str) -> ClientKey | Denial:
    now = time.time()
    state = key.state(now)
    if state != "active":
        return Denial(
            401,
            f"the key {key.name} is {state}; ask this server's owner for a new one",
            of_key=key.name,
        )
    if digest != key.sha256 and key.old_until <= now:
        return Denial(
            401, f"the key {key.name} was rotated; ask this server's owner for it", of_key=key.name
        )
    if server not in key.servers:
        return Denial(403, f"the key {key.name} is not for the {server} server", of_key=key.name)
    return key


def _plain(key: ClientKey) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name in ClientKey.__slots__
        if (value := getattr(key, name)) not in (None, "", 0.0)
    }


def _key(found: Any) -> ClientKey:
    """Check one entry; nothing of it is believed, for a person may have edited it."""
    if not isinstance(found, dict):
        raise ValueError("an entry is no object")
    name = found.get("name")
    if not isinstance(name, str) or not is_key_name(name):
        raise ValueError("an entry has no name of small letters, digits, dots and hyphens")
    if unknown := set(found) - set(ClientKey.__slots__):
        raise ValueError(f"the key {name} has unknown fields: {', '.join(sorted(unknown))[:200]}")
    for what, value in found.items():
        if wanted := _wrong(what, value):
            raise ValueError(f"{what} of the key {name} has to be {wanted}")
    lists = {what: tuple(value) for what, value in found.items() if isinstance(value, list)}
    return ClientKey(**{**found, **lists})


def _wrong(what: str, value: Any) -> str:
    """Return what a field has to be, where it is something else; "" where it is right."""
    if what in ("servers", "dialects"):
        known = SERVERS if what == "servers" else DIALECTS
        right = isinstance(value, list) and all(one in known for one in value)
        return "" if right else f"a list of {', '.join(known)}"
    if what == "priority":
        return "" if value in CLASSES else f"one of {', '.join(CLASSES)}"
    if what in ("requests_per_minute", "concurrent", "tokens_per_day"):
        return "" if type(value) is int and value >= 1 else "a number of 1 or more"
    if what in ("sha256", "old_sha256"):
        right = isinstance(value, str) and _DIGEST.fullmatch(value) is not None
        return "" if right else "a SHA-256 in hexadecimal digits"
    if what in ("created", "expires", "revoked", "old_until"):
        return "" if type(value) in (int, float) else "seconds since 1970"
    return ""
