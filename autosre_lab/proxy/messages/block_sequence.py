"""The content blocks of an answer in the making, and the one order in which they go out.

Anthropic's stream has one block open at a time and numbers them as they open. The engine knows no
blocks: text, reasoning and the fragments of several tool calls come as they come. `BlockSequence`
opens, fills and closes blocks; what would have to interrupt a tool call waits behind it.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from typing import Any

import msgspec

from autosre_lab.proxy.messages import events as sse
from autosre_lab.proxy.messages.arguments import ArgumentsEnd, is_json_object
from autosre_lab.proxy.messages.events import BlockKind, encode

__all__ = ["MALFORMED_ARGUMENTS", "Block", "BlockSequence"]

MALFORMED_ARGUMENTS = "malformed_arguments"
"""Key under which a non-streamed tool call carries arguments that are no JSON object.

A `tool_use` block must hold an object. No tool declares this key, so the client refuses the call
and shows the model its own text, which is what it does with a malformed stream as well.
"""

_UNNAMED_TOOL = "unnamed_tool"


class Block:
    """One content block.

    Attributes:
        kind: Its Anthropic type.
        parts: Its text, thinking or arguments in fragments, as the engine sent them.
        surplus: What came behind a tool call's whole arguments; no part of them.
        tool_id: Anthropic id of a tool call.
        tool_name: Name of the tool; None until the engine has told it.
        complete: Nothing that could still arrive for it would belong to it.
        begun: Something of its content has been sent to the client.
        closed: It has been closed towards the client.
    """

    __slots__ = (
        "_end",
        "begun",
        "closed",
        "complete",
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
        self.complete = kind != "tool_use"
        self.begun = False
        self.closed = False
        self._end: ArgumentsEnd | None = None if self.complete else ArgumentsEnd()

    @property
    def content(self) -> str:
        """All fragments joined."""
        return "".join(self.parts)

    def append(self, fragment: str) -> str:
        """Take a fragment; return what of it belongs to the block."""
        end = self._end
        if end is None:
            if self.kind == "tool_use" and self.complete:
                self.surplus.append(fragment)
                return ""
            self.parts.append(fragment)
            return fragment
        size = end.feed(fragment)
        own = fragment[:size]
        self.parts.append(own)
        if end.balanced:
            # Asked once: brackets that match around something else than JSON never get complete.
            self._end = None
            self.complete = is_json_object(self.content)
            if not self.complete:
                self.parts.append(fragment[size:])
                return fragment
            if size < len(fragment):
                self.surplus.append(fragment[size:])
        return own

    def another_call(self) -> str | None:
        """The surplus, if it is arguments of a call of its own: another whole object."""
        surplus = "".join(self.surplus).strip()
        if not surplus or not is_json_object(surplus):
            return None
        same = msgspec.json.decode(surplus) == msgspec.json.decode(self.content)
        return None if same else surplus

    def as_message_content(self) -> dict[str, Any]:
        """Return the block as it stands in a Message.

        Arguments that are a JSON object stay the bytes they are (`msgspec.Raw`), so that neither
        key order nor a number's spelling changes.
        """
        content = self.content
        if self.kind == "text":
            return {"type": "text", "text": content}
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": content, "signature": _signature(content)}
        if is_json_object(content):
            arguments: object = msgspec.Raw(content.strip().encode())
        elif content.strip():
            arguments = {MALFORMED_ARGUMENTS: content}
        else:
            arguments = {}
        return {
            "type": "tool_use",
            "id": self.tool_id,
            "name": self.tool_name or _UNNAMED_TOOL,
            "input": arguments,
        }


class BlockSequence:
    """The blocks of one message: closed ones, the open one, and those that wait for their turn.

    Attributes:
        blocks: All that have been opened, in order.
        open: The one that is open towards the client.
        delta_head: The fixed bytes before each fragment of the open block.
        waiting: Blocks that may not be opened yet.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.open: Block | None = None
        self.delta_head = b""
        self.waiting: deque[Block] = deque()

    @property
    def last(self) -> Block | None:
        """The block to which the engine's next fragment of the same kind belongs."""
        return self.waiting[-1] if self.waiting else self.open

    def add(self, block: Block) -> bytes:
        """Append a block; it opens at once unless it has to wait."""
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
            event = self.delta_head + encode(own) + sse.DELTA_END
        elif block.kind == "tool_use" and own.isspace():
            event = b""
        else:
            event = self._begin(block)
        return event + self.advance() if self.waiting else event

    def advance(self, *, at_end: bool = False) -> bytes:
        """Open the waiting blocks whose turn it is; at the end of the message, all of them."""
        events: list[bytes] = []
        while self.waiting:
            block = self.waiting[0]
            if not at_end:
                if block.kind == "tool_use" and not block.tool_name:
                    break
                if self.open is not None and not self.open.complete:
                    break
            events.append(self.close())
            self.waiting.popleft()
            events.append(self._start(block))
        return b"".join(events)

    def drop_empty_calls(self) -> None:
        """Forget waiting tool calls of which neither name nor arguments ever came."""
        self.waiting = deque(
            block
            for block in self.waiting
            if block.kind != "tool_use" or block.tool_name or block.parts
        )

    def close(self) -> bytes:
        """Close the open block, if there is one."""
        block = self.open
        if block is None:
            return b""
        index = len(self.blocks) - 1
        self.open = None
        block.closed = True
        stop = sse.block_stop(index)
        if block.kind == "thinking":
            return sse.signature_delta(index, _signature(block.content)) + stop
        return stop

    def _start(self, block: Block) -> bytes:
        index = len(self.blocks)
        self.blocks.append(block)
        self.open = block
        self.delta_head = sse.delta_head(block.kind, index)
        start = sse.block_start(
            block.kind, index, tool_id=block.tool_id, tool_name=block.tool_name or _UNNAMED_TOOL
        )
        return start + self._begin(block)

    def _begin(self, block: Block) -> bytes:
        """Send what a block holds so far.

        White space at the head of arguments waits for what follows it: Anthropic's SDK parses the
        arguments after each fragment and fails on nothing but white space.
        """
        content = block.content
        if not content or (block.kind == "tool_use" and content.isspace()):
            return b""
        block.begun = True
        return self.delta_head + encode(content) + sse.DELTA_END


def _signature(thinking: str) -> str:
    # The client only carries it around. A digest makes two runs over the same chunks equal.
    digest = hashlib.blake2b(thinking.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return base64.b64encode(digest).decode("ascii")
