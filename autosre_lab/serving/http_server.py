"""Runs an aiohttp application: listener, time limits, and errors of HTTP itself in its own form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from autosre_lab.logs import get_logger
from autosre_lab.serving.body import BodyError, plain_body, too_large
from autosre_lab.serving.listener import BACKLOG, IDLE_S, listen, url_of
from autosre_lab.serving.reach import Denial

__all__ = ["read_body", "running_app"]

logger = get_logger(__name__)

PAUSE_S = 30.0
"""Seconds that a request's body may pause."""

_BODY_S = 600.0
_LINGER_S = 0.5

SayError = Callable[[Denial], web.Response]
"""Writes an error answer in the form that the application's clients know."""


@asynccontextmanager
async def running_app(
    app: web.Application,
    *,
    host: str,
    port: int,
    say_error: SayError,
    idle_s: float = IDLE_S,
    shutdown_s: float = 5.0,
) -> AsyncIterator[str]:
    """Serve inside a block of an event loop that runs already.

    A client that goes away cancels its handler. Compressed bodies reach the application as they
    came; `read_body` decodes them.

    Args:
        app: The application.
        host: The address to listen on.
        port: 0 takes a free one.
        say_error: For what is not even a request that the application could see.
        idle_s: Seconds after which a silent connection is closed.
        shutdown_s: Seconds that running requests get at the end.

    Yields:
        The base URL, with the port that it got.

    Raises:
        PortTakenError: Somebody else listens on the port.
        ConfigError: The address is not one of this machine's.
    """
    runner = _Runner(app, say_error, idle_s=idle_s, shutdown_s=shutdown_s)
    await runner.setup()
    try:
        listener = listen(host, port)
        # Named again: the library would have the socket listen once more, with a queue of its own.
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        yield url_of(listener)
    finally:
        await runner.cleanup()


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Read a request's body in its plain form.

    Args:
        request: The request.
        limit: Largest size, before and after decoding.

    Raises:
        BodyError: It is too large, too slow, or not what its headers say.
    """
    if (request.content_length or 0) > limit:
        raise BodyError(too_large(limit))
    try:
        if request.content.is_eof():  # it came with its headers: nothing is waited for
            raw = await request.content.readany()
        else:
            raw = await _read_slowly(request.content, limit)
    except TimeoutError as error:
        raise BodyError(Denial(408, "the request's body did not come in time")) from error
    except web.RequestPayloadError as error:
        raise BodyError(Denial(400, "the request's body is not valid HTTP")) from error
    if len(raw) > limit:
        raise BodyError(too_large(limit))
    encoding = request.headers.get("content-encoding", "")
    return plain_body(raw, encoding, limit) if encoding else raw


async def _read_slowly(content: StreamReader, limit: int) -> bytes:
    """Read a body as it comes, and a little more than the limit at most."""
    pieces: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + _BODY_S
    async with asyncio.timeout(PAUSE_S) as pause:
        while size <= limit and (piece := await content.readany()):
            pieces.append(piece)
            size += len(piece)
            pause.reschedule(min(loop.time() + PAUSE_S, ends_at))
    return b"".join(pieces)


class _Connection(RequestHandler):
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request, in the application's form instead of aiohttp's page."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has been begun")
        if status >= 500:
            logger.error("a request failed outside its handler", exc_info=exc)
        server = self._manager
        assert isinstance(server, _Server)  # noqa: S101 - it made this connection
        response = server.say_error(_denial(status, exc, self.max_field_size))
        last = _LastWords(status=response.status, body=response.body, headers=response.headers)
        last.force_close()
        return last


class _LastWords(web.Response):
    """An answer to what was not read to its end: the rest is let in, or it would be lost."""

    async def write_eof(self, data: bytes = b"") -> None:
        request = self._req
        await super().write_eof(data)
        if request is None:
            return
        request.protocol.close()  # what comes now is dropped; unread, the kernel would reset
        until = asyncio.get_running_loop().time() + _LINGER_S
        while asyncio.get_running_loop().time() < until:
            if request.transport is None or request.transport.is_closing():
                break
            await asyncio.sleep(0.02)


class _Server(web.Server):
    say_error: SayError

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    __slots__ = ("_say_error",)

    def __init__(
        self, app: web.Application, say_error: SayError, *, idle_s: float, shutdown_s: float
    ) -> None:
        super().__init__(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=shutdown_s,
            keepalive_timeout=idle_s,
            auto_decompress=False,
        )
        self._say_error = say_error

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        answer, say_error = made.request_handler, self._say_error

        async def refuse(request: web.BaseRequest) -> web.StreamResponse:
            refused = say_error(Denial(400, f"{request.method} names no path"))
            refused.force_close()  # what follows is meant for another host
            return refused

        def handler(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
            # CONNECT names a host, OPTIONS may name "*": the library answers with a page.
            return answer(request) if request.rel_url.raw_path[:1] == "/" else refuse(request)

        server = _Server(
            handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )
        server.say_error = self._say_error
        return server


def _denial(status: int, error: BaseException | None, limit: int) -> Denial:
    if isinstance(error, LineTooLong):
        return Denial(431, f"a header or the request line is longer than {limit} bytes")
    if status >= 500:
        return Denial(status, "the server failed; its log has the trace")
    return Denial(status, "the request is not valid HTTP")
