"""Tools: what the client offers the model, and what it expects its server to run."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from autosre_lab.proxy.messages.own_tools import definition_of
from autosre_lab.proxy.messages.request import BadRequestError, MessagesRequest, ToolDefinition
from autosre_lab.proxy.messages.search import search_tool
from autosre_lab.proxy.web_search import search_function

__all__ = ["ServerTool", "client_functions", "function_of", "server_tools"]

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
        if function_of(tool) is None
    ]


def client_functions(request: MessagesRequest, *, searches: bool = False) -> list[dict[str, Any]]:
    """Write the client's own tools as functions, each schema as the bytes it came in.

    Args:
        request: What the client sent.
        searches: The web is searched here; the search is a function, too.

    Raises:
        BadRequestError: One has no name, or is nothing that can be had here.
    """
    functions: list[dict[str, Any]] = []
    search = search_tool(request) if searches else None
    for position, tool in enumerate(request.tools or ()):
        function = function_of(tool) if tool is not search else search_function(tool.name)
        if function is None:
            if (tool.type or "").startswith(_NEEDED):
                raise BadRequestError(
                    f"tools[{position}]: {tool.type} runs on Anthropic's servers and cannot be had "
                    "here; leave it out, or offer a tool of your own"
                )
            continue
        if not tool.name:
            raise BadRequestError(f"tools[{position}].name: a name is required")
        functions.append(function)
    return functions


def function_of(tool: ToolDefinition) -> dict[str, Any] | None:
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
