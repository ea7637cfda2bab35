"""The parts of an answer in the making, and the one order in which they go out.

Clients want one block open at a time: text, thinking or a tool call. The engine knows no blocks:
text, reasoning and the fragments of several tool calls come as they come. `BlockSequence` opens,
fills and closes blocks; what would have to interrupt a tool call waits behind it. How a block is
written is a dialect's: its `BlockWriter`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from autosre_lab.proxy.arguments import (
    ArgumentsEnd,
    is_empty_object,
    is_json_object,
    meant_object,
)
from autosre_lab.proxy.chat_stream import UpstreamStreamError

__all__ = [
    "MALFORMED_ARGUMENTS",
    "UNNAMED_TOOL",
    "Block",
    "BlockKind",
    "BlockSequence",
    "BlockWriter",
    "Delta",
]

MALFORMED_ARGUMENTS = "malformed_arguments"
"""Key under which arguments that are no JSON object stand where an object has to.

No tool declares this key, so the client refuses the call and shows the model its own text, which
is what it does with a malformed stream as well.
"""

UNNAMED_TOOL = "unnamed_tool"
"""Name of a call that the engine did not name; the client refuses it."""

MAX_BLOCKS = 16_384
"""Most blocks of one answer. No model makes as many; an engine that never ends must not fill the
memory."""

BlockKind = Literal["text", "thinking", "call"]
Delta = Callable[[str], bytes]


class BlockWriter(Protocol):
    """How a dialect writes blocks."""

    def block_opened(self, block: Block, index: int) -> bytes:
        """Write that a block begins."""

    def delta_of(self, block: Block, index: int) -> Delta:
        """Return what writes the block's fragments."""

    def block_closed(self, block: Block, index: int) -> bytes:
        """Write that a block is whole."""


class Block:
    """One content block.

    Attributes:
        kind: What it is.
        parts: Its text, thinking or arguments in fragments, as the engine sent them.
        surplus: What came behind a tool call's whole arguments; no part of them.
        tool_id: The client's id of a tool call.
        tool_name: Name of the tool; None until the engine has told it.
        complete: Nothing that could still arrive for it would belong to it.
        begun: Something of its content has been sent to the client.
        held: Nothing is sent before its end: what it means may still change. So it is with
            arguments that are an empty object, behind which some engines send the true one, and
            with those that begin like no object.
        closed: It has been closed towards the client.
        abandoned: It is a call that never got whole: closed so that nobody runs it.
    """

    __slots__ = (
        "_end",
        "abandoned",
        "begun",
        "closed",
        "complete",
        "held",
        "kind",
        "parts",
        "surplus",
        "tool_id",
        "tool_name",
    )

    def __init__(
        self, kind: BlockKind, *, tool_id: str | None = None, tool_name: str | None = None
    ) -> None:
        self.kind = kind
        self.parts: list[str] = []
        self.surplus: list[str] = []
        self.tool_id = tool_id
        self.tool_name = tool_name
        self.complete = kind != "call"
        self.begun = False
        self.held = False
        self.closed = False
        self.abandoned = False
        self._end: ArgumentsEnd | None = None if self.complete else ArgumentsEnd()

    @property
    def content(self) -> str:
        """All fragments joined."""
        return "".join(self.parts)

    def append(self, fragment: str) -> str:
        """Take a fragment; return what of it belongs to the block."""
        end = self._end
        if end is None:
            if self.held and self.complete and fragment.lstrip()[:1] == "{":
                return self._replace(fragment)
            if self.kind == "call" and self.complete:
                self.surplus.append(fragment)
                return ""
            self.parts.append(fragment)
            return fragment
        size = end.feed(fragment)
        own = fragment[:size]
        self.parts.append(own)
        self.held = end.no_object
        if end.balanced:
            # Asked once: brackets that match around something else than JSON never get complete.
            self._end = None
            self.complete = is_json_object(self.content)
            if not self.complete:
                self.parts.append(fragment[size:])
                return fragment
            self.held = not self.begun and is_empty_object(self.content)
            if size < len(fragment):
                return own + self.append(fragment[size:])
        return own

    def _replace(self, fragment: str) -> str:
        """Forget an empty object, which the true arguments follow."""
        self.parts.clear()
        self.complete = self.held = False
        self._end = ArgumentsEnd()
        return self.append(fragment)

    def settle(self) -> None:
        """Take arguments of another form for the object that they stand for; nothing follows."""
        if self.held and not self.complete:
            self.parts = [meant_object(self.content)]
            self.complete = is_json_object(self.content)
        self.held = False

    def another_call(self) -> str | None:
        """The surplus, if it is arguments of a call of its own: another whole object."""
        surplus = "".join(self.surplus).strip()
        if not surplus or not is_json_object(surplus):
            return None
        same = msgspec.json.decode(surplus) == msgspec.json.decode(self.content)
        return None if same else surplus


