"""Deferred tools: told where they are fetched, and never in the list at the head of the prompt.

A client declares tools with `defer_loading` and sends them on with every request, in the middle of
its list. Most chat templates print tools first, so a list that changes costs the whole cached
prefix. So the list holds what was loaded from the start, for the whole session; a deferred tool
stands where the conversation fetches it (`tool_reference`) or adds it (`tool_addition`), in the
form that Claude Code's ToolSearch promises its model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

import msgspec

from autosre_lab.proxy.messages.content import changed_tool
from autosre_lab.proxy.messages.request import (
    ContentBlock,
    InputMessage,
    MessagesRequest,
    ToolDefinition,
    decode_blocks,
    without_lone_surrogates,
)
from autosre_lab.proxy.messages.tools import client_functions, function_of, server_tools

__all__ = ["NO_TOOLS", "OfferedTools", "fetched_by_result", "offered_tools", "removed_tools"]

Function = dict[str, Any]
Content = TypeVar("Content", str | list[ContentBlock] | None, list[ContentBlock])

_FETCH = "tool_reference"
_CHANGES = frozenset({_FETCH, "tool_addition", "tool_removal"})
_SERVER_SEARCH = "tool_search_tool"

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_tool_decoder = msgspec.json.Decoder(ToolDefinition)
_result_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """What a request offers the model, by where the model is told of it.

    Attributes:
        loaded: The functions at the head of the prompt, in the client's order.
        deferred: Those that are told in place, by name.
        fetched: Names of deferred tools that the conversation has fetched or added.
        removed: Names that the conversation has taken away, and not given back.
    """

    loaded: Sequence[Function] = ()
    deferred: Mapping[str, Function] = field(default_factory=dict)
    fetched: tuple[str, ...] = ()
    removed: frozenset[str] = frozenset()

    @property
    def changes(self) -> bool:
        """Some tool stands, or may come to stand, anywhere else than in the list."""
        return bool(self.deferred or self.removed)

    def callable(self, forced: str | None = None) -> list[Function]:
        """Return the functions that may be called, those that were fetched behind the others.

        Args:
            forced: The tool that `tool_choice` names; it may be called, fetched or not.
        """
        names = [name for name in self.fetched if name not in self.removed]
        if forced in self.deferred and forced not in names and forced not in self.removed:
            names.append(str(forced))
        loaded = [one for one in self.loaded if one["name"] not in self.removed]
        return loaded + [self.deferred[name] for name in names]

    def told(self, content: Content) -> Content:
        """Return content with a text in place of each tool that comes; neighbours share one.

        What is taken away is told by `content`.
        """
        if not isinstance(content, list) or not any(map(_comes, content)):
            return content
        written: list[ContentBlock] = []
        for comes, run in groupby(content, key=_comes):
            if comes:
                written.append(ContentBlock(type="text", text=self._told(map(changed_tool, run))))
            else:
                written += run
        return written

    def _told(self, names: Iterable[str]) -> str:
        """Write tools that come: the new ones in full, those of the list by name."""
        loaded = {one["name"] for one in self.loaded}
        lines, functions = [], []
        for name in names:
            if name in self.deferred:
                functions.append(self.deferred[name])
            else:
                known = "tool available" if name in loaded else "tool no longer available"
                lines.append(f"[{known}: {name}]")
        if functions:
            lines.append(told_functions(functions))
        return "\n".join(lines)

    def told_result(self, block: ContentBlock) -> ContentBlock:
        """Return a call's result with a text in place of each tool that it fetched."""
        items = _result_items(block)
        if items is None:
            return block
        content: list[object] = []
        for comes, run in groupby(items, key=lambda item: _comes(item[0])):
            if comes:
                text = self._told(changed_tool(one) for one, _ in run)
                content.append({"type": "text", "text": text})
            else:
                content += [raw for _, raw in run]
        return _with_content(block, content)


NO_TOOLS = OfferedTools()


