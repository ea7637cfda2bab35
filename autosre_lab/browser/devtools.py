"""DevTools over a pipe, and a WebSocket in front of it for one client that has shown a token.

A debugging port has no password: whoever reaches it reads the owner's files through ``file:``. A
pipe has no address. Playwright speaks WebSocket, so what it says is carried over: each message of
one side is one of the other's, ended by a zero byte on the pipe (RFC 6455 on this side).

Standard library only: these files also run in the browser's Pod.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from autosre_lab.serving.token import shows_token

__all__ = [
    "DevToolsPipe",
    "Request",
    "WebSocketDoor",
    "accept_websocket",
    "carry",
    "parse_request",
]

CHUNK = 256 * 1024
HEAD_S = 10.0
HEAD_BYTES = 16 * 1024

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_CONTINUED, _TEXT, _CLOSE, _PING, _PONG = 0, 1, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80


@dataclass(frozen=True, slots=True)
class DevToolsPipe:
    """Both ends of a browser's pipe that are ours.

    Attributes:
        reader: What the browser says.
        writer: What it is told.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str) -> dict[str, Any]:
        """Return the browser's answer to a command without parameters; before `carry` only.

        Raises:
            OSError: It has ended.
        """
        self.writer.write(json.dumps({"id": 0, "method": method}).encode() + b"\0")
        try:
            answer = json.loads((await self.reader.readuntil(b"\0"))[:-1])
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise OSError("the browser ended before it answered") from error
        result: dict[str, Any] = answer.get("result", {})
        return result


@dataclass(frozen=True, slots=True)
class Request:
    """The head of an HTTP request.

    Attributes:
        method: As it was sent.
        path: Without query.
        headers: By their names in small letters.
    """

    method: str
    path: str
    headers: Mapping[str, str]


def parse_request(raw: bytes) -> Request:
    """Read a head.

    Raises:
        ValueError: It is not one, or a header stands twice and could be read in two ways.
    """
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise ValueError(line)
        headers[name.lower()] = value.strip()
    return Request(method, urlsplit(target).path, headers)


async def accept_websocket(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer a WebSocket's opening.

    Raises:
        ValueError: The request does not open one.
    """
    key = request.headers.get("sec-websocket-key", "")
    if request.method != "GET" or len(base64.b64decode(key, validate=True)) != 16:
        raise ValueError("no WebSocket key")
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
    )
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await writer.drain()


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipe: DevToolsPipe
) -> None:
    """Carry messages both ways until one side ends.

    Messages pass in pieces as they come: a large one is never held as a whole.
    """
    ways = [
        asyncio.create_task(_to_browser(reader, writer, pipe.writer)),
        asyncio.create_task(_to_client(pipe.reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _to_browser(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pipe: asyncio.StreamWriter
) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            first, second = await reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await reader.readexactly(8), "big")
            opcode = first & 0x0F
            if not second & _MASKED or (opcode >= _CLOSE and length > 125):
                return  # RFC 6455, 5.1 and 5.5: no client sends these
            mask = await reader.readexactly(4)
            if opcode >= _CLOSE:
                payload = _unmasked(await reader.readexactly(length), mask, 0)
                if opcode == _CLOSE:
                    writer.write(_head(_CLOSE, final=True, length=len(payload)) + payload)
                    return
                if opcode == _PING:
                    writer.write(_head(_PONG, final=True, length=len(payload)) + payload)
                continue
            done = 0
            while done < length:
                piece = await reader.read(min(CHUNK, length - done))
                if not piece:
                    return
                pipe.write(_unmasked(piece, mask, done))
                done += len(piece)
                await pipe.drain()
            if first & _FINAL:
                pipe.write(b"\0")
                await pipe.drain()


async def _to_client(pipe: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    begun = False
    with suppress(OSError):
        while data := await pipe.read(CHUNK):
            *whole, rest = data.split(b"\0")
            for message in whole:
                opcode = _CONTINUED if begun else _TEXT
                writer.write(_head(opcode, final=True, length=len(message)) + message)
                begun = False
            if rest:
                opcode = _CONTINUED if begun else _TEXT
                writer.write(_head(opcode, final=False, length=len(rest)) + rest)
                begun = True
            await writer.drain()


def _head(opcode: int, *, final: bool, length: int) -> bytes:
    first = opcode | (_FINAL if final else 0)
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


def _unmasked(data: bytes, mask: bytes, offset: int) -> bytes:
    turn = offset % 4
    turned = mask[turn:] + mask[:turn]
    pattern = (turned * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")
    return number.to_bytes(len(data), "little")


class WebSocketDoor:
    """Lets one client with a random token in, on loopback; the door closes behind it.

    Args:
        pipe: The browser.
    """

    def __init__(self, pipe: DevToolsPipe) -> None:
        self._pipe = pipe
        self._token = secrets.token_urlsafe(32)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    @property
    def headers(self) -> dict[str, str]:
        """What the client has to send."""
        return {"Authorization": f"Bearer {self._token}"}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, limit=HEAD_BYTES)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not as a coroutine: asyncio would report what a stranger sends as an error.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                request = parse_request(await reader.readuntil(b"\r\n\r\n"))
            if "origin" in request.headers or not shows_token(request.headers, self._token):
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            elif self._server is not None:
                await accept_websocket(request, writer)
                self._close()
                await carry(reader, writer, self._pipe)
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):
            pass  # somebody who speaks no HTTP, or went away
        finally:
            writer.close()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
