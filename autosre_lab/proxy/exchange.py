"""One request that wants an answer, from its arrival to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from autosre_lab.proxy import refusals
from autosre_lab.proxy.chat_stream import UpstreamStreamError
from autosre_lab.proxy.counting import EncodedPrompt, encode_prompt
from autosre_lab.proxy.dialect import AnswerStream, Ask, Canned, Dialect
from autosre_lab.proxy.engine_answer import EngineAnswer
from autosre_lab.proxy.launch_header import LAUNCH_HEADER
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import Refusal, Refused, lacks_tool_parser
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.proxy.searching import SearchingAnswer, SearchRounds
from autosre_lab.proxy.state import ProxyState
from autosre_lab.proxy.upstream import EngineUnreachableError, read_error, reason
from autosre_lab.proxy.window import Fit, fit, is_overflow

__all__ = ["EventStreamOf", "Exchange"]

EventStreamOf = Callable[[Mapping[str, str]], web.StreamResponse]
"""Makes what a stream's events are written to, from the headers of the answer."""

_EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class _NoToolParser(Refused):
    """The engine calls no tools at all; the request can be answered without them."""


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
        events_to: EventStreamOf = _EventStream,
    ) -> None:
        self._events_to = events_to
        self._state = state
        self._dialect = dialect
        self._http = http
        self._ask = ask
        self._record = record
        self._started_s = started_s
        self._prompt: EncodedPrompt | None = None
        self._response: web.StreamResponse | None = None
        self._committing = asyncio.Lock()
        self._committed = False
        self._begun = False
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
        try:
            return await self._answer_with(await self._profile())
        except _NoToolParser:
            # Learned by the refusal, once for as long as the engine lives.
            self._state.profiles.learn(tools=False)
            return await self._answer_with(await self._profile())

    async def _profile(self) -> EngineProfile:
        return await self._state.profiles.current(images=self._ask.images)

    async def _answer_with(self, profile: EngineProfile) -> web.StreamResponse:
        prompt, room = await self._prepare(profile)
        self._prompt = prompt
        body = _body(prompt, room)
        stream = self._dialect.answer(
            self._ask, self._record.request_id, profile, window_limited=room.limited
        )
        try:
            events = self._events(prompt, body, stream)
            if self._ask.search is not None:
                events = self._searched(profile, prompt, body, stream)
            if self._ask.stream:
                return await self._stream(prompt, stream, events)
            await self._collect(stream, events)
            return self._whole(stream.whole())
        finally:
            self._note_usage(stream)

    # The window ---------------------------------------------------------------------------------

    async def _prepare(self, profile: EngineProfile) -> tuple[EncodedPrompt, Fit]:
        """Translate, and fit the answer into the window."""
        chat = self._chat(profile)
        prompt = encode_prompt(chat)
        self._state.prefixes.note(self._record, prompt, chat)
        launch = self._http.headers.get(LAUNCH_HEADER)
        if launch and self._ask.kind == "main":
            self._state.leading.learn(launch, chat)
        return prompt, await self._fit(prompt, self._ask.wanted, profile.max_model_len)

    def _chat(self, profile: EngineProfile) -> dict[str, Any]:
        priority = self._state.config.priorities[self._ask.kind]
        return self._dialect.chat(self._ask, profile, priority=priority)

    async def _fit(self, prompt: EncodedPrompt, wanted: int | None, window: int) -> Fit:
        """Fit the answer into the window; ask the engine only where it is close."""
        room = fit(prompt.bound, wanted=wanted, window=window)
        if room is None or room.limited:
            room = fit(self._state.known.bound(prompt), wanted=wanted, window=window)
        if room is not None and not room.limited:
            self._record.counted = "bound"
        else:
            tokens = await self._count(prompt)
            self._record.counted = "exact"
            room = fit(tokens, wanted=wanted, window=window)
            if room is None:
                raise self._overflow(tokens, window)
        self._state.metrics.counts.labels(self._record.counted).inc()
        self._record.max_tokens = room.max_tokens or 0
        return room

    async def _count(self, prompt: EncodedPrompt) -> int:
        return await self._state.upstream.count(prompt.tokenize_body())

    def _overflow(self, tokens: int, window: int) -> Refused:
        self._state.metrics.overflows.inc()
        return Refused(refusals.overflow(tokens, window=window, wanted=self._ask.wanted))

    # The engine ---------------------------------------------------------------------------------

    async def _events(
        self, prompt: EncodedPrompt, body: bytes, stream: AnswerStream
    ) -> AsyncIterator[bytes]:
        """Send the request and yield the translated events of each read.

        Raises:
            Refused: The engine refused, cannot be reached, or broke off.
        """
        if self._record.added_ms is None:
            self._note_added()
        try:
            async with self._state.upstream.chat(body) as response:
                if response.status != 200:
                    said = refusals.engine_message(await read_error(response))
                    raise await self._refused(response.status, said, response, prompt)
                answer = EngineAnswer(response, stream)
                while (chunks := await answer.next()) is not None:
                    events = b"".join(map(stream.feed, chunks))
                    if self._record.ttft_ms is None and stream.first_token_seen:
                        self._note_first_token()
                    if events:
                        yield events
        except EngineUnreachableError:
            self._state.profiles.forget()
            raise
        except UpstreamStreamError as error:
            if error.status >= 500:
                raise Refused(refusals.broken_stream(error.message)) from error
            raise await self._refused(error.status, error.message, None, prompt) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._state.profiles.forget()
            raise Refused(refusals.broken_stream(reason(error))) from error
        if not stream.finished:
            raise Refused(refusals.broken_stream("it gave no reason to stop"))

    async def _searched(
        self, profile: EngineProfile, prompt: EncodedPrompt, body: bytes, stream: AnswerStream
    ) -> AsyncIterator[bytes]:
        """Ask the engine, make the searches that it calls for, and ask it again, until it is done.

        Raises:
            Refused: As from `_events`.
        """
        searcher, ask = self._state.config.search, self._ask.search
        assert isinstance(stream, SearchingAnswer)  # noqa: S101 - where a dialect reads searches
        assert ask is not None and searcher is not None  # noqa: S101 - the same
        rounds = SearchRounds(ask, stream, searcher)
        chat, asks = self._chat(profile), not rounds.begins_with_search
        if not asks:
            self._note_added()
        while True:
            if asks:
                async for events in self._events(prompt, body, stream):
                    yield events
            async for events in rounds.search():
                yield events
            self._record.searches = stream.searches
            if not rounds.goes_on:
                return
            chat = rounds.next_chat(chat, profile)
            following = encode_prompt(chat)
            room = await self._room(following, stream, profile.max_model_len)
            if room is None:
                return
            if asks:
                self._note_usage(stream)
            asks, prompt, body = True, following, _body(following, room)
            self._prompt = prompt
            stream.go_on(window_limited=room.limited)

    async def _room(
        self, prompt: EncodedPrompt, stream: SearchingAnswer, window: int
    ) -> Fit | None:
        """Fit the rest of an answer into the window; where nothing is left, it ends there."""
        wanted = self._ask.wanted
        if wanted is not None and (wanted := wanted - stream.counts.output) < 1:
            stream.cut(by_window=False)
            return None
        try:
            return await self._fit(prompt, wanted, window)
        except Refused as error:
            if error.refusal.overflow is None:
                raise
            stream.cut(by_window=True)
            return None

    async def _refused(
        self,
        status: int,
        message: str,
        response: aiohttp.ClientResponse | None,
        prompt: EncodedPrompt,
    ) -> Refused:
        if status == 404:
            self._state.profiles.forget()
        headers = response.headers if response is not None else {}
        refused = refusals.engine_refused(status, message, headers, self._ask.kind)
        if status == 400 and lacks_tool_parser(message) and "tools" in prompt.chat:
            return _NoToolParser(refused)
        if status == 400 and is_overflow(message):
            # Our bound was wrong or the window has shrunk: count, and say it so that it helps.
            self._state.profiles.forget()
            try:
                profile = await self._state.profiles.current()
                tokens = await self._count(prompt)
            except Refused as error:
                return error
            if fit(tokens, wanted=self._ask.wanted, window=profile.max_model_len) is None:
                return self._overflow(tokens, profile.max_model_len)
        return Refused(refused)

    # The answer ---------------------------------------------------------------------------------

    async def _collect(self, stream: AnswerStream, events: AsyncIterator[bytes]) -> None:
        async for _ in events:
            pass
        stream.finish()
        await self._dialect.keep(self._ask, stream)

    async def _stream(
        self, prompt: EncodedPrompt, stream: AnswerStream, answer: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = self._response = self._event_stream()
        silent_s = time.perf_counter() - self._last_write_s
        # A timer, and no task before the engine has been silent for long: few requests need one.
        timer = asyncio.get_running_loop().call_later(
            max(0.0, self._state.config.keepalive_after_s - silent_s),
            self._begin_keepalive,
            prompt,
            stream,
        )
        try:
            async for events in answer:
                await self._write(events)
            ending = stream.finish()
            await self._dialect.keep(self._ask, stream)
            await self._write(ending, last=True)
        except Refused as error:
            if not self._committed:
                raise
            await self._end_with(error.refusal, stream)
        except asyncio.CancelledError:
            if self._state.closing and self._committed:
                await self._end_with(refusals.closing(), stream)
            raise
        finally:
            timer.cancel()
            if self._alive is not None:
                self._alive.cancel()
                await asyncio.gather(self._alive, return_exceptions=True)
        return response

    def _event_stream(self) -> web.StreamResponse:
        return self._events_to({**_EVENT_STREAM, self._dialect.id_header: self._record.request_id})

    async def _write(self, events: bytes, *, last: bool = False) -> None:
        """Write events in the order in which they were made, whoever waits for the status line."""
        response = self._response
        assert response is not None  # noqa: S101 - made before anything is written
        self._outbox += events
        if not self._begun:
            await self._begin(response)
        ready, self._outbox = self._outbox, b""
        if ready:
            self._last_write_s = time.perf_counter()
            self._record.bytes_out += len(ready)
        if last:
            await response.write_eof(ready)
        elif ready:
            await response.write(ready)

    async def _begin(self, response: web.StreamResponse) -> None:
        """Answer with status 200, once, whoever comes first."""
        self._committed = True
        async with self._committing:
            if not self._begun:
                self._record.status = 200
                await response.prepare(self._http)
                self._begun = True

    async def _end_with(self, refusal: Refusal, stream: AnswerStream) -> None:
        self._record.error = self._dialect.error_type(refusal)
        try:
            await self._write(stream.refuse(refusal), last=True)
        except ConnectionError:
            self._record.disconnected = True

    def _begin_keepalive(self, prompt: EncodedPrompt, stream: AnswerStream) -> None:
        self._alive = asyncio.create_task(self._keep_alive(prompt, stream))

    async def _keep_alive(self, prompt: EncodedPrompt, stream: AnswerStream) -> None:
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
            if not stream.started:
                tokens = await self._count_for_keepalive(prompt)
                opening = stream.start(tokens)
            self._record.keepalives += 1
            self._state.metrics.keepalives.inc()
            try:
                await self._write(opening + stream.keepalive())
            except ConnectionError:
                return  # the reading side notices by itself
            limit_s = config.keepalive_every_s

    async def _count_for_keepalive(self, prompt: EncodedPrompt) -> int:
        try:
            async with asyncio.timeout(self._state.config.keepalive_after_s):
                return await self._count(prompt)
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
        await self._write(canned.body, last=True)
        return self._response

    # What is remembered ---------------------------------------------------------------------------

    def _note_added(self) -> None:
        added_s = time.perf_counter() - self._started_s
        self._record.added_ms = round(added_s * 1e3, 3)
        self._state.metrics.added.observe(added_s)

    def _note_first_token(self) -> None:
        ttft_s = time.perf_counter() - self._started_s
        self._record.ttft_ms = round(ttft_s * 1e3, 3)
        self._state.metrics.ttft.labels(self._record.kind).observe(ttft_s)

    def _note_usage(self, stream: AnswerStream) -> None:
        counts = stream.counts
        record = self._record
        record.input_tokens += counts.computed
        record.cached_tokens += counts.cached
        record.output_tokens = counts.output
        record.stop_reason = stream.stop_reason or ""
        tokens = self._state.metrics.tokens
        tokens.labels("input").inc(counts.computed)
        tokens.labels("cached").inc(counts.cached)
        tokens.labels("output").inc(counts.output - counts.earlier)
        prompt = self._prompt
        if prompt is not None and stream.first_token_seen and counts.prompt:
            self._state.known.learn(prompt, counts.prompt)
            self._state.prefixes.learn(record, prompt)


def _body(prompt: EncodedPrompt, room: Fit) -> bytes:
    limit = {} if room.max_tokens is None else {"max_completion_tokens": room.max_tokens}
    return msgspec.json.encode({**prompt.chat, **limit})