def offered_tools(request: MessagesRequest, *, searches: bool = False) -> OfferedTools:
    """Sort a request's tools by where the model is told of them.

    All are loaded where the client counts on a search by Anthropic's servers to find the deferred
    ones, since nothing else would tell the model of them, and where none is loaded.

    Args:
        request: What the client sent.
        searches: The web is searched here; the search is a function, too.

    Raises:
        BadRequestError: A tool has no name, or is nothing that can be had here.
    """
    functions = client_functions(request, searches=searches)
    later = {tool.name for tool in request.tools or () if tool.defer_loading is True}
    if later and (
        all(one["name"] in later for one in functions)
        or any(tool.type.startswith(_SERVER_SEARCH) for tool in server_tools(request))
    ):
        later = set()
    loaded = [one for one in functions if one["name"] not in later]
    deferred = {one["name"]: one for one in functions if one["name"] in later}
    fetched: dict[str, None] = {}
    removed: set[str] = set()
    for block in _changes(request.messages, inside_results=bool(later)):
        name = changed_tool(block)
        if block.type == "tool_removal":
            removed.add(name)
            continue
        removed.discard(name)
        by_value = _by_value(block)
        if by_value is not None and by_value["name"] not in {one["name"] for one in loaded}:
            deferred[name] = by_value
        if name in deferred:
            fetched[name] = None
    return OfferedTools(loaded, deferred, tuple(fetched), frozenset(removed))


def removed_tools(request: MessagesRequest) -> frozenset[str]:
    """Return the names that a conversation has taken away, and not given back."""
    contents = (message.content for message in request.messages)
    if not any(
        block.type == "tool_removal"
        for content in contents
        if isinstance(content, list)
        for block in content
    ):
        return frozenset()
    return offered_tools(request).removed


def fetched_by_result(block: ContentBlock, tools: OfferedTools) -> tuple[ContentBlock, list[str]]:
    """Take the references to deferred tools out of a result, and return their names."""
    items = _result_items(block)
    if items is None:
        return block, []
    names = [changed_tool(one) for one, _ in items if one.type == _FETCH]
    rest: list[object] = [
        raw for one, raw in items if one.type != _FETCH or changed_tool(one) not in tools.deferred
    ]
    return _with_content(block, rest), [name for name in names if name in tools.deferred]


def told_functions(functions: Iterable[Function]) -> str:
    """Write functions as the block that Claude Code's ToolSearch promises its model."""
    lines = "\n".join(map(told_function, functions))
    return f"<functions>\n{lines}\n</functions>"


def told_function(function: Function) -> str:
    """Write one function as its line."""
    parameters = function["parameters"]
    if isinstance(parameters, msgspec.Raw):
        # On one line, whatever white space the client's JSON has.
        parameters = msgspec.Raw(msgspec.json.format(bytes(parameters), indent=-1))
    told = {
        "description": function.get("description") or "",
        "name": function["name"],
        "parameters": parameters,
    }
    return f"<function>{msgspec.json.encode(told).decode('utf-8', 'replace')}</function>"


def _changes(messages: Sequence[InputMessage], *, inside_results: bool) -> Iterator[ContentBlock]:
    """Yield the blocks that change what may be called, in their order."""
    for message in messages:
        if not isinstance(message.content, list):
            continue
        for block in message.content:
            if block.type in _CHANGES:
                yield block
            elif inside_results and block.type == "tool_result":
                for one, _ in _result_items(block) or ():
                    if one.type == _FETCH:
                        yield one


def _result_items(block: ContentBlock) -> list[tuple[ContentBlock, msgspec.Raw]] | None:
    """A result's blocks, each with its bytes; None where no tool is fetched by it."""
    if b"tool_reference" not in bytes(block.content):
        return None
    blocks = decode_blocks(block.content)
    if not isinstance(blocks, list) or not any(one.type == _FETCH for one in blocks):
        return None
    data = without_lone_surrogates(bytes(block.content))
    raws = [msgspec.Raw(msgspec.json.encode(one)) for one in _result_decoder.decode(data)]
    return list(zip(blocks, raws, strict=True))


def _by_value(block: ContentBlock) -> Function | None:
    """The function that an addition brings along."""
    if block.type != "tool_addition":
        return None
    try:
        raw = _object_decoder.decode(block.tool).get("definition", msgspec.Raw(b""))
        tool = _tool_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return function_of(tool) if tool.name else None


def _comes(block: ContentBlock) -> bool:
    return block.type in (_FETCH, "tool_addition")


def _with_content(block: ContentBlock, content: list[object]) -> ContentBlock:
    return msgspec.structs.replace(block, content=msgspec.Raw(msgspec.json.encode(content)))
