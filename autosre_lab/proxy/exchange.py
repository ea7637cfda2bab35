"""One request of /v1/messages from its arrival to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from aiohttp import web

from autosre_lab.logs import get_logger
from autosre_lab.proxy import failures
from autosre_lab.proxy.chat_stream import ChunkDecoder, UpstreamStreamError
from autosre_lab.proxy.counting import EncodedPrompt, encode_prompt
from autosre_lab.proxy.failures import Failure
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import MessagesRequest
from autosre_lab.proxy.messages.search_refusal import (
    refusal_events,
    refusal_message,
    wants_only_search,
)
from autosre_lab.proxy.messages.stream import MessageStream
from autosre_lab.proxy.priority import RequestKind
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.proxy.upstream import EngineUnreachableError, TemplateRejectedError, reason
from autosre_lab.proxy.window import Fit, fit, is_overflow, overflow_message

if TYPE_CHECKING:
    from autosre_lab.proxy.server import Proxy

__all__ = ["Exchange", "ExchangeFailed"]

logger = get_logger(__name__)

_EVENT_STREAM = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


class ExchangeFailed(Exception):  # noqa: N818 - an outcome with a failure, not a fault of ours
    """The request cannot be answered; carries what the client is told."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Exchange:
    """A request and everything that is known of it so far.

    Args:
        proxy: The proxy with its engine, metrics and memory of prompts.
        http: The client's HTTP request.
        request: Its decoded body.
        record: The line for the request log, filled in as things become known.
        started_s: `time.perf_counter()` of the arrival.
    """

    def __init__(
        self,
        proxy: Proxy,
        http: web.Request,
        request: MessagesRequest,
        record: RequestRecord,
        started_s: float,
    ) -> None:
        self._proxy = proxy
        self._http = http
        self._request = request
        self._record = record
        self._started_s = started_s
        self._conversation = f"{record.session}/{record.agent}"
        self._response: web.StreamResponse | None = None
        self._committing: asyncio.Task[None] | None = None
        self._last_write_s = started_s
        self._learned = False

    @property
    def kind(self) -> RequestKind:
        """What the request is for."""
        kind: RequestKind = self._record.kind  # type: ignore[assignment]
        return kind

    async def answer(self) -> web.StreamResponse:
        """Answer the request.

        Raises:
            ExchangeFailed: It cannot be answered, and nothing has been written yet.
        """
        if wants_only_search(self._request):
            return await self._refuse_search()
        try:
            profile = await self._proxy.profiles.current()
            prompt, room = await self._prepare(profile)
        except EngineUnreachableError as error:
            raise ExchangeFailed(error.failure) from error
        body = msgspec.json.encode({**prompt.chat, "max_completion_tokens": room.max_tokens})
        stream = MessageStream(
            message_id=self._record.request_id.replace("req_", "msg_", 1),
            model=self._request.model,
            stop_sequences=self._request.stop_sequences or (),
            window_limited=room.limited,
        )
        try:
            if self._request.stream:
                return await self._stream(prompt, body, stream)
            await self._collect(prompt, body, stream)
            return self._whole(msgspec.json.encode(stream.message()))
        finally:
            self._note_usage(prompt, stream)

    # The window ---------------------------------------------------------------------------------

    async def _prepare(self, profile: EngineProfile) -> tuple[EncodedPrompt, Fit]:
        """Translate, and fit the answer into the window; ask the engine only where it is close."""
        chat = to_chat_request(
            self._request,
            profile,
            max_tokens=None,
            priority=self._proxy.config.priorities[self.kind],
        )
        prompt = encode_prompt(chat)
        self._proxy.prefixes.note(self._record, prompt, chat)
        wanted = self._request.max_tokens or 1
        window = profile.max_model_len
        room = fit(
            self._proxy.known.bound(self._conversation, prompt), wanted=wanted, window=window
        )
        if room is not None and not room.limited:
            self._record.counted = "bound"
        else:
            tokens = await self._count(prompt)
            self._record.counted = "exact"
            room = fit(tokens, wanted=wanted, window=window)
            if room is None:
                raise self._overflow(tokens, window)
        self._proxy.metrics.counts.labels(self._record.counted).inc()
        self._record.max_tokens = room.max_tokens
        return prompt, room

    async def _count(self, prompt: EncodedPrompt) -> int:
        try:
            return await self._proxy.upstream.count(prompt.tokenize_body())
        except TemplateRejectedError as error:
            raise ExchangeFailed(failures.bad_request(str(error))) from error

    def _overflow(self, tokens: int, window: int) -> ExchangeFailed:
        self._proxy.metrics.overflows.inc()
        wanted = self._request.max_tokens or 1
        return ExchangeFailed(
            failures.bad_request(overflow_message(tokens, window=window, wanted=wanted))
        )

    # The engine ---------------------------------------------------------------------------------

    async def _chunks(
        self, prompt: EncodedPrompt, body: bytes, stream: MessageStream
    ) -> AsyncIterator[bytes]:
        """Send the request and yield the translated events of each read.

        Raises:
            ExchangeFailed: The engine refused, cannot be reached, or broke off.
        """
        sent_s = time.perf_counter()
        self._record.added_ms = round((sent_s - self._started_s) * 1e3, 3)
        self._proxy.metrics.added.observe(sent_s - self._started_s)
        try:
            async with self._proxy.upstream.chat(body) as response:
                if response.status != 200:
                    raise await self._refused(response, prompt)
                tail = b""
                decoder = ChunkDecoder()
                async for data in response.content.iter_any():
                    lines = (tail + data).split(b"\n")
                    tail = lines.pop()
                    events = b""
                    for line in lines:
                        if line.startswith(b"data:"):
                            chunk = decoder.decode(line[5:])
                            if chunk is not None:
                                events += stream.feed(chunk)
                    if self._record.ttft_ms is None and stream.first_token_seen:
                        self._note_first_token()
                    if events:
                        yield events
        except EngineUnreachableError as error:
            self._proxy.profiles.forget()
            raise ExchangeFailed(error.failure) from error
        except UpstreamStreamError as error:
            raise ExchangeFailed(self._stream_failure(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._proxy.profiles.forget()
            raise ExchangeFailed(failures.broken_stream(reason(error))) from error
        if not stream.finished:
            raise ExchangeFailed(failures.broken_stream("it gave no reason to stop"))

    async def _refused(
        self, response: aiohttp.ClientResponse, prompt: EncodedPrompt
    ) -> ExchangeFailed:
        body = await response.read()
        if response.status == 404:
            self._proxy.profiles.forget()
        if response.status == 400 and is_overflow(failures.engine_message(body)):
            # Our bound was wrong or the window has shrunk: count, and say it so that it helps.
            self._proxy.profiles.forget()
            try:
                profile = await self._proxy.profiles.current()
                tokens = await self._count(prompt)
            except EngineUnreachableError as error:
                return ExchangeFailed(error.failure)
            wanted = self._request.max_tokens or 1
            if fit(tokens, wanted=wanted, window=profile.max_model_len) is None:
                return self._overflow(tokens, profile.max_model_len)
        return ExchangeFailed(
            failures.engine_refused(response.status, body, response.headers, self.kind)
        )

    def _stream_failure(self, error: UpstreamStreamError) -> Failure:
        if 400 <= error.status < 500:
            return failures.bad_request(error.message)
        return failures.broken_stream(error.message)

    # The answer ---------------------------------------------------------------------------------

    async def _collect(self, prompt: EncodedPrompt, body: bytes, stream: MessageStream) -> None:
        async for _ in self._chunks(prompt, body, stream):
            pass
        stream.finish()

    async def _stream(
        self, prompt: EncodedPrompt, body: bytes, stream: MessageStream
    ) -> web.StreamResponse:
        response = self._response = web.StreamResponse(
            headers={**_EVENT_STREAM, "request-id": self._record.request_id}
        )
        alive = asyncio.create_task(self._keep_alive(prompt, stream))
        try:
            async for events in self._chunks(prompt, body, stream):
                if not response.prepared:
                    await self._commit()
                await self._write(events)
            if not response.prepared:
                await self._commit()
            await self._write(stream.finish())
            await response.write_eof()
        except ExchangeFailed as error:
            if self._committing is None:
                raise
            await self._commit()
            await self._end_with(error.failure, stream)
        except asyncio.CancelledError:
            if self._proxy.closing and self._committing is not None:
                await self._end_with(failures.shutting_down(), stream)
            raise
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)
        return response

    async def _commit(self) -> None:
        """Send status 200, once, whoever comes first."""
        if self._committing is None:
            assert self._response is not None  # noqa: S101 - made before anything is written
            self._record.status = 200
            self._committing = asyncio.create_task(self._begin(self._response))
        await asyncio.shield(self._committing)

    async def _begin(self, response: web.StreamResponse) -> None:
        await response.prepare(self._http)

    async def _write(self, events: bytes) -> None:
        assert self._response is not None  # noqa: S101 - made before anything is written
        self._last_write_s = time.perf_counter()
        self._record.bytes_out += len(events)
        await self._response.write(events)

    async def _end_with(self, failure: Failure, stream: MessageStream) -> None:
        assert self._response is not None  # noqa: S101 - made before anything is written
        self._record.error = failure.type
        try:
            await self._write(stream.error(failure.type, failure.message))
            await self._response.write_eof()
        except ConnectionError:
            self._record.disconnected = True

    async def _keep_alive(self, prompt: EncodedPrompt, stream: MessageStream) -> None:
        """Write a sign of life whenever nothing was written for too long.

        Claude Code's stream watchdog is only reset by an empty `thinking_delta`, so the answer is
        begun, status and all, before the engine has said a word.
        """
        config = self._proxy.config
        limit_s = config.keepalive_after_s
        while True:
            silent_s = time.perf_counter() - self._last_write_s
            if silent_s < limit_s:
                await asyncio.sleep(limit_s - silent_s)
                continue
            opening = b""
            if not stream.started:
                tokens = await self._count_for_keepalive(prompt)
                await self._commit()
                opening = stream.start(tokens)
            self._record.keepalives += 1
            self._proxy.metrics.keepalives.inc()
            try:
                await self._write(opening + stream.keepalive())
            except ConnectionError:
                return  # the reading side notices by itself
            limit_s = config.keepalive_every_s

    async def _count_for_keepalive(self, prompt: EncodedPrompt) -> int:
        try:
            async with asyncio.timeout(self._proxy.config.keepalive_after_s):
                return await self._count(prompt)
        except (ExchangeFailed, EngineUnreachableError, TimeoutError):
            return 0  # the true number follows in message_delta

    def _whole(self, body: bytes) -> web.Response:
        self._record.status = 200
        self._record.bytes_out = len(body)
        return web.Response(
            body=body,
            content_type="application/json",
            headers={"request-id": self._record.request_id},
        )

    async def _refuse_search(self) -> web.StreamResponse:
        """Say that nothing was searched, instead of letting a model invent results."""
        message_id = self._record.request_id.replace("req_", "msg_", 1)
        self._record.stop_reason = "end_turn"
        if not self._request.stream:
            return self._whole(
                msgspec.json.encode(refusal_message(message_id, self._request.model))
            )
        self._response = web.StreamResponse(
            headers={**_EVENT_STREAM, "request-id": self._record.request_id}
        )
        await self._commit()
        await self._write(refusal_events(message_id, self._request.model))
        await self._response.write_eof()
        return self._response

    # What is remembered ---------------------------------------------------------------------------

    def _note_first_token(self) -> None:
        ttft_s = time.perf_counter() - self._started_s
        self._record.ttft_ms = round(ttft_s * 1e3, 3)
        self._proxy.metrics.ttft.labels(self._record.kind).observe(ttft_s)

    def _note_usage(self, prompt: EncodedPrompt, stream: MessageStream) -> None:
        usage = stream.usage
        record = self._record
        uncached = usage.prompt_tokens - usage.cache_read_input_tokens
        record.input_tokens = uncached
        record.cached_tokens = usage.cache_read_input_tokens
        record.output_tokens = usage.output_tokens
        record.stop_reason = stream.stop_reason or ""
        tokens = self._proxy.metrics.tokens
        tokens.labels("input").inc(uncached)
        tokens.labels("cached").inc(usage.cache_read_input_tokens)
        tokens.labels("output").inc(usage.output_tokens)
        total = usage.prompt_tokens
        if record.session and stream.first_token_seen and total:
            self._proxy.known.learn(self._conversation, prompt, total)
            self._proxy.prefixes.learn(record, prompt)


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header's value, cut to what a log line should hold."""
    return headers.get(name, "")[:200]
