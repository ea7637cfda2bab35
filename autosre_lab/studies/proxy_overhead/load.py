"""A load client that costs less than what it measures: raw HTTP/1.1 over asyncio's protocols.

It knows just enough of HTTP to send one prepared request at a time over a kept-alive connection
and to tell when the streamed answer began, how many chunks it carried and whether it ended as it
should. The scripted upstream writes `MARKER` into every chunk, so counting markers counts chunks
whatever protocol the answer is in and however a proxy cuts it into packets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

__all__ = [
    "MARKER",
    "Connection",
    "LoadTarget",
    "TimedAnswer",
    "http_request",
    "read_answer",
    "run_concurrently",
]

MARKER = b"zqx"
"""Letters that no translation adds by itself; every scripted chunk of text carries them once."""

_REPEATS = (b"output_text.done", b"content_part.done", b"output_item.done", b"response.completed")
"""Events of the Responses API that repeat the text of all before."""

_LAST_CHUNK = b"\r\n0\r\n\r\n"
_HEADERS_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTarget:
    """Where a contender listens and how a request to it begins.

    Attributes:
        port: On loopback.
        path: With the query string.
        headers: Beyond host, content type and length.
        end: What the stream's last event contains if it ended well.
    """

    port: int
    path: str
    headers: Mapping[str, str]
    end: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedAnswer:
    """What came back for one request. Times are `time.perf_counter_ns()`.

    Attributes:
        sent_ns: When the request was handed to the socket.
        first_ns: When the first chunk of text arrived; None if none did.
        ended_ns: When the answer's last byte arrived.
        status: HTTP status, 0 where no answer came.
        chunks: Chunks of text it carried.
        fault: Why the answer does not count as one, in a few words; None if it does.
    """

    sent_ns: int
    first_ns: int | None
    ended_ns: int
    status: int
    chunks: int
    fault: str | None

    @property
    def ttft_ms(self) -> float | None:
        """Milliseconds from sending to the first chunk of text."""
        return None if self.first_ns is None else (self.first_ns - self.sent_ns) / 1e6


def http_request(target: LoadTarget, body: bytes) -> bytes:
    """Return the bytes of a POST of `body`."""
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"host: 127.0.0.1:{target.port}",
        "content-type: application/json",
        "accept: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in target.headers.items()),
    ]
    return "\r\n".join(lines).encode() + _HEADERS_END + body


def read_answer(raw: bytes, *, end: bytes) -> tuple[int, int, str | None]:
    """Judge a complete answer.

    Args:
        raw: Status line, headers and body as received.
        end: What a good stream's last event contains.

    Returns:
        The HTTP status, the number of chunks, and why the answer is not good (None if it is).
    """
    head, _, body = raw.partition(_HEADERS_END)
    status = int(head[9:12]) if head[:5] == b"HTTP/" and head[9:12].isdigit() else 0
    deltas = body
    for event in _REPEATS:
        deltas = deltas.partition(event)[0]
    chunks = deltas.count(MARKER)
    if status != 200:
        return status, chunks, f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
    if end not in body[max(0, body.rfind(b"data: {")) :]:
        return status, chunks, "the stream ended without its last event"
    return status, chunks, None


class Connection(asyncio.Protocol):
    """One kept-alive connection; one request at a time."""

    def __init__(self, target: LoadTarget) -> None:
        self._target = target
        self._transport: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._first_ns: int | None = None
        self._content_length: int | None = None
        self._size = 0
        self._done: asyncio.Future[str | None] | None = None

    async def stream(self, body: bytes, *, timeout_s: float) -> TimedAnswer:
        """Send one request and read its answer to the end; faults are returned, not raised."""
        loop = asyncio.get_running_loop()
        request = http_request(self._target, body)
        try:
            if self._transport is None or self._transport.is_closing():
                await loop.create_connection(lambda: self, "127.0.0.1", self._target.port)
        except OSError as error:
            now = time.perf_counter_ns()
            return TimedAnswer(
                sent_ns=now, first_ns=None, ended_ns=now, status=0, chunks=0, fault=repr(error)
            )
        assert self._transport is not None  # noqa: S101 - connection_made has run
        self._received, self._first_ns, self._size, self._content_length = [], None, 0, None
        self._done = loop.create_future()
        sent_ns = time.perf_counter_ns()
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout_s):
                fault = await self._done
        except TimeoutError:
            fault = f"no end within {timeout_s:.0f} s"
            self.close()
        ended_ns = time.perf_counter_ns()
        status, chunks, bad = read_answer(b"".join(self._received), end=self._target.end)
        if bad is not None or fault is not None:
            self.close()
        return TimedAnswer(
            sent_ns=sent_ns,
            first_ns=self._first_ns,
            ended_ns=ended_ns,
            status=status,
            chunks=chunks,
            fault=bad or fault,
        )

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by asyncio)."""
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer (called by asyncio)."""
        self._received.append(data)
        self._size += len(data)
        if self._first_ns is None:
            self._look_for_start(data)
        if self._content_length is not None:
            if self._size >= self._content_length:
                self._finish(None)
        elif data.endswith(_LAST_CHUNK) or (
            len(data) < len(_LAST_CHUNK) and b"".join(self._received[-8:]).endswith(_LAST_CHUNK)
        ):
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the running request, if any (called by asyncio)."""
        self._transport = None
        self._finish("the connection closed early" if exc is None else repr(exc))

    def _look_for_start(self, data: bytes) -> None:
        # Joined, because headers or a marker may arrive in two pieces; this is over at the first
        # chunk of text, so the joining stays cheap.
        seen = data if len(self._received) == 1 else b"".join(self._received)
        head, separator, body = seen.partition(_HEADERS_END)
        if not separator:
            return
        if MARKER in body:
            self._first_ns = time.perf_counter_ns()
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0])
            self._content_length = len(head) + len(separator) + length

    def _finish(self, fault: str | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(fault)


async def run_concurrently(
    jobs: Iterable[Callable[[Connection], Awaitable[None]]], connections: list[Connection]
) -> None:
    """Run the jobs, one at a time on each connection.

    Args:
        jobs: Coroutine functions that take the connection to use.
        connections: As many as requests may be in flight.
    """
    queue = iter(list(jobs))

    async def work(connection: Connection) -> None:
        for job in queue:
            await job(connection)

    await asyncio.gather(*(work(connection) for connection in connections))
