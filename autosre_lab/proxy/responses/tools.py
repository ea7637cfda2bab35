"""Tools: what Codex offers the model, flattened to functions and told apart again.

Chat Completions knows functions only. A namespace's tools become functions with the namespace in
their name, a free-form tool becomes a function with one text, and a call is given back in the shape
in which its tool was declared: Codex answers any other shape with "unsupported call".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from autosre_lab.proxy.refusals import BadRequestError
from autosre_lab.proxy.responses.request import ResponsesRequest, Tool
from autosre_lab.proxy.responses.search import is_search_tool
from autosre_lab.proxy.web_search import search_function

__all__ = ["Declared", "DeclaredTools", "declared_tools", "tool_fields"]

CallKind = Literal["function", "custom", "local_shell", "web_search"]

CUSTOM_FIELD = "input"
"""The one parameter of a free-form tool."""

_NO_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')
_SHELL_SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}},'
    b'"workdir":{"type":"string"},"timeout_ms":{"type":"number"}},"required":["command"]}'
)
_SHELL_DESCRIPTION = "Runs a shell command and returns its output."

_ELSEWHERE = (
    *("file_search", "code_interpreter", "image_generation", "mcp", "computer"),
    *("computer_use_preview", "tool_search", "shell", "apply_patch"),
)
"""Tools that OpenAI's own servers or models run. They are left out, and the log says so."""


class _Choice(msgspec.Struct):
    type: str = ""
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[dict[str, Any]] | None = None
    function: dict[str, Any] | None = None


_choice_decoder: msgspec.json.Decoder[str | _Choice | None] = msgspec.json.Decoder(
    str | _Choice | None
)


