"""The only way out for a browser: an HTTP proxy that connects to checked addresses only.

It stands behind the guard on requests, which gives the reasons: this one sees what that one cannot,
WebSockets and connections that are opened ahead of a request, and it connects to the very address
that was judged, so that a name which answers differently a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from autosre_lab.errors import AutosreError
from autosre_lab.logs import get_logger
from autosre_lab.web.address_guard import AddressGuard, CheckedUrl

__all__ = ["EgressProxy"]

CONNECT_S = 15.0
HEAD_S = 30.0
HEAD_BYTES = 64 * 1024
CHUNK = 64 * 1024

_BROWSERS_OWN = frozenset({"clients2.google.com", "localhost.invalid", "update.googleapis.com"})
"""Whom Chromium calls of its own accord, whatever it is told at its start."""

_HOP_BY_HOP = (b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive")
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    version: str
    lines: tuple[bytes, ...]

    @property
    def body_bytes(self) -> int:
        for line in self.lines:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                return int(value)
        return 0

    @property
    def chunked(self) -> bool:
        return any(line.lower().startswith(b"transfer-encoding") for line in self.lines)


class EgressProxy:
    """Serves HTTP and CONNECT on loopback while it is entered.

    Args:
        guard: Judges where each connection goes.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._exchange(reader, writer)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
            _logger.debug("a browser's connection ended: %r", error)
        except asyncio.LimitOverrunError:
            await _answer(writer, "431 Request Header Fields Too Large", "the head is too large")
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_S):
            head = _parse(await reader.readuntil(b"\r\n\r\n"))
        connects = head.method == "CONNECT"
        if head.chunked and not connects:
            await _answer(writer, "411 Length Required", "give the body's length")
            return
        # The scheme behind a tunnel is unknown and without consequence: the port is given.
        url = f"https://{head.target}/" if connects else head.target
        if urlsplit(url).hostname in _BROWSERS_OWN:
            await _answer(writer, "403 Forbidden", "the browser has no business there")
            return
        try:
            checked = await self._guard.check_async(url)
        except AutosreError as error:
            _logger.info("refused: %s", error.message)
            await _answer(writer, "403 Forbidden", error.message)
            return
        try:
            there, to = await _connect(checked)
        except (OSError, TimeoutError) as error:
            await _answer(writer, "502 Bad Gateway", f"{checked.host}: {error!r}")
            return
        try:
            if connects:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _both_ways(reader, writer, there, to)
            else:
                to.write(_rewritten(head, checked))
                await _one_request(reader, writer, there, to, body_bytes=head.body_bytes)
        finally:
            to.close()


def _parse(raw: bytes) -> _Head:
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = first.decode("latin-1").split(" ")
    return _Head(method, target, version, tuple(lines))


def _rewritten(head: _Head, checked: CheckedUrl) -> bytes:
    """Return the head as the server is to see it: its own path, one request a connection."""
    _, _, rest = head.target.partition("://")
    path = rest[rest.index("/") :] if "/" in rest else "/"
    kept = [
        line for line in head.lines if line.partition(b":")[0].strip().lower() not in _HOP_BY_HOP
    ]
    start = f"{head.method} {path} {head.version}".encode("latin-1")
    return b"\r\n".join([start, *kept, b"Connection: close", b"", b""])


async def _connect(checked: CheckedUrl) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    failed: Exception | None = None
    for address in checked.addresses:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(address, checked.port)
        except (OSError, TimeoutError) as error:
            failed = error
    raise failed or OSError("no address")


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    to: asyncio.StreamWriter,
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_pipe(reader, to))
        group.create_task(_pipe(there, writer))


async def _one_request(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    to: asyncio.StreamWriter,
    *,
    body_bytes: int,
) -> None:
    """Carry one request's body and its answer.

    The browser may think that the connection can be used again, for another server even. What it
    sends then is not carried: the connection ends, and the browser asks again on a new one.
    """
    left = body_bytes
    while left and (data := await reader.read(min(CHUNK, left))):
        to.write(data)
        await to.drain()
        left -= len(data)
    answering = asyncio.create_task(_pipe(there, writer))
    more = asyncio.create_task(reader.read(1))
    await asyncio.wait({answering, more}, return_when=asyncio.FIRST_COMPLETED)
    for task in (answering, more):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def _answer(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode() + body)
        await writer.drain()
