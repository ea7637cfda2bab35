"""HTTP on a bare protocol: for servers that share two cores with what is measured through them.

A server of aiohttp costs more a chunk than the proxies and clients that are measured; this one does
no more than a stream needs.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable
from typing import cast

__all__ = ["STREAM_HEAD", "RawExchange", "http_chunk", "serve_raw", "spread_start"]

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_GOLDEN = 0.618034  # multiples of it fill an interval evenly, however many there are
_numbers = itertools.count()


def spread_start(interval_s: float) -> float:
    """Return how much later than the last one the next stream begins.

    Streams of one pace are spread over it: in step with each other, they would let a client take a
    chunk of every stream at each waking, which nobody can count on.
    """
    return interval_s * (next(_numbers) * _GOLDEN % 1)


def http_chunk(data: bytes) -> bytes:
    """Return data as a chunk of a chunked body; nothing for none, which would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class RawExchange(asyncio.Protocol):
    """One client connection: requests in, answers out, one after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._resume: Callable[[], None] | None = None
        self.writable = True

    @property
    def open(self) -> bool:
        """Whether the client is still there."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection: the client went away."""
        self._transport = None

    def pause_writing(self) -> None:
        """Stop: the client does not read."""
        self.writable = False

    def resume_writing(self) -> None:
        """Go on with what waited."""
        self.writable = True
        if self._resume is not None:
            resume, self._resume = self._resume, None
            resume()

    def when_writable(self, resume: Callable[[], None]) -> None:
        """Call something once the client reads again."""
        self._resume = resume

    def data_received(self, data: bytes) -> None:
        """Take bytes; a whole request is answered."""
        self._buffer += data
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return
        head = bytes(self._buffer[:at])
        found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
        size = at + 4 + (int(found[1]) if found else 0)
        if len(self._buffer) < size:
            return
        body = bytes(self._buffer[at + 4 : size])
        del self._buffer[:size]
        self.answer(head.split(b" ", 2)[1].split(b"?")[0].decode(), body)

    def answer(self, path: str, body: bytes) -> None:
        """Answer a request."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Send bytes, if anybody is there."""
        if self._transport is not None:
            self._transport.write(data)

    def send(self, status: int, content: bytes, kind: bytes) -> None:
        """Send a whole answer."""
        self.write(
            b"HTTP/1.1 %d scripted\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (status, kind, len(content), content)
        )

    def send_json(self, status: int, content: object) -> None:
        """Send a whole answer of JSON."""
        self.send(status, json.dumps(content).encode(), b"application/json")


async def serve_raw(make: Callable[[], RawExchange], port: int) -> None:
    """Serve on loopback until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()
