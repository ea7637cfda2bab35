"""The engine's side of one request: what it is asked, and asked again where it breaks off."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from autosre_lab.logs import get_logger
from autosre_lab.proxy import refusals
from autosre_lab.proxy.chat_stream import UpstreamStreamError
from autosre_lab.proxy.counting import EncodedPrompt, encode_prompt
from autosre_lab.proxy.dialect import AnswerStream, Ask, Dialect
from autosre_lab.proxy.engine_answer import EngineAnswer
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import EngineBrokeError, Refused, lacks_tool_parser
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.proxy.resuming import Delivered, continued_chat, may_continue
from autosre_lab.proxy.searching import SearchingAnswer, SearchRounds
from autosre_lab.proxy.state import ProxyState
from autosre_lab.proxy.upstream import EngineUnreachableError, read_error, reason
from autosre_lab.proxy.window import Fit, fit, is_overflow

__all__ = ["Asking", "Write"]

logger = get_logger(__name__)

Write = Callable[[bytes], Awaitable[None]]


class _NoToolParserError(Refused):
    """The engine calls no tools at all; the request can be answered without them."""


class _ClientGoneError(ConnectionError):
    """The client's connection broke, not the engine's."""


class Asking:
    """Asks the engine for one answer.

    Args:
        state: The engine, and what the proxy remembers.
        dialect: The API that the client speaks.
        ask: The request.
        record: The line for the request log.
        started_s: `time.perf_counter()` of the request's arrival.
        launch: How the client was launched, as it says.

    Attributes:
        answer: What the engine says, on its way to the client; there after `begin`.
        prompt: What it is asked now.
        last_events: What came together with the answer's end, to be written together with it.
    """

    answer: AnswerStream
    prompt: EncodedPrompt

    def __init__(
        self,
        state: ProxyState,
        dialect: Dialect,
        ask: Ask,
        record: RequestRecord,
        started_s: float,
        *,
        launch: str | None = None,
    ) -> None:
        self._launch = launch
        self._state = state
        self._dialect = dialect
        self._ask = ask
        self._record = record
        self._started_s = started_s
        self._body = b""
        # The question of a later round, of an answer in which the web is searched.
        self._later: dict[str, Any] | None = None
        self._wasted = 0
        self.last_events = b""

    async def begin(self) -> None:
        """Translate the request, and fit the answer into the window.

        Raises:
            Refused: It cannot be asked.
        """
        self._profile = await self._known_profile()
        self.prompt, room = await self._prepare(self._profile)
        self._body = _encoded(self.prompt.chat, room.max_tokens)
        self.answer = self._answer_for(self._profile, room)

    def run(self, write: Write | None = None) -> Awaitable[None]:
        """Ask until the answer is whole.

        Args:
            write: Writes the events of each read to the client; None where it wants no stream.

        Raises:
            Refused: The engine refused, or broke off and the answer cannot go on.
        """
        if self._ask.search is not None:
            return self._searched(write)
        self._note_added()
        return self._relay(write)

    # The window ---------------------------------------------------------------------------------

    async def _known_profile(self) -> EngineProfile:
        """Return what the engine allows; what it allowed, where it has gone and may come back."""
        try:
            return await self._state.profiles.current(images=self._ask.images)
        except EngineUnreachableError as error:
            last = self._state.profiles.last
            if last is None or not self._may_come_back(error):
                raise
            return last

    def _may_come_back(self, error: EngineUnreachableError) -> bool:
        return error.refusal.kind == "unavailable" and self._state.config.resume_tries > 0

    def _answer_for(self, profile: EngineProfile, room: Fit) -> AnswerStream:
        return self._dialect.answer(
            self._ask, self._record.request_id, profile, window_limited=room.limited
        )

    async def _prepare(self, profile: EngineProfile) -> tuple[EncodedPrompt, Fit]:
        chat = self._chat(profile)
        prompt = encode_prompt(chat)
        if not self._record.resumed:
            self._state.prefixes.note(self._record, prompt, chat)
            if self._launch and self._ask.kind == "main":
                self._state.leading.learn(self._launch, chat)
        return prompt, await self._fit(prompt, self._ask.wanted, profile.max_model_len)

    def _chat(self, profile: EngineProfile) -> dict[str, Any]:
        if self._later is not None:
            return {**self._later, "model": profile.model}
        priorities = self._state.config.priorities  # lower first
        priority = max(priorities[self._ask.kind], priorities[self._ask.at_most])
        return self._dialect.chat(self._ask, profile, priority=priority)

    async def _fit(self, prompt: EncodedPrompt, wanted: int | None, window: int) -> Fit:
        """Fit the answer into the window; ask the engine only where it is close."""
        room = fit(prompt.bound, wanted=wanted, window=window)
        if room is None or room.limited:
            room = fit(self._state.known.bound(prompt), wanted=wanted, window=window)
        if room is not None and not room.limited:
            self._record.counted = "bound"
        else:
            try:
                tokens = await self.count(prompt)
            except EngineUnreachableError as error:
                if not self._may_come_back(error):
                    raise
                # Counted when the engine is back, before anything is asked.
                return Fit(max_tokens=wanted, limited=False)
            self._record.counted = "exact"
            room = fit(tokens, wanted=wanted, window=window)
            if room is None:
                raise self._overflow(tokens, window)
        self._state.metrics.counts(self._record.counted).inc()
        self._record.max_tokens = room.max_tokens or 0
        return room

    async def count(self, prompt: EncodedPrompt) -> int:
        """Return a prompt's exact count."""
        return await self._state.upstream.count(prompt.tokenize_body())

    def _overflow(self, tokens: int, window: int) -> Refused:
        self._state.metrics.overflows.inc()
        return Refused(refusals.overflow(tokens, window=window, wanted=self._ask.wanted))

    # The engine ---------------------------------------------------------------------------------

    async def _relay(self, write: Write | None) -> None:
        """Ask and write what comes; where the engine breaks off, ask again."""
        try:
            while True:
                try:
                    return await self._ask_engine(write)
                except _NoToolParserError:
                    # Learned by the refusal, once for as long as the engine lives.
                    self._state.profiles.learn(tools=False)
                    await self._make_again(await self._known_profile(), Delivered(), write)
                except EngineBrokeError as broke:
                    if not await self._resume(broke, write):
                        return None
        except Refused:
            if self._record.resumed:
                self._record.resume = "gave_up"
            raise
        finally:
            if self._record.resume:
                self._state.metrics.resumes(self._record.resume).inc()

    async def _ask_engine(self, write: Write | None) -> None:
        record, answer = self._record, self.answer
        try:
            async with self._state.upstream.chat(self._body) as response:
                if response.status != 200:
                    said = refusals.engine_message(await read_error(response))
                    raise await self._refused(response.status, said, response)
                events = EngineAnswer(response, answer)
                while (piece := await events.read()) is not None:
                    ready = events.take(piece)
                    if record.ttft_ms is None and answer.first_token_seen:
                        self._note_first_token()
                    if events.over and answer.finish_reason and self._ask.search is None:
                        self.last_events = ready
                    elif ready and write is not None:
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
            raise await self._reported(error) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._state.profiles.forget()
            raise EngineBrokeError(refusals.broken_stream(reason(error))) from error
        if answer.finish_reason is None:
            raise EngineBrokeError(refusals.broken_stream("it gave no reason to stop"))

    async def _reported(self, error: UpstreamStreamError) -> Refused:
        if error.status >= 500:
            return EngineBrokeError(refusals.broken_stream(error.message))
        return await self._refused(error.status, error.message, None)

    async def _refused(
        self, status: int, message: str, response: aiohttp.ClientResponse | None
    ) -> Refused:
        if status == 404:
            self._state.profiles.forget()
        headers = response.headers if response is not None else {}
        refused = refusals.engine_refused(status, message, headers, self._ask.kind)
        if status == 400 and lacks_tool_parser(message) and "tools" in self.prompt.chat:
            return _NoToolParserError(refused)
        if status == 400 and is_overflow(message):
            # Our bound was wrong or the window has shrunk: count, and say it so that it helps.
            self._state.profiles.forget()
            try:
                profile = await self._state.profiles.current()
                tokens = await self.count(self.prompt)
            except Refused as error:
                return error
            if fit(tokens, wanted=self._ask.wanted, window=profile.max_model_len) is None:
                return self._overflow(tokens, profile.max_model_len)
        if refused.kind == "unavailable" and not 300 <= status < 400:
            return EngineBrokeError(refused)
        return Refused(refused)

    # An answer that broke off ---------------------------------------------------------------------

    async def _resume(self, broke: EngineBrokeError, write: Write | None) -> bool:
        """Wait for the engine, and make ready to ask it again.

        Returns:
            False where the answer ends with the tool calls that the client has already.

        Raises:
            Refused: Nothing more can be tried.
        """
        record, config = self._record, self._state.config
        if not config.resume_tries:
            raise broke
        given = Delivered() if self._is_unseen(write) else self.answer.delivered()
        if given.whole_call:
            self.answer.end_with_calls()
            record.resume = "ended"
            return False
        continuing = given.has_text
        if not continuing or given.call is not None:
            self._wasted += self.answer.counts.output - self.answer.counts.earlier
        record.resume = "gave_up"
        if record.resumed >= config.resume_tries or self._wasted > config.resume_tokens:
            raise broke
        if continuing and not may_continue(self.prompt.chat):
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

    def _is_unseen(self, write: Write | None) -> bool:
        """Whether the client has nothing of the answer, so that another can take its place."""
        return self._ask.search is None and (write is None or not self.answer.started)

    async def _make_again(
        self, profile: EngineProfile, given: Delivered, write: Write | None
    ) -> None:
        """Make the request that goes on with what the client has."""
        self._profile = profile
        self.prompt, room = await self._prepare(profile)
        fresh = self._answer_for(profile, room)
        if self._is_unseen(write):
            self.answer = fresh
        else:
            self.answer.rewind(continuing=given.has_text, inside_thinking=fresh.inside_thinking)
        chat, limit = self.prompt.chat, room.max_tokens
        if given.has_text:
            chat = continued_chat(chat, given)
            limit = limit and max(1, limit - self.answer.counts.output)
        self._body = _encoded(chat, limit)

    # Searches -------------------------------------------------------------------------------------

    async def _searched(self, write: Write | None) -> None:
        """Ask the engine, make the searches that it calls for, and ask it again, until it is done.

        Raises:
            Refused: As from `run`.
        """
        searcher, ask, answer = self._state.config.search, self._ask.search, self.answer
        assert isinstance(answer, SearchingAnswer)  # noqa: S101 - where a dialect reads searches
        assert ask is not None and searcher is not None  # noqa: S101 - the same
        rounds = SearchRounds(ask, answer, searcher)
        asks = not rounds.begins_with_search
        self._note_added()
        while True:
            if asks:
                await self._relay(write)
            async for events in rounds.search():
                if events and write is not None:
                    await write(events)
            self._record.searches = answer.searches
            if not rounds.goes_on:
                return
            chat = rounds.next_chat(self._chat(self._profile), self._profile)
            following = encode_prompt(chat)
            room = await self._room(following, answer, self._profile.max_model_len)
            if room is None:
                return
            if asks:
                self.note_usage()
            asks, self.prompt, self._later = True, following, chat
            self._body = _encoded(following.chat, room.max_tokens)
            answer.go_on(window_limited=room.limited)

    async def _room(
        self, prompt: EncodedPrompt, answer: SearchingAnswer, window: int
    ) -> Fit | None:
        """Fit the rest of an answer into the window; where nothing is left, it ends there."""
        wanted = self._ask.wanted
        if wanted is not None and (wanted := wanted - answer.counts.output) < 1:
            answer.cut(by_window=False)
            return None
        try:
            return await self._fit(prompt, wanted, window)
        except Refused as error:
            if error.refusal.overflow is None:
                raise
            answer.cut(by_window=True)
            return None

    # What is remembered ---------------------------------------------------------------------------

    def _note_added(self) -> None:
        added_s = time.perf_counter() - self._started_s
        self._record.added_ms = round(added_s * 1e3, 3)
        self._state.metrics.added.observe(added_s)

    def _note_first_token(self) -> None:
        ttft_s = time.perf_counter() - self._started_s
        self._record.ttft_ms = round(ttft_s * 1e3, 3)
        self._state.metrics.ttft(self._record.kind).observe(ttft_s)

    def note_usage(self) -> None:
        """Count what the last question to the engine has cost."""
        counts, record = self.answer.counts, self._record
        cached, computed = counts.cached, counts.computed
        record.input_tokens += computed
        record.cached_tokens += cached
        record.output_tokens = counts.output
        record.stop_reason = self.answer.stop_reason or ""
        tokens = self._state.metrics.tokens
        tokens("input").inc(computed)
        tokens("cached").inc(cached)
        tokens("output").inc(counts.output - counts.earlier)
        if self.answer.first_token_seen and counts.prompt:
            self._state.known.learn(self.prompt, counts.prompt)
            self._state.prefixes.learn(record, self.prompt)


def _encoded(chat: Mapping[str, Any], limit: int | None) -> bytes:
    return msgspec.json.encode(chat if limit is None else {**chat, "max_completion_tokens": limit})
