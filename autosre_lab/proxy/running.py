"""The requests under way: how many, and whether a new one repeats an old one."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping

from autosre_lab.proxy.priority import AGENT_HEADER, SESSION_HEADER, RequestKind

__all__ = ["RunningRequests", "resend_key"]

# Quotes inside a JSON string are escaped, so this does not match within the conversation. It begins
# with a literal, which is searched for; a pattern that also took the comma before it would be tried
# at every comma of the body, and that is more than a millisecond for Claude Code's first request.
_STREAM = re.compile(rb'"stream"\s*:\s*(?:true|false)')
_SEPARATOR = re.compile(rb"\s*,?\s*")


def resend_key(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return what two sendings of one request share, or None where a repetition is meant.

    Only a client with a session id is known to send the same request again when it grows
    impatient; others may well ask the same thing several times at once. Claude Code's second try
    leaves `stream` out, so it does not count.
    """
    session = headers.get(SESSION_HEADER)
    if not session:
        return None
    digest = hashlib.blake2b(_without_stream(body), digest_size=16)
    return f"{session}/{headers.get(AGENT_HEADER, '')}/{digest.hexdigest()}"


class RunningRequests:
    """Counts requests, admits them, and ends the one that a re-send replaces.

    Args:
        limit: Requests at a time; background ones stop at half of it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[object]] = set()
        self._by_key: dict[str, asyncio.Task[object]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def admits(self, kind: RequestKind) -> bool:
        """Whether one more of this kind may start."""
        return len(self._tasks) < (self._limit // 2 if kind == "background" else self._limit)

    def add(self, task: asyncio.Task[object]) -> None:
        """Count a request as running until its task ends."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def replace(self, key: str, task: asyncio.Task[object]) -> bool:
        """Make `task` the one request of this key, ending the earlier one first.

        Returns:
            Whether there was an earlier one.
        """
        earlier = self._by_key.get(key)
        self._by_key[key] = task
        task.add_done_callback(lambda ended: self._forget(key, ended))
        if earlier is None or earlier.done():
            return False
        earlier.cancel()
        # Its engine request has to be gone before the same work is begun again.
        await asyncio.wait([earlier], timeout=5.0)
        return True

    async def drain(self, grace_s: float) -> None:
        """Let running requests end for a while, then end them."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace_s)
        remaining = set(self._tasks)
        for task in remaining:
            task.cancel()
        if remaining:
            await asyncio.wait(remaining, timeout=5.0)

    def _forget(self, key: str, task: asyncio.Task[object]) -> None:
        if self._by_key.get(key) is task:
            del self._by_key[key]


def _without_stream(body: bytes) -> bytes:
    """Return a JSON object's bytes without its `stream` members, each with one comma beside it."""
    kept, at = b"", 0
    for found in _STREAM.finditer(body):
        kept += body[at : found.start()].rstrip()
        at = found.end()
        if kept.endswith(b","):
            kept = kept[:-1]
        else:
            at = _SEPARATOR.match(body, at).end()  # type: ignore[union-attr] # it matches nothing too
    return kept + body[at:]
