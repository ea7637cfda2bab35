"""Which functions the engine is told of for an answer, and which of them has to be called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autosre_lab.proxy.messages.deferred import OfferedTools
from autosre_lab.proxy.messages.request import BadRequestError, MessagesRequest
from autosre_lab.proxy.messages.tools import server_tools
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["tool_fields"]


def tool_fields(
    request: MessagesRequest, tools: OfferedTools, engine: EngineProfile
) -> dict[str, Any]:
    """Return `tools`, `tool_choice` and `parallel_tool_calls`, as far as they are needed.

    The engine's parser and its grammar go by `tools`; what the template prints at the head of the
    prompt are the loaded tools alone, by the way that the engine has for it
    (`EngineProfile.deferred_tools`).

    Raises:
        BadRequestError: One must be called that is not there.
    """
    choice = request.tool_choice
    forced = choice.name if choice is not None and choice.type == "tool" else None
    offered = tools.callable(forced)
    names = {one["name"] for one in offered}
    if choice is not None and choice.type in ("tool", "any"):
        _check_forced(request, forced, names)
    fields: dict[str, Any] = {}
    if tools.changes and engine.deferred_tools == "argument":
        fields["chat_template_kwargs"] = {"tools": _as_tools(tools.loaded)}
    elif tools.changes and engine.deferred_tools == "template":
        later = [{**one, "defer_loading": True} for one in tools.deferred.values()]
        offered = [*tools.loaded, *later]
    elif tools.changes:
        offered = [*tools.loaded, *(one for one in offered if one["name"] == forced)]
    if not offered:
        return fields
    fields["tools"] = _as_tools(offered)
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


def _as_tools(functions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": one} for one in functions]


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
