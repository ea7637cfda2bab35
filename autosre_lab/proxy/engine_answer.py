"""Reads the engine's answer as what it is, and ends it by the protocol.

`[DONE]` ends an answer although the socket stays open; after a reason to stop, a short grace is
enough; and once the engine has said why it stopped, nothing that follows or breaks can spoil it. An
answer that came as one JSON object, although a stream was asked for, is read as one chunk.
"""

from __future__ import annotations

import asyncio
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

    Args:
        response: The engine's, of status 200.
        reader: Translates the chunks.
    """

    def __init__(self, response: aiohttp.ClientResponse, reader: Reader) -> None:
        self._response = response
        self._reader = reader
        self._feed = reader.feed
        self._read = response.content.readany
        self._events = ServerEvents()
        self._cut = self._events.feed
        self._decode = ChunkDecoder().decode
        self._begun = False
        self._over = False
        self._failed: UpstreamStreamError | None = None
        self._ends_at: float | None = None
        self._size = 0

    async def next(self) -> bytes | None:
        """Return the next read's events, perhaps none; None where the answer is over.

        Raises:
            UpstreamStreamError: The engine reports an error, or sends what is no answer.
            aiohttp.ClientError, OSError: The connection broke.
        """
        if self._begun and not self._over and self._reader.finish_reason is None:
            # The way of nearly every read; all that costs is in here.
            piece = await self._read()
        else:
            try:
                edge = await self._read_at_an_edge()
            except (UpstreamStreamError, aiohttp.ClientError, OSError):
                if self._reader.finish_reason is None:
                    raise
                return None
            if edge is None:
                return None
            if isinstance(edge, ChatChunk):
                return self._feed(edge)
            piece = edge
        self._size += len(piece)
        events = b""
        try:
            for data in self._cut(piece) if piece else self._events.flush():
                chunk = self._decode(data)
                if chunk is not None:
                    events += self._feed(chunk)
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
        if self._events.done:
            self._over = True
        return events

    async def _read_at_an_edge(self) -> bytes | ChatChunk | None:
        """Read the first bytes, or what follows the reason to stop; None where all is over."""
        if self._over:
            if self._failed is not None:
                raise self._failed
            return None
        if self._begun:
            return await self._read_in_grace()
        self._begun = True
        whole, piece = await _first_bytes(self._response)
        if not whole:
            return piece
        self._over = True
        return completion_chunk(piece + await _rest(self._response, len(piece)))

    def _fail(self, error: UpstreamStreamError) -> None:
        self._failed = error
        self._over = True

    async def _read_in_grace(self) -> bytes:
        if self._ends_at is None:
            self._ends_at = asyncio.get_running_loop().time() + GRACE_S
        async with asyncio.timeout_at(self._ends_at):
            return await self._read()


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
