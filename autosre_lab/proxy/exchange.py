"""One request that wants an answer, from its arrival to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from autosre_lab.proxy import refusals
from autosre_lab.proxy.asking import Asking
from autosre_lab.proxy.dialect import Ask, Canned, Dialect
from autosre_lab.proxy.launch_header import LAUNCH_HEADER
from autosre_lab.proxy.refusals import Refusal, Refused
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.proxy.state import ProxyState

__all__ = ["EventStreamOf", "Exchange"]

EventStreamOf = Callable[[Mapping[str, str]], web.StreamResponse]
"""Makes what a stream's events are written to, from the headers of the answer."""

_EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class _EventStream(web.StreamResponse):
    # The status line goes out with the first events, in one packet: a write costs more than all
    # that is done for a chunk.
    _send_headers_immediately = False

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)


class Exchange:
    """A request and everything that is known of it so far.

    Args:
        state: The engine, and what the proxy remembers.
        dialect: The API that the client speaks.
        http: The client's HTTP request.
        ask: Its decoded body.
        record: The line for the request log, filled in as things become known.
        started_s: `time.perf_counter()` of the arrival.
        events_to: What a stream's events are written to; a response over HTTP by default.
    """

    def __init__(
        self,
        state: ProxyState,
        dialect: Dialect,
        http: web.Request,
        ask: Ask,
        record: RequestRecord,
        started_s: float,
        events_to: EventStreamOf | None = None,
    ) -> None:
        self._events_to = events_to or _EventStream
        self._state = state
        self._dialect = dialect
        self._http = http
        self._ask = ask
        self._record = record
        self._asking = Asking(
            state, dialect, ask, record, started_s, launch=http.headers.get(LAUNCH_HEADER)
        )
        self._response: web.StreamResponse | None = None
        self._committing = asyncio.Lock()
        self._committed = False
        self._begun = False
        self._send: Callable[[bytes], Awaitable[None]]
        self._alive: asyncio.Task[None] | None = None
        self._last_write_s = started_s
        self._outbox = b""

    async def answer(self) -> web.StreamResponse:
        """Answer the request.

        Raises:
            Refused: It cannot be answered, and nothing has been written yet.
        """
        canned = self._dialect.canned(self._ask, self._record.request_id)
        if canned is not None:
            return await self._say(canned)
        asking = self._asking
        await asking.begin()
        try:
            if self._ask.stream:
                return await self._stream()
            await asking.run()
            asking.answer.finish()
            await self._dialect.keep(self._ask, asking.answer)
            return self._whole(asking.answer.whole())
        finally:
            asking.note_usage()

    # The answer ---------------------------------------------------------------------------------

    async def _stream(self) -> web.StreamResponse:
        response = self._response = self._event_stream()
        silent_s = time.perf_counter() - self._last_write_s
        # A timer, and no task before the engine has been silent for long: few requests need one.
        timer = asyncio.get_running_loop().call_later(
            max(0.0, self._state.config.keepalive_after_s - silent_s),
            self._begin_keepalive,
        )
        try:
            await self._asking.run(self._write)
            answer = self._asking.answer
            ending = self._asking.last_events + answer.finish()
            await self._dialect.keep(self._ask, answer)
            await self._write_last(ending)
        except Refused as error:
            if not self._committed:
                raise
            await self._end_with(error.refusal)
        except asyncio.CancelledError:
            if self._state.closing and self._committed:
                await self._end_with(refusals.closing())
            raise
        finally:
            timer.cancel()
            if self._alive is not None:
                self._alive.cancel()
                await asyncio.gather(self._alive, return_exceptions=True)
        return response

    def _event_stream(self) -> web.StreamResponse:
        return self._events_to({**_EVENT_STREAM, self._dialect.id_header: self._record.request_id})

    def _write(self, events: bytes) -> Awaitable[None]:
        """Write events in the order in which they were made, whoever waits for the status line."""
        response = self._response
        assert response is not None  # noqa: S101 - made before anything is written
        if self._begun and events and not self._outbox:
            # The way of nearly every write; all that costs is in here.
            self._last_write_s = time.perf_counter()
            self._record.bytes_out += len(events)
            return self._send(events)
        return self._write_in_turn(response, events)

    async def _write_last(self, events: bytes) -> None:
        """Write the last events, and the end behind them."""
        response = self._response
        assert response is not None  # noqa: S101 - made before anything is written
        await response.write_eof(await self._ready(response, events))

    async def _write_in_turn(self, response: web.StreamResponse, events: bytes) -> None:
        events = await self._ready(response, events)
        if events:
            await response.write(events)

    async def _ready(self, response: web.StreamResponse, events: bytes) -> bytes:
        """Return what is to be written behind the status line, which goes out first."""
        self._outbox += events
        if not self._begun:
            await self._begin(response)
        events, self._outbox = self._outbox, b""
        if events:
            self._last_write_s = time.perf_counter()
            self._record.bytes_out += len(events)
        return events

    async def _begin(self, response: web.StreamResponse) -> None:
        """Answer with status 200, once, whoever comes first."""
        self._committed = True
        async with self._committing:
            if not self._begun:
                self._record.status = 200
                writer = await response.prepare(self._http)
                # A WebSocket has no writer of its own.
                self._send = response.write if writer is None else writer.write
                self._begun = True

    async def _end_with(self, refusal: Refusal) -> None:
        self._record.error = self._dialect.error_type(refusal)
        try:
            await self._write_last(self._asking.answer.refuse(refusal))
        except ConnectionError:
            self._record.disconnected = True

    def _begin_keepalive(self) -> None:
        self._alive = asyncio.create_task(self._keep_alive())

    async def _keep_alive(self) -> None:
        """Write a sign of life whenever nothing was written for too long.

        What resets a client's watchdog is an event of the answer, so the answer is begun, status
        and all, before the engine has said a word.
        """
        config = self._state.config
        limit_s = config.keepalive_after_s
        while True:
            silent_s = time.perf_counter() - self._last_write_s
            if silent_s < limit_s:
                await asyncio.sleep(limit_s - silent_s)
                continue
            opening = b""
            if not self._asking.answer.started:
                tokens = await self._count_for_keepalive()
                opening = self._asking.answer.start(tokens)
            self._record.keepalives += 1
            self._state.metrics.keepalives.inc()
            try:
                await self._write(opening + self._asking.answer.keepalive())
            except ConnectionError:
                return  # the reading side notices by itself
            limit_s = config.keepalive_every_s

    async def _count_for_keepalive(self) -> int:
        try:
            async with asyncio.timeout(self._state.config.keepalive_after_s):
                return await self._asking.count(self._asking.prompt)
        except (Refused, TimeoutError):
            return 0  # the true number follows at the answer's end

    def _whole(self, body: bytes) -> web.Response:
        self._record.status = 200
        self._record.bytes_out = len(body)
        return web.Response(
            body=body,
            content_type="application/json",
            headers={self._dialect.id_header: self._record.request_id},
        )

    async def _say(self, canned: Canned) -> web.StreamResponse:
        self._record.stop_reason = canned.stop_reason
        if not self._ask.stream:
            return self._whole(canned.body)
        self._response = self._event_stream()
        await self._write_last(canned.body)
        return self._response
