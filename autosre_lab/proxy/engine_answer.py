"""Reads the engine's answer as what it is, and ends it by the protocol.

`[DONE]` ends an answer although the socket stays open; after a reason to stop, a short grace is
enough; and once the engine has said why it stopped, nothing that follows or breaks can spoil it. An
answer that came as one JSON object, although a stream was asked for, is read as one chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import aiohttp
import msgspec

from autosre_lab.proxy.chat_stream import (
    ChatChunk,
    ChunkDecoder,
    UpstreamStreamError,
    reported_error,
)
from autosre_lab.proxy.refusals import engine_message
from autosre_lab.proxy.server_events import EventTooLargeError, ServerEvents
from autosre_lab.proxy.upstream import MAX_ANSWER_BYTES

__all__ = ["answer_chunks", "completion_chunk"]

GRACE_S = 1.0
"""Seconds that the counts and `[DONE]` have to come behind the reason to stop."""

MAX_STREAM_BYTES = 1024**3
"""Largest stream read; a window of 1,048,576 tokens makes less than half of it."""


async def answer_chunks(
    response: aiohttp.ClientResponse, finished: Callable[[], bool]
) -> AsyncIterator[list[ChatChunk]]:
    """Yield the chunks of each read until the answer is over.

    Args:
        response: The engine's, of status 200.
        finished: Whether the chunks so far hold a reason to stop; asked after each yield.

    Raises:
        UpstreamStreamError: The engine reports an error, or sends what is no answer.
        aiohttp.ClientError, OSError: The connection broke.
    """
    try:
        whole, first = await _first_bytes(response)
        if whole:
            yield [completion_chunk(first + await _rest(response, len(first)))]
            return
        async for chunks in _streamed(response, first, finished):
            yield chunks
    except (UpstreamStreamError, aiohttp.ClientError, OSError):
        if not finished():
            raise


async def _streamed(
    response: aiohttp.ClientResponse, first: bytes, finished: Callable[[], bool]
) -> AsyncIterator[list[ChatChunk]]:
    events = ServerEvents()
    decoder = ChunkDecoder()
    loop = asyncio.get_running_loop()
    ends_at: float | None = None
    read = response.content.readany
    size = 0
    piece = first
    while True:
        size += len(piece)
        try:
            found = events.feed(piece) if piece else events.flush()
            if size > MAX_STREAM_BYTES:
                raise EventTooLargeError(f"it has more than {MAX_STREAM_BYTES // 1024**2} MB")
        except EventTooLargeError as error:
            raise UpstreamStreamError(str(error), status=502, body="") from error
        chunks: list[ChatChunk] = []
        try:
            _decode(decoder, found, chunks)
        except UpstreamStreamError:
            if chunks:
                yield chunks
            raise
        if chunks:
            yield chunks
        if events.done:
            return
        if ends_at is None:
            if not finished():
                piece = await read()
                continue
            ends_at = loop.time() + GRACE_S
        try:
            async with asyncio.timeout_at(ends_at):
                piece = await read()
        except TimeoutError:
            return


def _decode(decoder: ChunkDecoder, found: Iterable[bytes], chunks: list[ChatChunk]) -> None:
    for data in found:
        chunk = decoder.decode(data)
        if chunk is not None:
            chunks.append(chunk)


async def _first_bytes(response: aiohttp.ClientResponse) -> tuple[bool, bytes]:
    """Return whether one JSON text comes instead of a stream, and what was read to tell it."""
    text = response.content_type.rpartition("/")[2]
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
    return start in b"{[" or (text == "json" and start in b'"'), first


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
    try:
        whole = msgspec.json.decode(body.lstrip(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw])
        choices = msgspec.json.decode(
            whole.get("choices", b"[]"), type=list[dict[str, msgspec.Raw]]
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        whole, choices = {}, []
    # A message is a delta that says everything at once.
    whole["choices"] = msgspec.Raw(
        msgspec.json.encode(
            [{_DELTA.get(name, name): value for name, value in one.items()} for one in choices]
        )
    )
    chunk = ChunkDecoder().decode(msgspec.json.encode(whole))
    if not choices or chunk is None:
        if "message" in whole:
            raise reported_error(body, body)
        said = engine_message(body) if "detail" in whole else ""
        raise UpstreamStreamError(
            said or "it answered with JSON that is no completion",
            status=502,
            body=body[:2000].decode("utf-8", "replace"),
        )
    return chunk


_DELTA = {"message": "delta"}
