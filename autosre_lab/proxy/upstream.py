"""The engine as the proxy sees it: one pooled HTTP client, and its failures as refusals."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler

from autosre_lab.engine.protocol import ServedModel, parse_models
from autosre_lab.proxy.refusals import (
    EngineBrokeError,
    Refused,
    bad_request,
    broken_stream,
    engine_down,
    engine_message,
    engine_refused,
)

__all__ = [
    "EngineUnreachableError",
    "RenderFailedError",
    "TemplateRejectedError",
    "Upstream",
    "read_error",
    "reason",
]

COUNT_TIMEOUT_S = 60.0
"""Seconds for a count: rendering and tokenizing 262,144 tokens takes a second or two."""

MODELS_TIMEOUT_S = 10.0

IDLE_S = 3.0
"""Seconds an idle connection is kept. vLLM closes them after 5, and a request that crosses the
closing is lost."""

MAX_ANSWER_BYTES = 64 * 1024**2
"""Largest answer read whole: a count's token ids, a completion that came as one JSON object."""

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_TIMEOUT_S = 10.0
_READ_BYTES = 256 * 1024
_SETTLE_S = 1.0
"""Seconds that a connection has to end behind a finished answer; later, it is closed."""

_new_connection: ContextVar[bool] = ContextVar("_new_connection", default=True)
"""This task's request got a connection of its own rather than an idle one."""

_LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)


class EngineUnreachableError(EngineBrokeError):
    """No answer, or none that says what it must."""


class RenderFailedError(EngineUnreachableError):
    """It failed to render: it is going down, or its template fails with these messages."""


class TemplateRejectedError(Refused):
    """The engine understood the request and will not render it; the text is its reason."""

    def __init__(self, message: str) -> None:
        super().__init__(bad_request(message))


