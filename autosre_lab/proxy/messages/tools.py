"""Tools: what the client offers the model, and what it expects its server to run."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from autosre_lab.proxy.messages.own_tools import definition_of
from autosre_lab.proxy.messages.request import BadRequestError, MessagesRequest, ToolDefinition
from autosre_lab.proxy.messages.search import search_tool
from autosre_lab.proxy.web_search import search_function

__all__ = ["ServerTool", "chat_tools", "server_tools", "tool_fields"]

_NO_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')
_NEEDED = ("code_execution",)
"""Server tools without which a request makes no sense: it counts on files and results of a
container that is not there."""


class ServerTool(NamedTuple):
    """A tool that only Anthropic's own servers know how to run.

    Attributes:
        type: Its versioned type, "web_search_20250305".
        name: The name the model would call it by; "" for a set of tools.
    """

    type: str
    name: str


def server_tools(request: MessagesRequest) -> list[ServerTool]:
    """Return the declared tools that the translation leaves out.

    The caller tells the client so; a model that is asked to search the web without a tool for it
    makes results up.
    """
    return [
        ServerTool(tool.type or "", tool.name)
        for tool in request.tools or ()
        if _function(tool) is None
    ]


def chat_tools(request: MessagesRequest, *, searches: bool = False) -> list[dict[str, Any]]:
    """Write the client's own tools as functions, each schema as the bytes it came in.

    Args:
        request: What the client sent.
        searches: The web is searched here; the search is a function, too.

    Raises:
        BadRequestError: One has no name, or is nothing that can be had here.
    """
    tools: list[dict[str, Any]] = []
    search = search_tool(request) if searches else None
    for position, tool in enumerate(request.tools or ()):
        function = _function(tool) if tool is not search else search_function(tool.name)
        if function is None:
            if (tool.type or "").startswith(_NEEDED):
                raise BadRequestError(
                    f"tools[{position}]: {tool.type} runs on Anthropic's servers and cannot be had "
                    "here; leave it out, or offer a tool of your own"
                )
            continue
        if not tool.name:
            raise BadRequestError(f"tools[{position}].name: a name is required")
        tools.append({"type": "function", "function": function})
    return tools


def tool_fields(request: MessagesRequest, *, searches: bool = False) -> dict[str, Any]:
    """Return `tools`, `tool_choice` and `parallel_tool_calls`, as far as they are needed.

    Args:
        request: What the client sent.
        searches: The web is searched here.

    Raises:
        BadRequestError: A tool cannot be had, or one must be called that is not there.
    """
    tools = chat_tools(request, searches=searches)
    choice = request.tool_choice
    names = {tool["function"]["name"] for tool in tools}
    if choice is not None and choice.type in ("tool", "any"):
        _check_forced(request, choice.name if choice.type == "tool" else None, names)
    if not tools:
        return {}
    fields: dict[str, Any] = {"tools": tools}
    if choice is None:
        return fields
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = False
    if choice.type == "any":
        fields["tool_choice"] = "required"
    elif choice.type == "none":
        fields["tool_choice"] = "none"
    elif choice.type == "tool" and choice.name in names:
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        # Also where the tool that must be called is one we had to leave out.
        fields["tool_choice"] = "auto"
    return fields


def _check_forced(request: MessagesRequest, name: str | None, names: set[str]) -> None:
    """Refuse what cannot be: a call of a tool that was not declared, or of any where none was."""
    left_out = {tool.name for tool in server_tools(request)}
    choice = request.tool_choice
    if choice is not None and choice.type == "any":
        if not names and not left_out:
            raise BadRequestError("tool_choice: a tool must be called, and none is in tools")
    elif not name:
        raise BadRequestError("tool_choice.name: a name is required")
    elif name not in names | left_out:
        raise BadRequestError(f"tool_choice.name: there is no tool {name!r} in tools")


def _function(tool: ToolDefinition) -> dict[str, Any] | None:
    """The tool as a function, or None if only a server of Anthropic's could run it."""
    if tool.type in (None, "custom", "function") or bytes(tool.input_schema).startswith(b"{"):
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        has_schema = bytes(tool.input_schema).startswith(b"{")
        function["parameters"] = tool.input_schema if has_schema else _NO_SCHEMA
        if tool.strict:
            function["strict"] = True
        return function
    found = definition_of(
        tool.type or "",
        {
            "display_width_px": tool.display_width_px,
            "display_height_px": tool.display_height_px,
            "enable_zoom": tool.enable_zoom,
            "max_characters": tool.max_characters,
        },
    )
    if found is None:
        return None
    description, schema = found
    return {"name": tool.name, "description": description, "parameters": schema}
