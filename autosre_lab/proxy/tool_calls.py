"""Which call a fragment of `tool_calls` goes on with.

OpenAI numbers the calls and names each once. Engines leave out the number, the id, or both, number
every call 0, send a new id with each fragment, or repeat the name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from autosre_lab.proxy.blocks import Block, BlockSequence
from autosre_lab.proxy.chat_stream import ChatFunctionDelta, ChatToolCallDelta

__all__ = ["ToolCalls"]

_NO_FUNCTION = ChatFunctionDelta()


class _Call:
    __slots__ = ("block", "index", "upstream_id")

    def __init__(self, block: Block, index: int, upstream_id: str | None) -> None:
        self.block = block
        self.index = index
        self.upstream_id = upstream_id


class ToolCalls:
    """The tool calls of one answer.

    Args:
        answer_id: Id of the answer; the calls' ids are made from it.
        sequence: Where their blocks go.
        prefix: What the client's ids of calls begin with.
    """

    def __init__(self, answer_id: str, sequence: BlockSequence, *, prefix: str) -> None:
        self._answer_id = answer_id
        self._prefix = prefix
        self._sequence = sequence
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._all: list[_Call] = []
        self._last_index = 0
        # A call that is made again: what the client has of it, and what has come of it.
        self._half: Block | None = None
        self._known = ""
        self._again: list[ChatToolCallDelta] = []
        self._again_size = 0

    def make_again(self, half: Block | None) -> None:
        """The engine is asked again; forget what it began.

        Args:
            half: The call that is open towards the client and not whole. The first call that
                comes goes on with it where it is the same one.
        """
        self._by_index.clear()
        self._by_id.clear()
        self._last_index = 0
        self._again, self._again_size = [], 0
        self._known = "" if half is None else half.content
        self._half = half

    @property
    def waits(self) -> bool:
        """What has come of the call that is made again may still be the half one."""
        return self._half is not None

    def feed(self, deltas: Sequence[ChatToolCallDelta]) -> bytes:
        """Translate the calls' fragments of one chunk."""
        if self._half is not None:
            return self._compared(deltas, self._half)
        if len(deltas) == 1:
            return self._one(deltas[0], self._last_index)
        # Several in one chunk are several calls: their place tells unnumbered ones apart.
        return b"".join(self._one(delta, place) for place, delta in enumerate(deltas))

    def settle(self) -> bytes:
        """Give up a half call that nothing goes on with, and open what was made instead."""
        if self._half is None:
            return b""
        self._half = None
        again, self._again = self._again, []
        events = self._sequence.abandon()
        return events + b"".join(self.feed([delta]) for delta in again)

    def _compared(self, deltas: Sequence[ChatToolCallDelta], half: Block) -> bytes:
        """Go on with the half call as soon as the new one is longer, and the same so far."""
        self._again += deltas
        index, known = self._again[0].index or 0, self._known
        for position, delta in enumerate(deltas):
            function = delta.function or _NO_FUNCTION
            arguments, at = function.arguments or "", self._again_size
            if (
                (delta.index or 0) != index
                or (function.name or half.tool_name) != half.tool_name
                or not known.startswith(arguments[: len(known) - at], at)
            ):
                return self.settle()
            self._again_size += len(arguments)
            if self._again_size > len(known):
                self._half = None
                self._again.clear()
                call = next(one for one in self._all if one.block is half)
                call.index = self._last_index = index
                self._by_index[index] = call
                events = self._sequence.extend(half, arguments[len(known) - at :])
                return events + b"".join(self.feed([one]) for one in deltas[position + 1 :])
        return b""

    def finish(self) -> bytes:
        """Open what came behind whole arguments and is a call of its own."""
        events = b""
        for call in list(self._all):
            surplus = call.block.another_call()
            if surplus is not None:
                call.block.surplus.clear()
                block = self._new(call.index, call.block.tool_name, call.upstream_id).block
                block.append(surplus)
                events += self._sequence.add(block) + self._sequence.advance(at_end=True)
        return events

    def _one(self, delta: ChatToolCallDelta, place: int) -> bytes:
        function = delta.function
        name = function.name if function is not None else None
        fragment = (function.arguments if function is not None else None) or ""
        call = self._by_id.get(delta.id) if delta.id else None
        index = delta.index
        if index is None:
            index = place if call is None else call.index
        if call is None or call.index != index:
            call = self._by_index.get(index)
        self._last_index = index
        events = b""
        if call is None or _begins_another(call, delta.id, name, fragment):
            call = self._new(index, name, delta.id)
            events = self._sequence.add(call.block)
        elif name and not call.block.tool_name:
            call.block.tool_name = name
            events = self._sequence.advance()
        self._by_index[index] = call
        if delta.id:
            self._by_id[delta.id] = call
            call.upstream_id = delta.id
        return events + self._sequence.extend(call.block, fragment) if fragment else events

    def _new(self, index: int, name: str | None, upstream_id: str | None) -> _Call:
        # The engine's own ids may repeat from answer to answer; ours may not.
        seed = f"{self._answer_id}\0{len(self._all)}\0{upstream_id or ''}"
        digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=12)
        block = Block("call", tool_id=self._prefix + digest.hexdigest(), tool_name=name or None)
        call = _Call(block, index, upstream_id)
        self._all.append(call)
        return call


def _begins_another(call: _Call, id_: str | None, name: str | None, fragment: str) -> bool:
    """Whether a fragment with a known number is a new call all the same.

    Without a name nothing new begins: such a call could not be run.
    """
    block = call.block
    if not name or not block.tool_name:
        return False
    if id_ and call.upstream_id:
        if id_ == call.upstream_id:
            return name != block.tool_name and bool(block.content.strip())
        # A new id with each fragment: it goes on where the arguments do.
        goes_on = bool(block.content.strip()) and not block.complete
        return not (goes_on and name == block.tool_name and not fragment.startswith("{"))
    return block.complete or name != block.tool_name