class BlockSequence:
    """The blocks of one message: closed ones, the open one, and those that wait for their turn.

    Attributes:
        blocks: All that have been opened, in order.
        open: The one that is open towards the client.
        delta: Writes a fragment of the open block.
        waiting: Blocks that may not be opened yet.
        hosted: The name of the call that this server answers itself; None for none. Such a call
            waits until it is run, and what follows waits behind it.
    """

    def __init__(self, writer: BlockWriter) -> None:
        self._writer = writer
        self.hosted: str | None = None
        self.blocks: list[Block] = []
        self.open: Block | None = None
        self.delta: Delta = _nothing
        self.waiting: deque[Block] = deque()

    @property
    def last(self) -> Block | None:
        """The block to which the engine's next fragment of the same kind belongs."""
        return self.waiting[-1] if self.waiting else self.open

    def add(self, block: Block) -> bytes:
        """Append a block; it opens at once unless it has to wait.

        Raises:
            UpstreamStreamError: There are too many.
        """
        if len(self.blocks) + len(self.waiting) >= MAX_BLOCKS:
            raise UpstreamStreamError(
                f"it has more than {MAX_BLOCKS} calls, thoughts and texts", status=502, body=""
            )
        self.waiting.append(block)
        return self.advance()

    def extend(self, block: Block, fragment: str) -> bytes:
        """Append a fragment to a block; what comes behind whole arguments is kept from it."""
        own = block.append(fragment)
        if block is not self.open:
            return self.advance() if self.waiting else b""
        if not own:
            event = b""
        elif block.begun:
            event = self.delta(own)
        elif block.kind == "call" and (block.held or own.isspace()):
            event = b""
        else:
            event = self._begin(block)
        return event + self.advance() if self.waiting else event

    def advance(self, *, at_end: bool = False) -> bytes:
        """Open the waiting blocks whose turn it is; at the end of the message, all of them."""
        events: list[bytes] = []
        while self.waiting:
            block = self.waiting[0]
            if self.is_hosted(block):
                break
            if not at_end:
                if block.kind == "call" and not block.tool_name:
                    break
                if self.open is not None and not self.open.complete:
                    break
            events.append(self.close())
            self.waiting.popleft()
            events.append(self._start(block))
        return b"".join(events)

    def is_hosted(self, block: Block) -> bool:
        """Whether a block is a call that this server answers itself."""
        return block.kind == "call" and block.tool_name == self.hosted is not None

    def start_hosted(self) -> tuple[Block | None, bytes]:
        """Open the next call that this server answers, behind all that comes before it.

        Returns:
            The call, to be run and closed; None where none is left. And the events.
        """
        events = self.advance(at_end=True)
        if not self.waiting:
            return None, events
        block = self.waiting.popleft()
        return block, events + self.close() + self._start(block)

    def drop_empty_calls(self) -> None:
        """Forget waiting tool calls of which neither name nor arguments ever came."""
        self.waiting = deque(
            block
            for block in self.waiting
            if block.kind != "call" or block.tool_name or block.parts
        )

    def close(self) -> bytes:
        """Close the open block, if there is one."""
        block = self.open
        if block is None:
            return b""
        index = len(self.blocks) - 1
        rest = b""
        if block.held:
            block.settle()
            rest = self._begin(block)
        self.open = None
        block.closed = True
        return rest + self._writer.block_closed(block, index)

    def abandon(self) -> bytes:
        """Close the open call so that the client does not run it: its arguments stay half."""
        block = self.open
        if block is None or block.kind != "call" or block.complete:
            return b""
        half = b""
        if not block.begun:
            # Without any, a client would run it with none; and what was held may mean something.
            block.parts, block.held = ["{"], False
            half = self._begin(block)
        block.abandoned = True
        return half + self.close()

    def _start(self, block: Block) -> bytes:
        index = len(self.blocks)
        self.blocks.append(block)
        self.open = block
        self.delta = self._writer.delta_of(block, index)
        return self._writer.block_opened(block, index) + self._begin(block)

    def _begin(self, block: Block) -> bytes:
        """Send what a block holds so far.

        White space at the head of arguments waits for what follows it: some clients parse the
        arguments after each fragment and fail on nothing but white space.
        """
        content = block.content
        if not content or (block.kind == "call" and (block.held or content.isspace())):
            return b""
        block.begun = True
        return self.delta(content)


def _nothing(_: str) -> bytes:
    return b""
