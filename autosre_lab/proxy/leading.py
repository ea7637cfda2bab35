"""The beginning of a session, computed before it is asked for.

Every session that is started in the same way (same program, profile and tools) begins with the same
tools and system messages. The proxy keeps those of the last one, under the name that the launcher
gives in a header, and has the engine compute them while the next session's program still starts.
Such a request gives way to every other: it is not begun while anything runs, and ended when
something comes. What had been computed by then stays in the engine's prefix cache.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.errors import FileError
from autosre_lab.logs import get_logger
from autosre_lab.private_files import open_private
from autosre_lab.proxy.refusals import Refused
from autosre_lab.proxy.upstream import Upstream

__all__ = ["LeadingPrompts"]

logger = get_logger(__name__)

PRIORITY = 100
"""Behind everything else that the engine has to do."""
_MOST = 16
_LEADING = ("system", "developer")
_NOT_KEPT = frozenset({"messages", "stream", "stream_options", "max_completion_tokens"})
_GIVES_WAY_S = 2.0

_decoder = msgspec.json.Decoder(dict[str, dict[str, Any]])


class LeadingPrompts:
    """The last session's beginning of each kind of launch, and its computing ahead.

    Args:
        file: Where they are kept, readable by its owner alone; None keeps them in memory.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._chats = _read(file)
        self._task: asyncio.Task[None] | None = None

    def learn(self, launch: str, chat: Mapping[str, Any]) -> None:
        """Keep the beginning of a session's first request.

        Args:
            launch: How the session was started, as its launcher says.
            chat: The request as the engine gets it.
        """
        messages = chat["messages"]
        if any(message["role"] == "assistant" for message in messages):
            return
        leading = list(itertools.takewhile(lambda one: one["role"] in _LEADING, messages))
        if not leading and not chat.get("tools"):
            return
        kept = {name: value for name, value in chat.items() if name not in _NOT_KEPT}
        kept["messages"] = leading
        # As read from the file, so that both compare.
        kept = msgspec.json.decode(msgspec.json.encode(kept))
        if self._chats.get(launch) == kept:
            return
        self._chats.pop(launch, None)
        self._chats[launch] = kept
        while len(self._chats) > _MOST:
            del self._chats[next(iter(self._chats))]
        if self._file is not None:
            try:
                _write(self._file, msgspec.json.encode(self._chats))
            except (FileError, OSError) as error:
                logger.warning("the next start computes nothing ahead: %s", error)

    def start(self, launch: str, upstream: Upstream, model: str) -> bool:
        """Begin to compute a session's beginning.

        Returns:
            Whether there is one to compute.
        """
        chat = self._chats.get(launch)
        if chat is None or self._task is not None:
            return False
        body = {
            **chat,
            "model": model,
            # Templates insist on a user's message.
            "messages": [*chat["messages"], {"role": "user", "content": "."}],
            "max_completion_tokens": 1,
        }
        if "priority" in body:  # an engine that does not schedule by it refuses the word
            body["priority"] = PRIORITY
        self._task = asyncio.create_task(self._compute(upstream, msgspec.json.encode(body)))
        return True

    async def give_way(self) -> None:
        """End what is computed ahead, because something is asked for."""
        task = self._task
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task], timeout=_GIVES_WAY_S)

    async def _compute(self, upstream: Upstream, body: bytes) -> None:
        try:
            async with upstream.chat(body) as response:
                await response.read()
        except Refused as error:
            logger.info("nothing was computed ahead: %s", error.refusal.message)
        finally:
            self._task = None


def _write(file: Path, content: bytes) -> None:
    partial = file.with_suffix(".partial")
    with os.fdopen(open_private(partial, os.O_WRONLY | os.O_TRUNC), "wb") as opened:
        opened.write(content)
    partial.replace(file)


def _read(file: Path | None) -> dict[str, dict[str, Any]]:
    if file is None:
        return {}
    try:
        return _decoder.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeError):
        return {}
