"""Chat Completions chunks in, Anthropic server-sent events out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from autosre_lab.proxy.arguments import is_json_object
from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS, UNNAMED_TOOL, Block, Delta
from autosre_lab.proxy.messages import events as sse
from autosre_lab.proxy.messages.errors import error_message, error_type
from autosre_lab.proxy.messages.events import DELTA_END, Usage, encode
from autosre_lab.proxy.messages.search import citation, result_content, search_id
from autosre_lab.proxy.refusals import Refusal
from autosre_lab.proxy.searching import SearchingAnswer
from autosre_lab.proxy.web_search import SearchAsk

__all__ = ["MessageStream", "Usage"]


class MessageStream(SearchingAnswer):
    """One answer as Anthropic's events, or as one Message.

    Args:
        message_id: The Anthropic id of the message ("msg_…"), unique per request.
        model: The model name that the client asked for.
        stop_sequences: The request's stop sequences; one that matched is reported.
        window_limited: `max_tokens` was cut to fit the window, so "length" means that the window
            is full.
        inside_thinking: The prompt ended with an opened `<think>`.
        removed_tools: What the conversation took away; a call of it becomes a text that says so.
        search: What the request says of web searches to be made here.
    """

    def __init__(
        self,
        *,
        message_id: str,
        model: str,
        stop_sequences: Sequence[str] = (),
        window_limited: bool = False,
        inside_thinking: bool = False,
        removed_tools: Collection[str] = (),
        search: SearchAsk | None = None,
    ) -> None:
        super().__init__(
            message_id, call_prefix="toolu_", inside_thinking=inside_thinking, search=search
        )
        self._message_id = message_id
        self._model = model
        self._stop_sequences = frozenset(stop_sequences)
        self.window_limited = window_limited
        self._removed_tools = frozenset(removed_tools)
        # A search is two blocks to the client: the call, and what it came to.
        self._results = 0
        self._stop: tuple[str, str | None] | None = None

    @property
    def stop_reason(self) -> str | None:
        """Anthropic's stop reason; None before `finish()`."""
        return self._stop[0] if self._stop else None

    @property
    def usage(self) -> Usage:
        """The newest counts known."""
        counts = self.counts
        return Usage(
            input_tokens=counts.computed - counts.created,
            cache_read_input_tokens=counts.cached,
            cache_creation_input_tokens=counts.created,
            output_tokens=counts.output,
            web_searches=self.searches if self.sequence.hosted is not None else None,
        )

    def opening(self) -> bytes:
        """Write `message_start`."""
        return sse.message_start(self._message_id, self._model, self.usage)

    def ending(self) -> bytes:
        """Write the stop reason and the final counts."""
        self._stop = stop_reason, stop_sequence = self._resolve_stop()
        return sse.message_delta(stop_reason, stop_sequence, self.usage) + sse.message_stop()

    def block_opened(self, block: Block, index: int) -> bytes:
        """Write `content_block_start`."""
        if self.is_search(block):
            return sse.content_start(index + self._results, self._search_use(block, {}))
        if self._is_refused(block):
            at = index + self._results
            text = sse.delta_head("text", at) + encode(_refused(block)) + DELTA_END
            return sse.block_start("text", at) + text
        return sse.block_start(
            block.kind,
            index + self._results,
            tool_id=block.tool_id,
            tool_name=block.tool_name or UNNAMED_TOOL,
        )

    def delta_of(self, block: Block, index: int) -> Delta:
        """Return what writes a `content_block_delta`: bytes around a text, as cheap as it gets."""
        if self._is_refused(block):
            # Nothing of its arguments is told; a sign of life has to be one all the same.
            nothing = sse.delta_head("text", index + self._results) + encode("") + DELTA_END
            return lambda _: nothing
        head = sse.delta_head(block.kind, index + self._results)
        return lambda text: head + encode(text) + DELTA_END

    def block_closed(self, block: Block, index: int) -> bytes:
        """Write `content_block_stop`, and before it what signs a thinking block or is cited.

        What a search came to is a block of its own behind it.
        """
        at = index + self._results
        stop = sse.block_stop(at)
        if block.kind == "thinking":
            return sse.signature_delta(at, _signature(block.content)) + stop
        if block.kind == "text":
            cited = map(citation, self.citations(block.content))
            return b"".join([*(sse.citation_delta(at, one) for one in cited), stop])
        if block in self.found:
            self._results += 1
            return stop + sse.content_start(at + 1, self._result(block)) + sse.block_stop(at + 1)
        return stop

    def search_id(self, block: Block) -> str:
        """Return the id of a search ("srvtoolu_…")."""
        return search_id(block.tool_id or "", self.question_of(block))

    def keepalive(self) -> bytes:
        """Write an event that resets Claude Code's stream watchdog, if there is a place for it.

        A `ping` does not; an empty delta of the open block does. Before the first token a thinking
        block is opened for it. `start()` comes first.
        """
        sequence = self.sequence
        opened = self.start(0)
        if sequence.open is None and not sequence.waiting and not self.ended:
            opened += sequence.add(Block("thinking"))
        if sequence.open is None:
            return opened + sse.PING
        return opened + sequence.delta("")

    def error(self, type: str, message: str) -> bytes:  # noqa: A002 - the agreed name
        """Write an error event; the client discards what it has.

        Args:
            type: One of Anthropic's error types ("api_error", "overloaded_error", …).
            message: What happened.
        """
        return sse.error_event(type, message)

    def refuse(self, refusal: Refusal) -> bytes:
        """Write the error event of a refusal."""
        return self.error(error_type(refusal), error_message(refusal))

    def whole(self) -> bytes:
        """Return the whole message as JSON, after `finish()`."""
        return encode(self.message())

    def message(self) -> dict[str, Any]:
        """Return the whole message, for a client that did not ask for a stream.

        To be called after `finish()` and encoded by msgspec: a tool call's `input` is the
        engine's own bytes (`msgspec.Raw`).
        """
        stop_reason, stop_sequence = self._stop or (None, None)
        return {
            "id": self._message_id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [one for block in self.sequence.blocks for one in self._content_of(block)],
            "stop_reason": stop_reason,
            "stop_sequence": stop_sequence,
            "usage": self.usage.as_message_content(),
        }

    def client_calls(self) -> list[Block]:
        """Return the calls that the client has to run."""
        return [block for block in super().client_calls() if not self._is_refused(block)]

    def _is_refused(self, block: Block) -> bool:
        return block.kind == "call" and block.tool_name in self._removed_tools

    def _resolve_stop(self) -> tuple[str, str | None]:
        """Anthropic's stop reason and the stop sequence that matched."""
        reason = self.finish_reason
        calls = self.client_calls()
        if reason == "length":
            return ("model_context_window_exceeded" if self.window_limited else "max_tokens"), None
        if reason == "content_filter" or (self.refused and not calls):
            return "refusal", None
        # A stop string that cut a tool call short wins over the call: it must not run.
        matched = self.matched_stop if self.matched_stop in self._stop_sequences else None
        if matched is not None and not (calls and calls[-1].complete):
            return "stop_sequence", matched
        return ("tool_use" if calls else "end_turn"), None

    def _content_of(self, block: Block) -> list[dict[str, Any]]:
        """Return a block as it stands in a Message."""
        content = block.content
        if block.kind == "text":
            cited = list(map(citation, self.citations(content)))
            return [{"type": "text", "text": content} | ({"citations": cited} if cited else {})]
        if block.kind == "thinking":
            signature = _signature(content)
            return [{"type": "thinking", "thinking": content, "signature": signature}]
        if self.is_search(block):
            return [self._search_use(block, _input_of(content)), self._result(block)]
        if self._is_refused(block):
            return [{"type": "text", "text": _refused(block)}]
        return [
            {
                "type": "tool_use",
                "id": block.tool_id,
                "name": block.tool_name or UNNAMED_TOOL,
                "input": _input_of(content),
            }
        ]

    def _search_use(self, block: Block, arguments: object) -> dict[str, Any]:
        return {
            "type": "server_tool_use",
            "id": self.search_id(block),
            "name": block.tool_name,
            "input": arguments,
        }

    def _result(self, block: Block) -> dict[str, Any]:
        return {
            "type": "web_search_tool_result",
            "tool_use_id": self.search_id(block),
            "content": result_content(self.found[block]),
        }


def _refused(block: Block) -> str:
    return f"[the tool {block.tool_name} was called and not run: it was removed]"


def _input_of(content: str) -> object:
    """Return a call's arguments; those that are a JSON object stay the bytes they are.

    So neither key order nor a number's spelling changes (`msgspec.Raw`).
    """
    if is_json_object(content):
        return msgspec.Raw(content.strip().encode())
    return {MALFORMED_ARGUMENTS: content} if content.strip() else {}


def _signature(thinking: str) -> str:
    # The client only carries it around. A digest makes two runs over the same chunks equal.
    digest = hashlib.blake2b(thinking.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return base64.b64encode(digest).decode("ascii")
