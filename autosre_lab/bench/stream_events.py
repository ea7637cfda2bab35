"""The events of a streamed answer, in the three APIs: what arrived when, and what it said.

Each reader takes the data of one server-sent event with the time at which it came, fills in a
`RequestTiming` and gathers the answer's content blocks in Anthropic's form.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from autosre_lab.bench.timing import RequestTiming

__all__ = ["AnswerReader", "ChatReader", "MessagesReader", "ResponsesReader", "reader_for"]

Block = dict[str, Any]


class AnswerReader(Protocol):
    """Reads one answer."""

    finished: bool
    """The stream's last event has come."""

    def event(self, data: bytes, now_ns: int) -> None:
        """Take the data of one event."""

    def blocks(self) -> list[Block]:
        """Return the content blocks so far."""


class _Gathering:
    """What the three have in common: marking times and joining pieces."""

    def __init__(self, timing: RequestTiming) -> None:
        self.finished = False
        self._timing = timing
        self._pieces: dict[tuple[str, int], list[str]] = {}
        self._calls: dict[int, tuple[str, str]] = {}

    def blocks(self) -> list[Block]:
        found: list[Block] = []
        for (kind, index), pieces in self._pieces.items():
            text = "".join(pieces)
            if kind == "tool_use":
                call, name = self._calls.get(index, ("", ""))
                found.append(
                    {"type": "tool_use", "id": call, "name": name, "input": _arguments(text)}
                )
            elif text:
                found.append({"type": kind, kind: text})
        return found

    def _call(self, index: int, call: str, name: str) -> None:
        self._calls[index] = (call, name)
        self._pieces.setdefault(("tool_use", index), [])

    def _token(self, kind: str, index: int, piece: str | None, now_ns: int) -> None:
        if not piece:
            return
        self._pieces.setdefault((kind, index), []).append(piece)
        timing = self._timing
        timing.chunk_ns.append(now_ns)
        timing.last_token_ns = now_ns
        if timing.first_token_ns is None:
            timing.first_token_ns = now_ns
            if kind == "tool_use":
                timing.first_chunk_tokens = None
        if timing.first_output_ns is None and kind != "thinking":
            timing.first_output_ns = now_ns

    def _event_came(self, now_ns: int) -> None:
        if self._timing.first_event_ns is None:
            self._timing.first_event_ns = now_ns

    def _acted(self, now_ns: int) -> None:
        if self._timing.first_action_ns is None:
            self._timing.first_action_ns = now_ns

    def _failed(self, error: _Error | None) -> None:
        said = error.message if error is not None else "the server reported an error"
        self._timing.error = f"{(error.type if error else '') or 'error'}: {said}"[:300]


class _Error(msgspec.Struct):
    type: str | None = ""
    message: str | None = ""


class _MessagesUsage(msgspec.Struct):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None


