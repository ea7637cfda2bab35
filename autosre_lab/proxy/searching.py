"""An answer that takes several questions to the engine, because the model searches the web in it.

The engine is asked; where the model calls the search, it is made here, and the engine is asked
again with what was found, until the model answers, calls a tool of the client's, or a bound is
reached. To the client it is one answer, and everything stands in it in the order it came.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from autosre_lab.logs import get_logger
from autosre_lab.proxy.answer import DialectAnswer
from autosre_lab.proxy.arguments import is_json_object
from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS, Block
from autosre_lab.proxy.inline_thinking import InlineThinking
from autosre_lab.proxy.messages.content import TEXT_SEPARATOR
from autosre_lab.proxy.messages.turns import fit_template
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.tool_calls import ToolCalls
from autosre_lab.proxy.web_search import (
    Citation,
    Found,
    FoundPage,
    SearchAsk,
    Searcher,
    citations_in,
    found_in,
    highest,
    query_of,
    shown_to_model,
    why_not,
)

__all__ = ["MOST_QUESTIONS", "MOST_SEARCHES", "SearchRounds", "SearchingAnswer"]

logger = get_logger(__name__)

MOST_SEARCHES = 20
"""Searches of one answer, whatever the client allows."""
MOST_QUESTIONS = 12
"""Questions to the engine for one answer; in the last one it may call nothing."""

_SUMMARY = (
    "Write what these results say about the query, for somebody who cannot see them. Put the "
    "number of a source in brackets, as in [1], behind each sentence that rests on it. Where they "
    "do not answer the query, say so; add nothing that is not in them."
)


class SearchingAnswer(DialectAnswer):
    """An answer in which this server may search.

    Args:
        answer_id: The client's id of the answer, unique per request.
        call_prefix: What the client's ids of tool calls begin with.
        inside_thinking: The prompt ended with an opened `<think>`.
        search: What the request says of its searches; None where there is none to be made.

    Attributes:
        searches: Searches that were made and had an answer.
        sources: What may be cited.
        found: What each search came to, by its block.
        window_limited: The limit of the answer ends at the window.
    """

    def __init__(
        self,
        answer_id: str,
        *,
        call_prefix: str,
        inside_thinking: bool = False,
        search: SearchAsk | None = None,
    ) -> None:
        super().__init__(answer_id, call_prefix=call_prefix, inside_thinking=inside_thinking)
        self.searches = 0
        self.sources: list[FoundPage] = list(search.known) if search is not None else []
        self.found: dict[Block, Found] = {}
        self.sequence.hosted = search.name if search is not None else None
        self._begins_inside = inside_thinking
        self._id_and_prefix = answer_id, call_prefix
        self.window_limited = False
        self._round = 0
        self._question_of: dict[Block, int] = {}

    @abstractmethod
    def search_id(self, block: Block) -> str:
        """Return the client's id of a search."""

    def question_of(self, block: Block) -> int:
        """Return which question to the engine called for a search, from 0."""
        return self._question_of.get(block, self._round)

    def is_search(self, block: Block) -> bool:
        """Whether a block is a search of ours."""
        return self.sequence.is_hosted(block)

    def citations(self, text: str) -> list[Citation]:
        """Return the sources that a text cites."""
        return citations_in(text, self.sources) if self.sources else []

    def client_calls(self) -> list[Block]:
        """Return the calls that the client has to run."""
        blocks = self.sequence.blocks
        return [one for one in blocks if one.kind == "call" and not self.is_search(one)]

    @property
    def searched_in_round(self) -> bool:
        """Whether something was searched since the engine was asked."""
        return any(map(self.is_search, self.sequence.blocks[self._round_begins :]))

    # The rounds -----------------------------------------------------------------------------------

    def end_round(self) -> bytes:
        """Sort what the engine said last; searches wait to be made."""
        events = self.start(0) + self._flush_inline()
        self.sequence.drop_empty_calls()
        return events + self.sequence.advance() + self._calls.finish()

    def begin_search(self, query: str | None = None) -> tuple[Block | None, bytes]:
        """Open the next search; None where there is none.

        Args:
            query: Of a search that the model was not asked for.
        """
        opened = b""
        if query is not None:
            opened = self.start(0)
            answer_id, prefix = self._id_and_prefix
            digest = hashlib.blake2b(answer_id.encode("utf-8", "replace"), digest_size=12)
            block = Block(
                "call", tool_id=prefix + digest.hexdigest(), tool_name=self.sequence.hosted
            )
            block.append(msgspec.json.encode({"query": query}).decode())
            self.sequence.waiting.append(block)
        found, events = self.sequence.start_hosted()
        return found, opened + events

    def end_search(self, block: Block, found: Found) -> bytes:
        """Write what a search came to."""
        self.found[block] = found
        self._question_of[block] = self._round
        self.sources += found.sources
        self.searches += found.code == "results"
        return self.sequence.close()

    def round_messages(self) -> list[dict[str, Any]]:
        """Return what was said and found since the engine was asked, as chat messages."""
        blocks = self.sequence.blocks[self._round_begins :]
        spoken: dict[str, Any] = {"role": "assistant", "content": _joined(blocks, "text")}
        if thoughts := _joined(blocks, "thinking"):
            spoken["reasoning"] = thoughts
        searches = [block for block in blocks if self.is_search(block)]
        spoken["tool_calls"] = [
            {
                "id": self.search_id(block),
                "type": "function",
                "function": {"name": block.tool_name, "arguments": arguments_of(block)},
            }
            for block in searches
        ]
        results = [
            {
                "role": "tool",
                "tool_call_id": self.search_id(block),
                "content": shown_to_model(self.found[block]),
            }
            for block in searches
        ]
        return [spoken, *results]

    def go_on(self, *, window_limited: bool) -> None:
        """Take the answer of the next question as the continuation of this answer."""
        self.window_limited = window_limited
        self._round += 1
        self._round_begins = len(self.sequence.blocks)
        self.finish_reason = self.matched_stop = None
        self.counts.next_question()
        answer_id, prefix = self._id_and_prefix
        self._calls = ToolCalls(f"{answer_id}\0{self._round}", self.sequence, prefix=prefix)
        self._inline = InlineThinking(opened=self._begins_inside)
        self._held.clear()
        self._text_parts = None

    def end_here(self, text: str) -> bytes:
        """End the answer with words of ours."""
        self.finish_reason = "stop"
        return self._append("text", text)

    def cut(self, *, by_window: bool) -> None:
        """End the answer because no token is left, of the client's limit or of the window."""
        self.finish_reason = "length"
        self.window_limited = by_window