class _Grammar(msgspec.Struct):
    type: str = ""
    syntax: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A tool as the client declared it.

    Attributes:
        kind: In which shape its calls are given back.
        name: Its name, without the namespace.
        namespace: The namespace it was declared in; None for most.
    """

    kind: CallKind
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTools:
    """All tools of a request.

    Attributes:
        functions: Chat Completions' `tools`.
        by_flat_name: By the name that the model sees.
        left_out: Types of tools that only OpenAI's servers run.
        search_name: By which the model calls the web search that is made here; None for none.
    """

    functions: tuple[dict[str, Any], ...]
    by_flat_name: dict[str, Declared]
    left_out: tuple[str, ...]
    search_name: str | None = None

    def flat_name(self, name: str, namespace: str | None) -> str:
        """Return the name by which the model knows a tool of the history."""
        for flat, declared in self.by_flat_name.items():
            if declared.name == name and declared.namespace == namespace:
                return flat
        return name if namespace is None else _flat(name, namespace)


def declared_tools(tools: list[Tool] | None, *, searches: bool = False) -> DeclaredTools:
    """Flatten a request's tools.

    Args:
        tools: As the client declared them.
        searches: The web is searched here; otherwise a search is left out.

    Raises:
        BadRequestError: A tool has no name.
    """
    functions: list[dict[str, Any]] = []
    known: dict[str, Declared] = {}
    left_out: list[str] = []

    def declare(tool: Tool, namespace: str | None) -> None:
        kind: CallKind
        if searches and is_search_tool(tool.type) and namespace is None:
            if "web_search" not in (one.kind for one in known.values()):
                flat = _unique("web_search", known)
                known[flat] = Declared(kind="web_search", name=flat)
                functions.append({"type": "function", "function": search_function(flat)})
            return
        if tool.type == "local_shell":
            kind, name = "local_shell", tool.name or "local_shell"
        elif tool.type in ("function", "custom", ""):
            kind, name = ("custom" if tool.type == "custom" else "function"), tool.name
            if not name:
                raise BadRequestError("A tool needs a name.")
        else:
            left_out.append(tool.type)
            return
        flat = _unique(_flat(name, namespace), known)
        known[flat] = Declared(kind=kind, name=name, namespace=namespace)
        functions.append({"type": "function", "function": _function(tool, kind, flat)})

    for tool in tools or ():
        if tool.type == "namespace":
            for inner in tool.tools or ():
                declare(inner, tool.name)
        else:
            declare(tool, None)
    return DeclaredTools(
        functions=tuple(functions),
        by_flat_name=known,
        left_out=tuple(dict.fromkeys(left_out)),
        search_name=next((name for name, one in known.items() if one.kind == "web_search"), None),
    )


def tool_fields(request: ResponsesRequest, declared: DeclaredTools) -> dict[str, Any]:
    """Return `tools`, `tool_choice` and `parallel_tool_calls`, as far as they are needed.

    Raises:
        BadRequestError: A tool that was not declared has to be called.
    """
    if not declared.functions:
        return {}
    fields: dict[str, Any] = {"tools": list(declared.functions)}
    if request.parallel_tool_calls is False:
        fields["parallel_tool_calls"] = False
    fields |= _choice_fields(request, declared)
    return fields


def _choice_fields(request: ResponsesRequest, declared: DeclaredTools) -> dict[str, Any]:
    if not request.tool_choice:
        return {}
    try:
        choice = _choice_decoder.decode(request.tool_choice)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"tool_choice is not valid: {error}") from error
    if choice is None:
        return {}
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise BadRequestError(
                f"tool_choice {choice!r} is not known; auto, none and required are.",
            )
        return {} if choice == "auto" else {"tool_choice": choice}
    if choice.type == "allowed_tools":
        return _allowed(choice, declared)
    if choice.type in ("function", "custom"):
        name = choice.name or str((choice.function or {}).get("name") or "")
        return {"tool_choice": _forced(_named(name, choice.namespace, declared))}
    if choice.type == "local_shell":
        return {"tool_choice": _forced(_named("local_shell", None, declared))}
    if is_search_tool(choice.type) and declared.search_name is not None:
        return {"tool_choice": _forced(declared.search_name)}
    # One that we leave out: the model decides.
    return {}


def _allowed(choice: _Choice, declared: DeclaredTools) -> dict[str, Any]:
    """Offer some of the tools only: vLLM has no word for it, so the others are not sent."""
    names = {
        _named(str(one.get("name") or ""), one.get("namespace"), declared)
        for one in choice.tools or ()
        if one.get("type") in ("function", "custom", "local_shell")
    }
    if declared.search_name is not None and any(
        is_search_tool(str(one.get("type"))) for one in choice.tools or ()
    ):
        names.add(declared.search_name)
    tools = [one for one in declared.functions if one["function"]["name"] in names]
    fields: dict[str, Any] = {"tools": tools}
    if choice.mode == "required" and tools:
        fields["tool_choice"] = _forced(next(iter(names))) if len(tools) == 1 else "required"
    elif not tools:
        fields["tool_choice"] = "none"
        fields["tools"] = list(declared.functions)
    return fields


def _named(name: str, namespace: str | None, declared: DeclaredTools) -> str:
    flat = declared.flat_name(name, namespace)
    if flat not in declared.by_flat_name:
        raise BadRequestError(
            f"tool_choice names the tool {name!r}, which is not among the tools.",
        )
    return flat


def _forced(flat: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": flat}}


def _function(tool: Tool, kind: CallKind, flat: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": flat}
    description = tool.description
    if kind == "custom":
        description = _free_form_description(tool)
    elif kind == "local_shell":
        description = description or _SHELL_DESCRIPTION
    if description is not None:
        function["description"] = description
    if kind == "custom":
        text = {"type": "string", "description": "The tool's whole input, as plain text."}
        function["parameters"] = {
            "type": "object",
            "properties": {CUSTOM_FIELD: text},
            "required": [CUSTOM_FIELD],
        }
        return function
    if kind == "local_shell":
        function["parameters"] = _SHELL_SCHEMA
        return function
    has_schema = bytes(tool.parameters).startswith(b"{")
    function["parameters"] = tool.parameters if has_schema else _NO_SCHEMA
    if tool.strict:
        function["strict"] = True
    return function


def _free_form_description(tool: Tool) -> str:
    """Return a free-form tool's description with its grammar, which no chat template renders."""
    text = tool.description or ""
    try:
        grammar = msgspec.json.decode(tool.format, type=_Grammar) if tool.format else _Grammar()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text
    if not grammar.definition:
        return text
    kind = grammar.syntax or "given"
    return f"{text}\n\nThe input has to follow this {kind} grammar:\n{grammar.definition}".strip()


def _flat(name: str, namespace: str | None) -> str:
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


def _unique(flat: str, known: dict[str, Declared]) -> str:
    """Tell apart tools whose namespace and name run into the same letters."""
    if flat not in known:
        return flat
    number = 2
    while f"{flat}_{number}" in known:
        number += 1
    return f"{flat}_{number}"
