"""Makes, changes and revokes the keys of a file; what runs reads it by itself."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.private_files import open_private, os_errors_explained, private_folder
from autosre_lab.serving.keys import (
    CLASSES,
    DIALECTS,
    SERVERS,
    ClientKey,
    digest_of,
    is_key_name,
    keys_in,
    keys_text,
)

__all__ = ["NewKey", "create_key", "revoke_key", "rotate_key"]

PREFIX = "autosre-"
"""Begins each secret, so that scanners for secrets know one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key with its secret, which is kept nowhere.

    Attributes:
        key: What is kept.
        secret: What the client shows; not in the repr.
    """

    key: ClientKey
    secret: str = field(repr=False)


def create_key(
    path: Path,
    name: str,
    *,
    expires: float | None = None,
    servers: Sequence[str] = ("proxy",),
    dialects: Sequence[str] = DIALECTS,
    priority: str = "main",
    requests_per_minute: int | None = None,
    concurrent: int | None = None,
    tokens_per_day: int | None = None,
    dry_run: bool = False,
) -> NewKey:
    """Make a key.

    Args:
        path: The file of keys; it and its folder are made, for this user only.
        name: Who gets it: small letters, digits, dots, hyphens.
        expires: Seconds since 1970 at which it ends; None never.
        servers: As in `ClientKey`, like what follows.
        dialects: APIs of the proxy.
        priority: The most urgent class.
        requests_per_minute: Requests that may begin in a minute.
        concurrent: Requests at a time.
        tokens_per_day: Computed tokens a day.
        dry_run: Check everything, write nothing.

    Raises:
        ConfigError: The name is taken or none, a limit or scope is none, or the file is none.
        FileError: The file cannot be written.
    """
    _check(name, expires, servers, dialects, priority)
    for what, limit in (
        ("requests per minute", requests_per_minute),
        ("concurrent requests", concurrent),
        ("tokens per day", tokens_per_day),
    ):
        if limit is not None and limit < 1:
            raise ConfigError(
                f"{limit} {what} would let nothing through",
                remedy="give 1 or more, or nothing for no limit",
            )
    secret = _secret()
    key = ClientKey(
        name=name,
        sha256=digest_of(secret),
        created=int(time.time()),
        expires=expires,
        servers=tuple(dict.fromkeys(servers)),
        dialects=tuple(dict.fromkeys(dialects)),
        priority=priority,
        requests_per_minute=requests_per_minute,
        concurrent=concurrent,
        tokens_per_day=tokens_per_day,
    )
    with _changing(path, dry_run=dry_run) as keys:
        if name in keys:
            raise ConfigError(
                f"there is a key {name} already, {keys[name].state(time.time())}",
                remedy=f"choose another name, so that usage stays apart; `autosre keys rotate "
                f"{name}` gives an active one a new secret",
            )
        keys[name] = key
    return NewKey(key=key, secret=secret)


def revoke_key(path: Path, name: str, *, dry_run: bool = False) -> ClientKey:
    """Revoke a key: it opens nothing from the next request on. What it had begun is finished.

    Raises:
        ConfigError: There is no such key, or the file is none.
        FileError: The file cannot be written.
    """
    with _changing(path, dry_run=dry_run) as keys:
        key = _known(keys, path, name)
        if key.revoked is None:
            keys[name] = replace(key, revoked=int(time.time()), old_sha256="", old_until=0.0)
        return keys[name]


def rotate_key(path: Path, name: str, *, keep_old_s: float = 0, dry_run: bool = False) -> NewKey:
    """Give a key a new secret; its name, scopes, limits and usage stay.

    Args:
        path: The file of keys.
        name: The key's.
        keep_old_s: Seconds for which the old secret still counts, while clients get the new one.
        dry_run: Check everything, write nothing.

    Raises:
        ConfigError: There is no such key, it is no longer active, or the file is none.
        FileError: The file cannot be written.
    """
    secret = _secret()
    with _changing(path, dry_run=dry_run) as keys:
        key, now = _known(keys, path, name), time.time()
        if (state := key.state(now)) != "active":
            raise ConfigError(
                f"the key {name} is {state}", remedy="make another with `autosre keys create`"
            )
        keys[name] = replace(
            key,
            sha256=digest_of(secret),
            old_sha256=key.sha256 if keep_old_s > 0 else "",
            old_until=now + keep_old_s if keep_old_s > 0 else 0.0,
        )
        return NewKey(key=keys[name], secret=secret)


def _secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _known(keys: dict[str, ClientKey], path: Path, name: str) -> ClientKey:
    if name not in keys:
        raise ConfigError(
            f"there is no key {name!r} in {path}",
            remedy="`autosre keys list` names those there are",
        )
    return keys[name]


def _check(
    name: str,
    expires: float | None,
    servers: Sequence[str],
    dialects: Sequence[str],
    priority: str,
) -> None:
    if not is_key_name(name):
        raise ConfigError(
            f"{name[:80]!r} cannot be a key's name",
            remedy="take 1 to 40 small letters, digits, dots, hyphens; a letter or digit first",
        )
    if expires is not None and expires <= time.time():
        raise ConfigError("the key would have expired already", remedy="give a later time")
    for what, given, known in (
        ("server", servers, SERVERS),
        ("dialect", dialects, DIALECTS),
        ("priority class", (priority,), CLASSES),
    ):
        wrong = [one for one in given if one not in known]
        if wrong or not given:
            raise ConfigError(
                f"{wrong[0]!r} is no {what}" if wrong else f"a key needs a {what}",
                remedy=f"choose of {', '.join(known)}",
            )


@contextmanager
def _changing(path: Path, *, dry_run: bool) -> Iterator[dict[str, ClientKey]]:
    """Hand out the keys by name, and write what became of them, whole or not at all."""
    if dry_run:
        yield {key.name: key for key in keys_in(path)}
        return
    if not path.parent.is_dir():
        private_folder(path.parent)  # one that is there may be everybody's, such as /tmp
    with os_errors_explained(path):
        lock = open_private(path.with_name(path.name + ".lock"), os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = {key.name: key for key in keys_in(path)}
            before = dict(keys)
            yield keys
            if keys != before:
                _write(path.resolve(), keys_text(keys.values()).encode())
        finally:
            os.close(lock)


def _write(path: Path, data: bytes) -> None:
    if path.exists() and not path.is_file():
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), str(path))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(open_private(partial, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # a revocation must not come back with the power
    finally:
        os.close(folder)
