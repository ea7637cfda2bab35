"""Tools: what the client offers the model, and what it expects its server to run."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from autosre_lab.proxy.messages.request import MessagesRequest, ToolDefinition

__all__ = ["ServerTool", "chat_tools", "server_tools", "tool_fields"]

_NO_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')


class ServerTool(NamedTuple):
    """A tool that only Anthropic's own servers or models know how to run.

    Attributes:
        type: Its versioned type, "web_search_20250305".
        name: The name the model would call it by.
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
        if not _is_function(tool)
    ]


def chat_tools(request: MessagesRequest) -> list[dict[str, Any]]:
    """Write the client's own tools as functions, each schema as the bytes it came in."""
    tools: list[dict[str, Any]] = []
    for tool in request.tools or ():
        if not _is_function(tool):
            continue
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        has_schema = bytes(tool.input_schema).startswith(b"{")
        function["parameters"] = tool.input_schema if has_schema else _NO_SCHEMA
        if tool.strict:
            function["strict"] = True
        tools.append({"type": "function", "function": function})
    return tools


def tool_fields(request: MessagesRequest) -> dict[str, Any]:
    """Return `tools`, `tool_choice` and `parallel_tool_calls`, as far as they are needed."""
    tools = chat_tools(request)
    if not tools:
        return {}
    fields: dict[str, Any] = {"tools": tools}
    choice = request.tool_choice
    if choice is None:
        return fields
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = False
    if choice.type == "any":
        fields["tool_choice"] = "required"
    elif choice.type == "none":
        fields["tool_choice"] = "none"
    elif choice.type == "tool" and any(tool["function"]["name"] == choice.name for tool in tools):
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        # Also where the tool that must be called is one we had to leave out.
        fields["tool_choice"] = "auto"
    return fields


def _is_function(tool: ToolDefinition) -> bool:
    return tool.type in (None, "custom", "function") or bool(tool.input_schema)