class Upstream:
    """Requests to one engine.

    Args:
        url: Base URL.
        connect_timeout_s: Seconds it has to accept a connection. Answers may take any time.
        api_key: What the engine wants as a bearer token; None where it wants nothing.
    """

    def __init__(self, url: str, *, connect_timeout_s: float, api_key: str | None = None) -> None:
        self.url = url
        self._connect_timeout_s = connect_timeout_s
        self._headers = {"accept-encoding": "identity", "content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._settling: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}

    async def open(self) -> None:
        """Make the connection pool; to be called inside the event loop."""
        self._session = self._open(_Connector())
        self._fresh = self._open(aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=60))

    async def close(self) -> None:
        """Close every connection."""
        for response, timer in list(self._settling.items()):
            timer.cancel()
            self._settled(response)
        for session in (self._session, self._fresh):
            if session is not None:
                await session.close()

    @asynccontextmanager
    async def chat(self, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a chat request; leaving the block by an exception closes the socket, which aborts.

        Raises:
            EngineUnreachableError: No connection, or it was lost before the status line.
        """
        try:
            response = await self._post("/v1/chat/completions", body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachableError(engine_down(self.url, reason(error))) from error
        try:
            yield response
        except BaseException:
            # `release` would keep an unfinished answer's socket open; `close` is what vLLM sees.
            response.close()
            raise
        if response.content.is_eof():
            response.release()
        else:
            self._settle(response)

    def _settle(self, response: aiohttp.ClientResponse) -> None:
        """Close a connection later: its answer is whole, and nobody shall wait for its end.

        Where the end comes before that, the connection has gone back to the others by itself.
        """

        def ended() -> None:
            self._settling.pop(response).cancel()

        loop = asyncio.get_running_loop()
        self._settling[response] = loop.call_later(_SETTLE_S, self._settled, response)
        response.content.on_eof(ended)

    def _settled(self, response: aiohttp.ClientResponse) -> None:
        del self._settling[response]
        response.close()

    async def count(self, body: dict[str, Any]) -> int:
        """Count the tokens of what a chat request renders to.

        Raises:
            TemplateRejectedError: The template refuses the messages.
            EngineUnreachableError: No answer.
        """
        return int((await self.tokenize(body))["count"])

    async def tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return vLLM's answer of `/tokenize`: `count`, `max_model_len` and `tokens`.

        Raises:
            TemplateRejectedError: The template refuses the messages.
            EngineUnreachableError: No answer.
        """
        status, content = await self._whole("/tokenize", COUNT_TIMEOUT_S, msgspec.json.encode(body))
        if status != 200:
            message = engine_message(content)
            if status in (400, 422, 413):
                raise TemplateRejectedError(message)
            if status >= 500:
                raise RenderFailedError(broken_stream(message or f"it answered {status}"))
            raise EngineUnreachableError(engine_refused(status, message, {}, "main"))
        try:
            answer: dict[str, Any] = msgspec.json.decode(content)
            answer["count"] = int(answer["count"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise EngineUnreachableError(broken_stream("its count is no number")) from error
        return answer

    async def healthy(self) -> bool:
        """Whether it says that it works; one that has no such route is taken for well."""
        try:
            status, _ = await self._whole("/health", MODELS_TIMEOUT_S)
        except EngineUnreachableError:
            return False
        return status < 500

    async def models(self) -> list[ServedModel]:
        """Return what is served.

        Raises:
            EngineUnreachableError: No answer.
        """
        status, content = await self._whole("/v1/models", MODELS_TIMEOUT_S)
        if status in (401, 403) or 300 <= status < 400:
            raise EngineUnreachableError(engine_refused(status, "", {}, "main"))
        if status != 200:
            raise self._down(f"/v1/models gave {status}")
        try:
            models = parse_models(msgspec.json.decode(content))
        except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._down("/v1/models is not vLLM's list of models") from error
        if not models:
            raise self._down("it serves no model")
        return models

    def _down(self, why: str) -> EngineUnreachableError:
        return EngineUnreachableError(engine_down(self.url, why))

    def _open(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_timeout_s, sock_read=None
            ),
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _whole(
        self, path: str, timeout_s: float, body: bytes | None = None
    ) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._post(path, body)
                try:
                    return response.status, await _read(response, MAX_ANSWER_BYTES)
                finally:
                    response.release()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._down(reason(error)) from error

    async def _post(self, path: str, body: bytes | None) -> aiohttp.ClientResponse:
        """Send a request; one that crossed the closing of an idle connection is sent once more."""
        if self._session is None or self._fresh is None:
            raise RuntimeError("open() comes first")
        method = "GET" if body is None else "POST"
        _new_connection.set(False)
        try:
            return await self._session.request(
                method, self.url + path, data=body, allow_redirects=False
            )
        except _LOST:
            if _new_connection.get():
                raise
        return await self._fresh.request(method, self.url + path, data=body, allow_redirects=False)


class _Connection(ResponseHandler):
    def resume_reading(self, *more: bool, **named: bool) -> None:
        """Go on where reading was paused; the library asks for it behind each piece of an answer.

        Where nothing was paused, its own way costs a round through its parser all the same: a tenth
        of all that a piece costs.
        """
        if self._reading_paused:
            super().resume_reading(*more, **named)


class _Connector(aiohttp.TCPConnector):
    """Notes that a connection is made; the library's own way, its traces, costs far more."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=IDLE_S, ttl_dns_cache=60)
        self._factory = partial(_Connection, loop=self._loop)  # type: ignore[assignment]

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: Any,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as inherited
    ) -> ResponseHandler:
        _new_connection.set(True)
        return await super()._create_connection(req, traces, timeout)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body, but not more of it than `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    while size < limit and (piece := await response.content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:limit]


async def read_error(response: aiohttp.ClientResponse) -> bytes:
    """Read what an error says: as much as a person can use, of a body that may have no end."""
    try:
        async with asyncio.timeout(_ERROR_TIMEOUT_S):
            return await _read(response, _MAX_ERROR_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return b""


def reason(error: BaseException) -> str:
    """Say in plain words how a connection failed."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(error, (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch)):
        return "the TLS connection failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _system_words(error.os_error) or "connection refused"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its connection ended in the middle of the answer"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL)):
        return "its answer is not valid HTTP"
    if isinstance(error, OSError):
        return _system_words(error) or "the connection was lost"
    return "the connection was lost"


def _system_words(error: OSError) -> str:
    if error.errno in (errno.ECONNREFUSED, None) and isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return error.strerror or ""
