"""Which call a fragment of `tool_calls` goes on with.

OpenAI numbers the calls and names each once. Engines leave out the number, the id, or both, number
every call 0, send a new id with each fragment, or repeat the name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from autosre_lab.proxy.blocks import Block, BlockSequence
from autosre_lab.proxy.chat_stream import ChatToolCallDelta

__all__ = ["ToolCalls"]


class _Call:
    __slots__ = ("block", "upstream_id")

    def __init__(self, block: Block, upstream_id: str | None) -> None:
        self.block = block
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
        self._by_id: dict[str, int] = {}
        self._all: list[_Call] = []
        self._last_index = 0

    def feed(self, deltas: Sequence[ChatToolCallDelta]) -> bytes:
        """Translate the calls' fragments of one chunk."""
        if len(deltas) == 1:
            return self._one(deltas[0], self._last_index)
        # Several in one chunk are several calls: their place tells unnumbered ones apart.
        return b"".join(self._one(delta, place) for place, delta in enumerate(deltas))

    def finish(self) -> bytes:
        """Open what came behind whole arguments and is a call of its own."""
        events = b""
        for call in list(self._all):
            surplus = call.block.another_call()
            if surplus is not None:
                call.block.surplus.clear()
                block = self._new(call.block.tool_name, call.upstream_id).block
                block.append(surplus)
                events += self._sequence.add(block) + self._sequence.advance(at_end=True)
        return events

    def _one(self, delta: ChatToolCallDelta, place: int) -> bytes:
        function = delta.function
        name = function.name if function is not None else None
        fragment = (function.arguments if function is not None else None) or ""
        index = self._index(delta, place)
        self._last_index = index
        events = b""
        call = self._by_index.get(index)
        if call is None or _begins_another(call, delta.id, name, fragment):
            call = self._by_index[index] = self._new(name, delta.id)
            events = self._sequence.add(call.block)
        elif name and not call.block.tool_name:
            call.block.tool_name = name
            events = self._sequence.advance()
        if delta.id:
            self._by_id[delta.id] = index
            call.upstream_id = delta.id
        return events + self._sequence.extend(call.block, fragment) if fragment else events

    def _index(self, delta: ChatToolCallDelta, place: int) -> int:
        if delta.index is not None:
            return delta.index
        if delta.id and delta.id in self._by_id:
            return self._by_id[delta.id]
        return place

    def _new(self, name: str | None, upstream_id: str | None) -> _Call:
        # The engine's own ids may repeat from answer to answer; ours may not.
        seed = f"{self._answer_id}\0{len(self._all)}\0{upstream_id or ''}"
        digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=12)
        block = Block("call", tool_id=self._prefix + digest.hexdigest(), tool_name=name or None)
        call = _Call(block, upstream_id)
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
            return False
        # A new id with each fragment: it goes on where the arguments do.
        goes_on = bool(block.content.strip()) and not block.complete
        return not (goes_on and name == block.tool_name and not fragment.startswith("{"))
    return block.complete or name != block.tool_name
