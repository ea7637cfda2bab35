"""The requests under way: how many, and whether a new one repeats an old one."""

from __future__ import annotations

import asyncio
import hashlib

from autosre_lab.proxy.dialect import Client
from autosre_lab.proxy.priority import RequestKind

__all__ = ["RunningRequests", "resend_key"]


def resend_key(client: Client, shared: bytes) -> str | None:
    """Return what two sendings of one request share, or None where a repetition is meant.

    Only a client with a session id is known to send the same request again when it grows
    impatient; others may well ask the same thing several times at once.

    Args:
        client: Who asks.
        shared: Of the body, what a second sending leaves as it is; see `Dialect.sent_again`.
    """
    if not client.session:
        return None
    digest = hashlib.blake2b(shared, digest_size=16)
    return f"{client.session}/{client.agent}/{digest.hexdigest()}"


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