class SearchRounds:
    """Makes the searches of one answer.

    Args:
        ask: What the request says of them.
        answer: The answer.
        searcher: Who searches.
    """

    def __init__(self, ask: SearchAsk, answer: SearchingAnswer, searcher: Searcher) -> None:
        self._ask = ask
        self._answer = answer
        self._searcher = searcher
        self._tried = 0
        self._made = 0
        self._questions = 0
        self._first = ask.query
        self._over = False

    @property
    def begins_with_search(self) -> bool:
        """The engine is not asked before something was searched."""
        return self._first is not None

    async def search(self) -> AsyncIterator[bytes]:
        """Make the searches that wait, and yield what the client is to be told of them."""
        answer = self._answer
        query, self._first = self._first, None
        if query is None:
            self._questions += 1
            yield answer.end_round()
        block, events = answer.begin_search(query)
        yield events
        while block is not None:
            found = await self._search(query_of(block.content))
            yield answer.end_search(block, found)
            if query is not None and not found.sources:
                self._over = True
                yield answer.end_here(_said_of(found, self._ask.wrong))
            block, events = answer.begin_search()
            yield events

    @property
    def goes_on(self) -> bool:
        """The engine has to be asked again."""
        answer = self._answer
        ended = (
            self._over
            or self._questions >= MOST_QUESTIONS
            or answer.finish_reason in ("length", "content_filter")
        )
        return answer.searched_in_round and not ended and not answer.client_calls()

    def next_chat(self, chat: dict[str, Any], engine: EngineProfile) -> dict[str, Any]:
        """Return the next question to the engine: what was asked, what was said, what was found."""
        # What was forced has happened.
        following = {name: value for name, value in chat.items() if name != "tool_choice"}
        if self._ask.query is not None:
            # Searched before anything was asked: what was found is part of the question.
            for name in ("tools", "parallel_tool_calls"):
                following.pop(name, None)
            found = [shown_to_model(one) for one in self._answer.found.values()]
            added = [{"role": "user", "content": TEXT_SEPARATOR.join([*found, _SUMMARY])}]
        else:
            added = self._answer.round_messages()
            if "tools" in chat and self._questions + 1 >= MOST_QUESTIONS:
                following["tool_choice"] = "none"
        following["messages"] = fit_template([*chat["messages"], *added], engine)
        return following

    async def _search(self, query: object) -> Found:
        if self._ask.wrong:
            return Found(code="invalid_tool_input")
        if self._tried >= MOST_SEARCHES:
            return Found(code="max_uses_exceeded")
        self._tried += 1
        outcome = await self._searcher.search(query, self._ask.rules, used=self._made)
        if outcome.code != "results":
            logger.warning("a web search came to %s: %s", outcome.code, outcome.message)
        self._made += outcome.code == "results"
        return found_in(outcome, after=highest(self._answer.sources), most=self._ask.most_results)


def arguments_of(block: Block) -> str:
    """Return a call's arguments as the JSON object that engines want in a history.

    Written as clients write them who have read it and hand it back.
    """
    content = block.content
    if is_json_object(content):
        return msgspec.json.encode(msgspec.json.decode(content)).decode()
    if not content.strip():
        return "{}"
    return msgspec.json.encode({MALFORMED_ARGUMENTS: content}).decode()


def _joined(blocks: list[Block], kind: str) -> str:
    texts = (block.content for block in blocks if block.kind == kind)
    return TEXT_SEPARATOR.join(text for text in texts if text.strip())


def _said_of(found: Found, wrong: str) -> str:
    if found.code == "results":
        return "The web was searched, and nothing was found."
    why = wrong or why_not(found.code)
    return f"The web was not searched: {why}. Nothing was found and nothing may be quoted."
