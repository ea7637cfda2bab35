"""Reads the engine's answer as what it is, and ends it by the protocol.

`[DONE]` ends an answer although the socket stays open; after a reason to stop, a short grace is
enough; and once the engine has said why it stopped, nothing that follows or breaks can spoil it. An
answer that came as one JSON object, although a stream was asked for, is read as one chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from autosre_lab.proxy.chat_stream import (
    ChatChunk,
    ChunkDecoder,
    UnreadableChunkError,
    UpstreamStreamError,
    reported_error,
)
from autosre_lab.proxy.server_events import EventTooLargeError, ServerEvents
from autosre_lab.proxy.upstream import MAX_ANSWER_BYTES

__all__ = ["EngineAnswer", "completion_chunk"]

GRACE_S = 1.0
"""Seconds that the counts and `[DONE]` have to come behind the reason to stop."""

MAX_STREAM_BYTES = 1024**3
"""Largest stream read; a window of 1,048,576 tokens makes less than half of it."""


class Reader(Protocol):
    """What the chunks are fed to."""

    @property
    def finish_reason(self) -> str | None:
        """The engine's reason to stop; None as long as they have held none."""

    def feed(self, chunk: ChatChunk) -> bytes:
        """Translate one."""


class EngineAnswer:
    """The events of one answer, a read at a time.

    What `read` gives is handed to `take`, until it gives None. The two are apart because nearly
    every read is the connection's own: between it and the engine's bytes stands nothing.

    Args:
        response: The engine's, of status 200.
        reader: Translates the chunks.

    Attributes:
        read: Reads the next bytes; None where the answer is over. Raises `UpstreamStreamError`
            where the engine reported an error or sent what is no answer, `aiohttp.ClientError` and
            `OSError` where the connection broke.
        over: Nothing more comes: the next read ends it, or says what was wrong.
    """

    def __init__(self, response: aiohttp.ClientResponse, reader: Reader) -> None:
        self._response = response
        self._reader = reader
        self._feed = reader.feed
        self._events = ServerEvents()
        self._cut = self._events.feed
        self._decode = ChunkDecoder().decode
        self._whole = False
        self.over = False
        self._failed: UpstreamStreamError | None = None
        self._ends_at = 0.0
        self._size = 0
        self.read: Callable[[], Awaitable[bytes | None]] = self._read_first

    def take(self, piece: bytes) -> bytes:
        """Return the events of what was read, perhaps none.

        Raises:
            UpstreamStreamError: It is one JSON object, and no answer.
        """
        if self._whole:
            self.over, self.read = True, self._read_end
            return self._feed(completion_chunk(piece))
        self._size += len(piece)
        events: list[bytes] = []
        try:
            for data in self._cut(piece) if piece else self._events.flush():
                chunk = self._decode(data)
                if chunk is not None:
                    events.append(self._feed(chunk))
        except UpstreamStreamError as error:
            self._fail(error)  # the chunks before it count
        except EventTooLargeError as error:
            self._fail(UpstreamStreamError(str(error), status=502, body=""))
        if self._size > MAX_STREAM_BYTES:
            self._fail(
                UpstreamStreamError(
                    f"it has more than {MAX_STREAM_BYTES // 1024**2} MB", status=502, body=""
                )
            )
        if self.over or self._events.done:
            self.over = True
            self.read = self._read_end
        elif self._reader.finish_reason is not None and not self._ends_at:
            self._ends_at = asyncio.get_running_loop().time() + GRACE_S
            self.read = self._read_in_grace
        return b"".join(events)

    async def _read_first(self) -> bytes:
        self.read = self._response.content.readany
        self._whole, piece = await _first_bytes(self._response)
        return piece + await _rest(self._response, len(piece)) if self._whole else piece

    async def _read_in_grace(self) -> bytes | None:
        """Read what follows the reason to stop; nothing that breaks there matters any more."""
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            return None

    async def _read_end(self) -> None:
        if self._failed is not None and self._reader.finish_reason is None:
            raise self._failed

    def _fail(self, error: UpstreamStreamError) -> None:
        self._failed = error
        self.over = True


async def _first_bytes(response: aiohttp.ClientResponse) -> tuple[bool, bytes]:
    """Return whether one JSON text comes instead of a stream, and what was read to tell it."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise UpstreamStreamError(
            f"its answer is compressed ({encoding[:20]!r}), which was not asked for: something in "
            "front of it does that",
            status=502,
            body="",
        )
    first = b""
    while not (start := first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]):
        if len(first) > MAX_ANSWER_BYTES or not (piece := await response.content.readany()):
            return False, first
        first += piece
    if start == b"<":
        raise UpstreamStreamError(
            "it answered with a web page; is another server at its address?",
            status=502,
            body=first[:2000].decode("utf-8", "replace"),
        )
    return start in b"{[" or (
        start == b'"' and response.content_type.rpartition("/")[2] == "json"
    ), first


async def _rest(response: aiohttp.ClientResponse, size: int) -> bytes:
    pieces: list[bytes] = []
    while piece := await response.content.readany():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise UpstreamStreamError(
                f"it has more than {MAX_ANSWER_BYTES // 1024**2} MB", status=502, body=""
            )
    return b"".join(pieces)


def completion_chunk(body: bytes) -> ChatChunk:
    """Return a whole completion as one chunk.

    Raises:
        UpstreamStreamError: It is an error, or no completion.
    """
    body = body.lstrip(b"\xef\xbb\xbf")
    try:
        chunk = ChunkDecoder().decode(body)
    except UnreadableChunkError:
        chunk = None
    if chunk is None or not chunk.choices:
        raise reported_error(body, body, otherwise="it answered with JSON that is no completion")
    return chunk