class _MessagesDelta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _MessagesBlock(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    text: str | None = None


class _MessagesMessage(msgspec.Struct):
    usage: _MessagesUsage | None = None


class _MessagesEvent(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: _MessagesDelta | None = None
    content_block: _MessagesBlock | None = None
    usage: _MessagesUsage | None = None
    message: _MessagesMessage | None = None
    error: _Error | None = None


_messages_event = msgspec.json.Decoder(_MessagesEvent)


class MessagesReader(_Gathering):
    """Anthropic's Messages API."""

    def event(self, data: bytes, now_ns: int) -> None:
        """Take the data of one event."""
        self._event_came(now_ns)
        event = _messages_event.decode(data)
        if event.type == "content_block_delta" and event.delta is not None:
            delta = event.delta
            self._token("text", event.index, delta.text, now_ns)
            self._token("thinking", event.index, delta.thinking, now_ns)
            self._token("tool_use", event.index, delta.partial_json, now_ns)
        elif event.type == "content_block_start" and event.content_block is not None:
            block = event.content_block
            if block.type == "tool_use":
                self._call(event.index, block.id or "", block.name or "")
            else:
                self._token("text", event.index, block.text, now_ns)
        elif event.type == "content_block_stop":
            if event.index in self._calls:
                self._acted(now_ns)
        elif event.type == "message_start":
            self._count(event.message.usage if event.message else None)
        elif event.type == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason:
                self._timing.stop_reason = event.delta.stop_reason
        elif event.type == "message_stop":
            self.finished = True
        elif event.type == "error":
            self._failed(event.error)

    def _count(self, usage: _MessagesUsage | None) -> None:
        if usage is None:
            return
        timing = self._timing
        if usage.output_tokens is not None:
            timing.output_tokens = usage.output_tokens
        if usage.input_tokens is None:
            return
        read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
        timing.input_tokens = usage.input_tokens + (read or 0) + (written or 0)
        timing.cached_tokens = read


class _ChatDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _ChatDetails | None = None


class _ChatFunction(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ChatCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _ChatFunction | None = None


class _ChatDelta(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ChatCall] | None = None


class _ChatChoice(msgspec.Struct):
    delta: _ChatDelta | None = None
    finish_reason: str | None = None


class _ChatChunk(msgspec.Struct):
    choices: list[_ChatChoice] = []
    usage: _ChatUsage | None = None
    error: _Error | None = None


_chat_chunk = msgspec.json.Decoder(_ChatChunk)


class ChatReader(_Gathering):
    """OpenAI's Chat Completions."""

    def event(self, data: bytes, now_ns: int) -> None:
        """Take the data of one event."""
        self._event_came(now_ns)
        if data == b"[DONE]":
            self.finished = True
            return
        chunk = _chat_chunk.decode(data)
        if chunk.error is not None:
            self._failed(chunk.error)
            return
        for choice in chunk.choices:
            self._choice(choice, now_ns)
        if (usage := chunk.usage) is not None:
            timing = self._timing
            timing.input_tokens = usage.prompt_tokens
            timing.output_tokens = usage.completion_tokens
            details = usage.prompt_tokens_details
            timing.cached_tokens = details.cached_tokens if details is not None else None

    def _choice(self, choice: _ChatChoice, now_ns: int) -> None:
        delta = choice.delta
        if delta is not None:
            self._token("thinking", 0, delta.reasoning or delta.reasoning_content, now_ns)
            self._token("text", 0, delta.content, now_ns)
            for call in delta.tool_calls or ():
                if call.id:
                    if self._calls:
                        # Another call begins: the one before is complete.
                        self._acted(now_ns)
                    name = call.function.name if call.function else None
                    self._call(call.index, call.id, name or "")
                if call.function is not None:
                    self._token("tool_use", call.index, call.function.arguments, now_ns)
        if choice.finish_reason:
            self._timing.stop_reason = choice.finish_reason
            if self._calls:
                self._acted(now_ns)


class _ResponsesDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _ResponsesUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _ResponsesDetails | None = None


class _ResponsesWhole(msgspec.Struct):
    status: str | None = None
    usage: _ResponsesUsage | None = None
    error: _Error | None = None


class _ResponsesOutput(msgspec.Struct):
    type: str = ""
    call_id: str | None = None
    name: str | None = None


class _ResponsesEvent(msgspec.Struct):
    type: str = ""
    output_index: int = 0
    delta: Any = None
    item: _ResponsesOutput | None = None
    response: _ResponsesWhole | None = None
    message: str | None = None


_responses_event = msgspec.json.Decoder(_ResponsesEvent)
_RESPONSES_TOKENS = {
    "response.output_text.delta": "text",
    "response.reasoning_text.delta": "thinking",
    "response.reasoning_summary_text.delta": "thinking",
    "response.function_call_arguments.delta": "tool_use",
}
_RESPONSES_END = {"response.completed", "response.incomplete"}


class ResponsesReader(_Gathering):
    """OpenAI's Responses."""

    def event(self, data: bytes, now_ns: int) -> None:
        """Take the data of one event."""
        self._event_came(now_ns)
        if data == b"[DONE]":
            return
        event = _responses_event.decode(data)
        kind = _RESPONSES_TOKENS.get(event.type)
        if kind is not None:
            self._token(kind, event.output_index, str(event.delta or ""), now_ns)
        elif event.type == "response.output_item.added" and event.item is not None:
            if event.item.type == "function_call":
                self._call(event.output_index, event.item.call_id or "", event.item.name or "")
        elif event.type == "response.output_item.done":
            if event.output_index in self._calls:
                self._acted(now_ns)
        elif event.type in _RESPONSES_END and event.response is not None:
            self._count(event.response.usage)
            self._timing.stop_reason = event.response.status or ""
            self.finished = True
        elif event.type == "response.failed" and event.response is not None:
            self._failed(event.response.error)
        elif event.type == "error":
            self._failed(_Error(type="error", message=event.message))

    def _count(self, usage: _ResponsesUsage | None) -> None:
        if usage is None:
            return
        self._timing.input_tokens = usage.input_tokens
        self._timing.output_tokens = usage.output_tokens
        details = usage.input_tokens_details
        self._timing.cached_tokens = details.cached_tokens if details is not None else None


_READERS: dict[str, Callable[[RequestTiming], AnswerReader]] = {
    "messages": MessagesReader,
    "chat": ChatReader,
    "responses": ResponsesReader,
}


def reader_for(protocol: str, timing: RequestTiming) -> AnswerReader:
    """Return a reader of an API's events that fills in `timing`."""
    return _READERS[protocol](timing)


def _arguments(text: str) -> Any:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
