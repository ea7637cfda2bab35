"""The engine's chunks sorted into an answer, for a dialect to write."""

from __future__ import annotations

from abc import ABC, abstractmethod

from autosre_lab.proxy.blocks import Block, BlockKind, BlockSequence, Delta
from autosre_lab.proxy.chat_stream import FINISH_REASONS, ChatChoice, ChatChunk, TokenCounts
from autosre_lab.proxy.inline_thinking import InlineThinking
from autosre_lab.proxy.resuming import Delivered, Overlap, delivered
from autosre_lab.proxy.tool_calls import ToolCalls

__all__ = ["DialectAnswer"]


class DialectAnswer(ABC):
    """One answer on its way from the engine to the client.

    What the engine sends is sorted here; a dialect's own class says how it is written.

    Args:
        answer_id: The client's id of the answer, unique per request.
        call_prefix: What the client's ids of tool calls begin with.
        inside_thinking: The prompt ended with an opened `<think>`.

    Attributes:
        counts: The newest token counts.
        sequence: The blocks.
        finish_reason: The engine's reason to stop; None as long as it has given none.
        matched_stop: The stop string that ended it.
        refused: The model refused.
        inside_thinking: As given.
    """

    def __init__(self, answer_id: str, *, call_prefix: str, inside_thinking: bool = False) -> None:
        self.counts = TokenCounts()
        self.sequence = BlockSequence(self)
        self.finish_reason: str | None = None
        self.matched_stop: str | None = None
        self.refused = False
        self.inside_thinking = inside_thinking
        self._started = False
        self._ended = False
        self._first_token_seen = False
        self._inline: InlineThinking | None = InlineThinking(opened=inside_thinking)
        # White space that would open a block by itself waits for something worth a block.
        self._held: list[str] = []
        self._held_kind: BlockKind = "text"
        # Fragments of the open text block while nothing waits behind it: the fast path.
        self._text_parts: list[str] | None = None
        self._calls = ToolCalls(answer_id, self.sequence, prefix=call_prefix)
        self._overlap: Overlap | None = None
        # How many blocks there were when the engine was asked last.
        self._round_begins = 0

    # What a dialect writes ------------------------------------------------------------------------

    @abstractmethod
    def opening(self) -> bytes:
        """Write that the answer begins."""

    @abstractmethod
    def ending(self) -> bytes:
        """Write that the answer is whole; its blocks are closed by then."""

    @abstractmethod
    def block_opened(self, block: Block, index: int) -> bytes:
        """Write that a block begins."""

    @abstractmethod
    def delta_of(self, block: Block, index: int) -> Delta:
        """Return what writes the block's fragments."""

    @abstractmethod
    def block_closed(self, block: Block, index: int) -> bytes:
        """Write that a block is whole."""

    # What the machinery asks ----------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """Its opening has been written."""
        return self._started

    @property
    def ended(self) -> bool:
        """Its end has been written."""
        return self._ended

    @property
    def first_token_seen(self) -> bool:
        """The engine has produced something of it."""
        return self._first_token_seen

    @property
    def finished(self) -> bool:
        """The engine said why it stopped. False at the end of its stream means it died."""
        return self.finish_reason is not None

    def start(self, input_tokens: int) -> bytes:
        """Open it before the engine has answered (the keepalive path).

        Args:
            input_tokens: The prompt's exact count, cached or not.

        Returns:
            The opening, or nothing if it has been written before.
        """
        if self._started:
            return b""
        self._started = True
        self.counts.prompt = self.counts.prompt or input_tokens
        return self.opening()

    def delivered(self) -> Delivered:
        """Return what the client has of it, since the engine was asked last."""
        return delivered(self.sequence.blocks[self._round_begins :])

    def rewind(self, *, continuing: bool, inside_thinking: bool = False) -> None:
        """Forget what has not gone out: the engine broke off and is asked again.

        Args:
            continuing: The engine goes on with the text; else it answers from the start.
            inside_thinking: As for a new answer.
        """
        given = self.delivered()
        self.counts.begin_again(keep=continuing)
        self.sequence.waiting.clear()
        self._held.clear()
        self._text_parts = None
        self._inline = None if continuing else InlineThinking(opened=inside_thinking)
        self._overlap = Overlap(given, continuing=continuing)
        self._calls.make_again(given.call)
        self.finish_reason = self.matched_stop = None
        self.refused = False

    def end_with_calls(self) -> None:
        """End it as if the engine had, after a whole tool call: the client runs it."""
        self.sequence.waiting.clear()
        self._held.clear()
        self._inline = None
        self._calls.make_again(self.delivered().call)
        self.finish_reason = "tool_calls"

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
                    events += self.sequence.delta(content)
            if delta.refusal:
                self.refused = True
                events += self._content(delta.refusal)
            if delta.tool_calls:
                events += self._flush_inline()
                self._first_token_seen = True
                self._text_parts = None
                self._held.clear()
                events += self._calls.feed(delta.tool_calls)
        if choice.finish_reason is not None:
            if choice.message is not None and not self._first_token_seen:
                # All in one event; behind pieces it would say them again.
                events += self.feed(ChatChunk(choices=[ChatChoice(delta=choice.message)]))
            self._note_finish(choice)
        return events

    def finish(self) -> bytes:
        """Close what is open and end the answer. A second call writes nothing."""
        if self._ended:
            return b""
        self._ended = True
        sequence = self.sequence
        unclosed = self._inline is not None and self._inline.unclosed
        events = [self.start(0), self._flush_inline()]
        said = sequence.blocks[self._round_begins :]
        if unclosed and self.finish_reason == "stop":
            # It was no thought: the engine cut the thoughts off itself, and there were none.
            events.append(self._append("text", "".join(b.content for b in said)))
        sequence.drop_empty_calls()
        events.append(self._calls.settle())
        events.append(sequence.advance(at_end=True))
        events.append(self._calls.finish())
        if not any(block.kind != "thinking" or block.parts for block in sequence.blocks):
            # Strict clients read the first block; an empty completion still has one.
            empty = Block("text")
            empty.parts += self._held
            events.append(sequence.add(empty))
        events.append(sequence.close())
        self._text_parts = None
        events.append(self.ending())
        return b"".join(events)

    # Sorting --------------------------------------------------------------------------------------

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

    def _append(self, kind: BlockKind, text: str) -> bytes:
        """Add text or thinking to the block it belongs to, or open one for it."""
        self._first_token_seen = True
        sequence = self.sequence
        if self._overlap is not None:
            kind = self._overlap.kind(kind)
            text = self._overlap.new(kind, text)
            if not text:
                return b""
            if self._calls.waits:
                # Before the call is made again; only what is not part of the way there counts.
                if kind == "thinking" or text.isspace():
                    return b""
                events = self._calls.settle()
                return events + self._opened(kind, text)
        last = sequence.last
        if last is not None and last.kind == kind:
            return sequence.extend(last, text)
        return self._opened(kind, text)

    def _opened(self, kind: BlockKind, text: str) -> bytes:
        sequence = self.sequence
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
            self.finish_reason = choice.finish_reason
        if isinstance(choice.stop_reason, str):
            self.matched_stop = choice.stop_reason
