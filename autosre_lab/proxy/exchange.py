"""One request that wants an answer, from its arrival to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from autosre_lab.logs import get_logger
from autosre_lab.proxy import refusals
from autosre_lab.proxy.chat_stream import UpstreamStreamError
from autosre_lab.proxy.counting import EncodedPrompt, encode_prompt
from autosre_lab.proxy.dialect import AnswerStream, Ask, Canned, Dialect
from autosre_lab.proxy.engine_answer import EngineAnswer
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import EngineBrokeError, Refusal, Refused, lacks_tool_parser
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.proxy.resuming import Delivered, continued_chat, may_continue
from autosre_lab.proxy.state import ProxyState
from autosre_lab.proxy.upstream import EngineUnreachableError, read_error, reason
from autosre_lab.proxy.window import Fit, fit, is_overflow

__all__ = ["Exchange"]

logger = get_logger(__name__)

_EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


Write = Callable[[bytes], Awaitable[None]]


class _NoToolParserError(Refused):
    """The engine calls no tools at all; the request can be answered without them."""


class _ClientGoneError(ConnectionError):
    """The client's connection broke, not the engine's."""


class _EventStream(web.StreamResponse):
    # The status line goes out with the first events, in one packet: a write costs more than all
    # that is done for a chunk.
    _send_headers_immediately = False


class Exchange:
    """A request and everything that is known of it so far.

    Args:
        state: The engine, and what the proxy remembers.
        dialect: The API that the client speaks.
        http: The client's HTTP request.
        ask: Its decoded body.
        record: The line for the request log, filled in as things become known.
        started_s: `time.perf_counter()` of the arrival.
    """

    def __init__(
        self,
        state: ProxyState,
        dialect: Dialect,
        http: web.Request,
        ask: Ask,
        record: RequestRecord,
        started_s: float,
    ) -> None:
        self._state = state
        self._dialect = dialect
        self._http = http
        self._ask = ask
        self._record = record
        self._started_s = started_s
        self._response: web.StreamResponse | None = None
        self._committing = asyncio.Lock()
        self._committed = False
        self._begun = False
        self._alive: asyncio.Task[None] | None = None
        self._last_write_s = started_s
        self._outbox = b""
        self._prompt: EncodedPrompt
        self._body: bytes
        self._answer: AnswerStream
        self._wasted = 0

    async def answer(self) -> web.StreamResponse:
        """Answer the request.

        Raises:
            Refused: It cannot be answered, and nothing has been written yet.
        """
        canned = self._dialect.canned(self._ask, self._record.request_id)
        if canned is not None:
            return await self._say(canned)
        profile = await self._profile()
        self._prompt, room = await self._prepare(profile)
        self._body = _encoded(self._prompt.chat, room.max_tokens)
        self._answer = self._answer_for(profile, room)
        try:
            if self._ask.stream:
                return await self._stream()
            await self._relay()
            self._answer.finish()
            return self._whole(self._answer.whole())
        finally:
            self._note_usage(self._prompt, self._answer)

    async def _profile(self) -> EngineProfile:
        """Return what the engine allows; what it allowed, where it has gone and may come back."""
        try:
            return await self._state.profiles.current(images=self._ask.images)
        except EngineUnreachableError:
            last = self._state.profiles.last
            if last is None or not self._state.config.resume_tries:
                raise
            return last

    def _answer_for(self, profile: EngineProfile, room: Fit) -> AnswerStream:
        return self._dialect.answer(
            self._ask, self._record.request_id, profile, window_limited=room.limited
        )

    # The window ---------------------------------------------------------------------------------

    async def _prepare(self, profile: EngineProfile) -> tuple[EncodedPrompt, Fit]:
        """Translate, and fit the answer into the window; ask the engine only where it is close."""
        priority = self._state.config.priorities[self._ask.kind]
        chat = self._dialect.chat(self._ask, profile, priority=priority)
        prompt = encode_prompt(chat)
        if not self._record.resumed:
            self._state.prefixes.note(self._record, prompt, chat)
        wanted = self._ask.wanted
        window = profile.max_model_len
        room = fit(prompt.bound, wanted=wanted, window=window)
        if room is None or room.limited:
            room = fit(self._state.known.bound(prompt), wanted=wanted, window=window)
        if room is not None and not room.limited:
            self._record.counted = "bound"
        else:
            try:
                tokens = await self._count(prompt)
            except EngineUnreachableError:
                if not self._state.config.resume_tries:
                    raise
                # Counted when the engine is back, before anything is asked.
                return prompt, Fit(max_tokens=wanted, limited=False)
            self._record.counted = "exact"
            room = fit(tokens, wanted=wanted, window=window)
            if room is None:
                raise self._overflow(tokens, window)
        self._state.metrics.counts.labels(self._record.counted).inc()
        self._record.max_tokens = room.max_tokens or 0
        return prompt, room

    async def _count(self, prompt: EncodedPrompt) -> int:
        return await self._state.upstream.count(prompt.tokenize_body())

    def _overflow(self, tokens: int, window: int) -> Refused:
        self._state.metrics.overflows.inc()
        return Refused(refusals.overflow(tokens, window=window, wanted=self._ask.wanted))

    # The engine ---------------------------------------------------------------------------------

    async def _relay(self, write: Write | None = None) -> None:
        """Ask the engine and write the events of each read; where it breaks off, ask again.

        Raises:
            Refused: The engine refused, or broke off and the answer cannot go on.
        """
        sent_s = time.perf_counter()
        self._record.added_ms = round((sent_s - self._started_s) * 1e3, 3)
        self._state.metrics.added.observe(sent_s - self._started_s)
        try:
            while True:
                try:
                    return await self._ask_engine(write)
                except _NoToolParserError:
                    # Learned by the refusal, once for as long as the engine lives.
                    self._state.profiles.learn(tools=False)
                    await self._make_again(await self._profile(), Delivered(), write)
                except EngineBrokeError as broke:
                    if not await self._resume(broke, write):
                        return None
        except Refused:
            if self._record.resumed:
                self._record.resume = "gave_up"
            raise
        finally:
            if self._record.resume:
                self._state.metrics.resumes.labels(self._record.resume).inc()

    async def _ask_engine(self, write: Write | None) -> None:
        record, answer = self._record, self._answer
        try:
            async with self._state.upstream.chat(self._body) as response:
                if response.status != 200:
                    said = refusals.engine_message(await read_error(response))
                    raise await self._refused(response.status, said, response)
                events = EngineAnswer(response, answer)
                while (ready := await events.next()) is not None:
                    if record.ttft_ms is None and answer.first_token_seen:
                        self._note_first_token()
                    if ready and write is not None:
                        try:
                            await write(ready)
                        except ConnectionError as error:
                            raise _ClientGoneError from error
        except _ClientGoneError:
            raise
        except EngineUnreachableError:
            self._state.profiles.forget()
            raise
        except UpstreamStreamError as error:
            if error.status >= 500:
                raise EngineBrokeError(refusals.broken_stream(error.message)) from error
            raise await self._refused(error.status, error.message, None) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._state.profiles.forget()
            raise EngineBrokeError(refusals.broken_stream(reason(error))) from error
        if answer.finish_reason is None:
            raise EngineBrokeError(refusals.broken_stream("it gave no reason to stop"))

    # An answer that broke off ---------------------------------------------------------------------

    async def _resume(self, broke: EngineBrokeError, write: Write | None) -> bool:
        """Wait for the engine, and make ready to ask it again.

        Returns:
            False where the answer ends with the tool calls that the client has already.

        Raises:
            Refused: Nothing more can be tried.
        """
        record, config = self._record, self._state.config
        given = self._answer.delivered() if write is not None else Delivered()
        if not config.resume_tries:
            raise broke
        if given.whole_call:
            self._answer.end_with_calls()
            record.resume = "ended"
            return False
        continuing = bool(given.text.strip())
        if not continuing or given.call is not None:
            self._wasted += self._answer.counts.output
        record.resume = "gave_up"
        if record.resumed >= config.resume_tries or self._wasted > config.resume_tokens:
            raise broke
        if continuing and not may_continue(self._prompt.chat):
            raise broke
        record.resumed += 1
        logger.info("%s: %s; it is asked again", record.request_id, broke.refusal.message)
        record.resume = "client_gone"  # unless it is still there when the engine is
        profile = await self._state.engine_back(record.resumed, images=self._ask.images)
        record.resume = "gave_up"
        if continuing and not profile.continues:
            raise broke
        await self._make_again(profile, given, write)
        record.resume = "call_again" if given.call else "continued" if continuing else "again"
        return True

    async def _make_again(
        self, profile: EngineProfile, given: Delivered, write: Write | None
    ) -> None:
        """Make the request that goes on with what the client has."""
        self._prompt, room = await self._prepare(profile)
        fresh = self._answer_for(profile, room)
        continuing = bool(given.text.strip())
        if write is None or not self._answer.started:
            self._answer = fresh
        else:
            self._answer.rewind(continuing=continuing, inside_thinking=fresh.inside_thinking)
        chat = continued_chat(self._prompt.chat, given) if continuing else self._prompt.chat
        limit = room.max_tokens
        if limit is not None and continuing:
            limit = max(1, limit - self._answer.counts.output)
        self._body = _encoded(chat, limit)

    async def _refused(
        self,
        status: int,
        message: str,
        response: aiohttp.ClientResponse | None,
    ) -> Refused:
        if status == 404:
            self._state.profiles.forget()
        headers = response.headers if response is not None else {}
        refused = refusals.engine_refused(status, message, headers, self._ask.kind)
        if status == 400 and lacks_tool_parser(message) and "tools" in self._prompt.chat:
            return _NoToolParserError(refused)
        if status == 400 and is_overflow(message):
            # Our bound was wrong or the window has shrunk: count, and say it so that it helps.
            self._state.profiles.forget()
            try:
                profile = await self._state.profiles.current()
                tokens = await self._count(self._prompt)
            except Refused as error:
                return error
            if fit(tokens, wanted=self._ask.wanted, window=profile.max_model_len) is None:
                return self._overflow(tokens, profile.max_model_len)
        if refused.kind == "unavailable" and not 300 <= status < 400:
            return EngineBrokeError(refused)
        return Refused(refused)

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
            await self._relay(self._write)
            await self._write(self._answer.finish(), last=True)
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
        return _EventStream(
            headers={**_EVENT_STREAM, self._dialect.id_header: self._record.request_id}
        )

    async def _write(self, events: bytes, *, last: bool = False) -> None:
        """Write events in the order in which they were made, whoever waits for the status line."""
        response = self._response
        assert response is not None  # noqa: S101 - made before anything is written
        if not self._begun or self._outbox:
            self._outbox += events
            if not self._begun:
                await self._begin(response)
            events, self._outbox = self._outbox, b""
        if events:
            self._last_write_s = time.perf_counter()
            self._record.bytes_out += len(events)
        if last:
            await response.write_eof(events)
        elif events:
            await response.write(events)

    async def _begin(self, response: web.StreamResponse) -> None:
        """Answer with status 200, once, whoever comes first."""
        self._committed = True
        async with self._committing:
            if not self._begun:
                self._record.status = 200
                await response.prepare(self._http)
                self._begun = True

    async def _end_with(self, refusal: Refusal) -> None:
        self._record.error = self._dialect.error_type(refusal)
        try:
            await self._write(self._answer.refuse(refusal), last=True)
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
            if not self._answer.started:
                tokens = await self._count_for_keepalive()
                opening = self._answer.start(tokens)
            self._record.keepalives += 1
            self._state.metrics.keepalives.inc()
            try:
                await self._write(opening + self._answer.keepalive())
            except ConnectionError:
                return  # the reading side notices by itself
            limit_s = config.keepalive_every_s

    async def _count_for_keepalive(self) -> int:
        try:
            async with asyncio.timeout(self._state.config.keepalive_after_s):
                return await self._count(self._prompt)
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

    def _note_first_token(self) -> None:
        ttft_s = time.perf_counter() - self._started_s
        self._record.ttft_ms = round(ttft_s * 1e3, 3)
        self._state.metrics.ttft.labels(self._record.kind).observe(ttft_s)

    def _note_usage(self, prompt: EncodedPrompt, stream: AnswerStream) -> None:
        counts = stream.counts
        record = self._record
        record.input_tokens = counts.computed
        record.cached_tokens = counts.cached
        record.output_tokens = counts.output
        record.stop_reason = stream.stop_reason or ""
        tokens = self._state.metrics.tokens
        tokens.labels("input").inc(record.input_tokens)
        tokens.labels("cached").inc(record.cached_tokens)
        tokens.labels("output").inc(record.output_tokens)
        if stream.first_token_seen and counts.prompt:
            self._state.known.learn(prompt, counts.prompt)
            self._state.prefixes.learn(record, prompt)


def _encoded(chat: Mapping[str, Any], limit: int | None) -> bytes:
    return msgspec.json.encode(chat if limit is None else {**chat, "max_completion_tokens": limit})
