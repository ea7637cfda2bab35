"""Chat Completions chunks in, Anthropic server-sent events out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autosre_lab.proxy.chat_stream import FINISH_REASONS, ChatChoice, ChatChunk, TokenCounts
from autosre_lab.proxy.inline_thinking import InlineThinking
from autosre_lab.proxy.messages import events as sse
from autosre_lab.proxy.messages.block_sequence import Block, BlockSequence
from autosre_lab.proxy.messages.errors import error_message, error_type
from autosre_lab.proxy.messages.events import DELTA_END, Usage, encode
from autosre_lab.proxy.messages.tool_calls import ToolCalls
from autosre_lab.proxy.refusals import Refusal

__all__ = ["MessageStream", "Usage"]


class MessageStream:
    """One answer on its way from the engine to the client.

    Args:
        message_id: The Anthropic id of the message ("msg_…"), unique per request.
        model: The model name that the client asked for.
        stop_sequences: The request's stop sequences; one that matched is reported.
        window_limited: `max_tokens` was cut to fit the window, so "length" means that the window
            is full.
        inside_thinking: The prompt ended with an opened `<think>`.
    """

    def __init__(
        self,
        *,
        message_id: str,
        model: str,
        stop_sequences: Sequence[str] = (),
        window_limited: bool = False,
        inside_thinking: bool = False,
    ) -> None:
        self._message_id = message_id
        self._model = model
        self._stop_sequences = frozenset(stop_sequences)
        self._window_limited = window_limited
        self._started = False
        self._ended = False
        self._first_token_seen = False
        self._finish_reason: str | None = None
        self._matched_stop: str | None = None
        self._refused = False
        self._stop: tuple[str, str | None] | None = None
        self.counts = TokenCounts()
        self._sequence = BlockSequence()
        self._inline: InlineThinking | None = InlineThinking(opened=inside_thinking)
        # White space that would open a block by itself waits for something worth a block.
        self._held: list[str] = []
        self._held_kind: sse.BlockKind = "text"
        # Fragments of the open text block while nothing waits behind it: the fast path.
        self._text_parts: list[str] | None = None
        self._calls = ToolCalls(message_id, self._sequence)

    @property
    def started(self) -> bool:
        """`message_start` has been written."""
        return self._started

    @property
    def first_token_seen(self) -> bool:
        """The engine has produced something of the answer."""
        return self._first_token_seen

    @property
    def finished(self) -> bool:
        """The engine said why it stopped. False at the end of its stream means it died."""
        return self._finish_reason is not None

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
        )

    def start(self, input_tokens: int) -> bytes:
        """Write `message_start` before the engine has answered (the keepalive path).

        Args:
            input_tokens: The prompt's exact count, cached or not.

        Returns:
            The event, or nothing if it has been written before.
        """
        if self._started:
            return b""
        self._started = True
        self.counts.prompt = self.counts.prompt or input_tokens
        return sse.message_start(self._message_id, self._model, self.usage)

    def keepalive(self) -> bytes:
        """Write an event that resets Claude Code's stream watchdog, if there is a place for it.

        A `ping` does not; an empty delta of the open block does. Before the first token a thinking
        block is opened for it. `start()` comes first.
        """
        sequence = self._sequence
        opened = self.start(0)
        if sequence.open is None and not sequence.waiting and not self._ended:
            opened += sequence.add(Block("thinking"))
        if sequence.open is None:
            return opened + sse.PING
        return opened + sequence.delta_head + b'""' + DELTA_END

    def feed(self, chunk: ChatChunk) -> bytes:
        """Translate one chunk into zero or more events."""
        usage = chunk.usage
        if usage is not None:
            self.counts.note(usage)
        events = b"" if self._started else self.start(0)
        choices = chunk.choices
        if not choices:
            return events
        choice = choices[0]
        delta = choice.delta
        if delta is not None:
            reasoning = delta.reasoning or delta.reasoning_content
            if reasoning:
                events += self._reasoning(reasoning)
            content = delta.content
            if content:
                parts = self._text_parts
                if parts is None:
                    events += self._content(content)
                else:
                    parts.append(content)
                    events += self._sequence.delta_head + encode(content) + DELTA_END
            if delta.refusal:
                self._refused = True
                events += self._content(delta.refusal)
            if delta.tool_calls:
                events += self._flush_inline()
                self._first_token_seen = True
                self._text_parts = None
                self._held.clear()
                events += self._calls.feed(delta.tool_calls)
        if choice.finish_reason is not None:
            self._note_finish(choice)
        return events

    def finish(self) -> bytes:
        """Close what is open and end the message. A second call writes nothing."""
        if self._ended:
            return b""
        self._ended = True
        sequence = self._sequence
        unclosed = self._inline is not None and self._inline.unclosed
        events = [self.start(0), self._flush_inline()]
        if unclosed and self._finish_reason == "stop":
            # It was no thought: the engine cut the thoughts off itself, and there were none.
            events.append(self._append("text", "".join(b.content for b in sequence.blocks)))
        sequence.drop_empty_calls()
        events.append(sequence.advance(at_end=True))
        events.append(self._calls.finish())
        if not any(block.kind != "thinking" or block.parts for block in sequence.blocks):
            # Claude Code and strict clients read content[0]; an empty completion still has one.
            empty = Block("text")
            empty.parts += self._held
            events.append(sequence.add(empty))
        events.append(sequence.close())
        self._text_parts = None
        self._stop = stop_reason, stop_sequence = self._resolve_stop()
        events.append(sse.message_delta(stop_reason, stop_sequence, self.usage))
        events.append(sse.message_stop())
        return b"".join(events)

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
            "content": [block.as_message_content() for block in self._sequence.blocks],
            "stop_reason": stop_reason,
            "stop_sequence": stop_sequence,
            "usage": self.usage.as_message_content(),
        }

    def _reasoning(self, text: str) -> bytes:
        events = self._flush_inline()
        self._inline = None
        return events + self._append("thinking", text)

    def _content(self, text: str) -> bytes:
        if self._inline is None:
            return self._append("text", text)
        thinking, answer = self._inline.feed(text)
        if self._inline.settled:
            self._inline = None
        self._first_token_seen = True
        events = self._append("thinking", thinking) if thinking else b""
        return events + self._append("text", answer) if answer else events

    def _flush_inline(self) -> bytes:
        if self._inline is None:
            return b""
        thinking, answer = self._inline.flush()
        self._inline = None
        events = self._append("thinking", thinking) if thinking else b""
        return events + self._append("text", answer) if answer else events

    def _append(self, kind: sse.BlockKind, text: str) -> bytes:
        """Add text or thinking to the block it belongs to, or open one for it."""
        self._first_token_seen = True
        sequence = self._sequence
        last = sequence.last
        if last is not None and last.kind == kind:
            return sequence.extend(last, text)
        if self._held_kind != kind:
            self._held.clear()
            self._held_kind = kind
        self._held.append(text)
        if text.isspace():
            return b""
        block = Block(kind)
        block.parts += self._held
        self._held.clear()
        events = sequence.add(block)
        self._text_parts = block.parts if kind == "text" and block is sequence.open else None
        return events

    def _note_finish(self, choice: ChatChoice) -> None:
        if choice.finish_reason in FINISH_REASONS:
            self._finish_reason = choice.finish_reason
        if isinstance(choice.stop_reason, str):
            self._matched_stop = choice.stop_reason

    def _resolve_stop(self) -> tuple[str, str | None]:
        """Anthropic's stop reason and the stop sequence that matched."""
        reason = self._finish_reason
        calls = [block for block in self._sequence.blocks if block.kind == "tool_use"]
        if reason == "length":
            return ("model_context_window_exceeded" if self._window_limited else "max_tokens"), None
        if reason == "content_filter" or (self._refused and not calls):
            return "refusal", None
        # A stop string that cut a tool call short wins over the call: it must not run.
        matched = self._matched_stop if self._matched_stop in self._stop_sequences else None
        if matched is not None and not (calls and calls[-1].complete):
            return "stop_sequence", matched
        return ("tool_use" if calls else "end_turn"), None
