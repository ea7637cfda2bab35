"""One way to offer tools: small schemas, a deadline, and errors that a model can act on.

This module loads the MCP SDK. A server's module imports it where it builds the server.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations

from autosre_lab import __version__
from autosre_lab.docstrings import parse_docstring
from autosre_lab.errors import AutosreError

__all__ = ["OfferedTool", "ToolServer", "error_text", "result_chars", "tool_deadline_s"]

DEADLINE_S = 60.0
"""Seconds a call may take where nothing else is said."""
HEADROOM_S = 2.0
"""Seconds by which ours lies below the client's own limit, so that our message arrives first."""
LONGEST_TEXT = 2048
"""Characters of instructions or of a description; Claude Code 2.1.197 cuts there."""

MOST_CHARS = 60_000
"""Characters of a result at most: below Claude Code's 25,000 tokens for one."""
CHARS_PER_TOKEN = 3
HEADER_CHARS = 800
"""Characters left for what stands around a piece of text."""

_WITHOUT_WORTH = ("title", "default")
"""A model needs neither: the name says the first, the description the second where it matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A function offered as a tool: its docstring says what it does and what its arguments are.

    Attributes:
        function: An async function; its name is the tool's.
        read_only: Whether it changes nothing outside this process.
        open_world: Whether it reaches beyond this machine.
        destructive: Whether it may delete or overwrite something.
        max_result_chars: Characters of a result that Claude Code shall take without putting it
            into a file; None for its own limit.
    """

    function: Callable[..., Any]
    read_only: bool = True
    open_world: bool = False
    destructive: bool = False
    max_result_chars: int | None = None


class ToolServer(MCPServer[Any]):
    """An MCP server whose tools raise `AutosreError` for whatever a model or a person can fix.

    Args:
        name: The server's name.
        instructions: What a model is told once, at most 2,048 characters.
        tools: What is offered, in order.
        lifespan: Holds what lives as long as the server does.
        deadline_s: Seconds a call may take; by default the smaller of 60 and what
            MCP_TOOL_TIMEOUT leaves.
    """

    def __init__(
        self,
        name: str,
        *,
        instructions: str,
        tools: Sequence[OfferedTool],
        lifespan: Callable[[MCPServer[Any]], AbstractAsyncContextManager[Any]] | None = None,
        deadline_s: float | None = None,
    ) -> None:
        super().__init__(
            name,
            instructions=_short_enough(instructions),
            version=__version__,
            tools=[_tool(offered) for offered in tools],
            lifespan=lifespan,
            log_level="WARNING",
            subscriptions=False,
        )
        self._deadline_s = tool_deadline_s(os.environ) if deadline_s is None else deadline_s

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; the one place where our errors become what a model reads.

        Raises:
            ToolError: With what happened and what to do; other exceptions stay masked.
        """
        try:
            with anyio.fail_after(self._deadline_s):
                return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            if isinstance(error.__cause__, AutosreError):
                raise ToolError(error_text(error.__cause__)) from error.__cause__
            raise
        except TimeoutError as error:
            raise ToolError(
                f"{name} had no result after {self._deadline_s:g} s\n"
                "what to do: ask for less at once, or try again later"
            ) from error


def error_text(error: AutosreError) -> str:
    """Return an error as a model reads it: what happened, then what to do."""
    return f"{error.message}\nwhat to do: {error.remedy}"


def tool_deadline_s(environ: Mapping[str, str]) -> float:
    """Return the seconds a call may take: below Claude Code's MCP_TOOL_TIMEOUT (milliseconds)."""
    text = environ.get("MCP_TOOL_TIMEOUT", "")
    if not text.isdecimal() or int(text) == 0:
        return DEADLINE_S
    limit_s = int(text) / 1000
    return min(DEADLINE_S, max(limit_s - HEADROOM_S, limit_s / 2))


def result_chars(environ: Mapping[str, str]) -> int:
    """Return the characters a piece of text may have, from MAX_MCP_OUTPUT_TOKENS where it is set.

    The launcher sets it on small windows. A longer result would be put into a file, and the model
    would get 2 kB of it.
    """
    text = environ.get("MAX_MCP_OUTPUT_TOKENS", "")
    if not text.isdecimal():
        return MOST_CHARS
    return min(MOST_CHARS, max(int(text) * CHARS_PER_TOKEN - HEADER_CHARS, HEADER_CHARS))


def _tool(offered: OfferedTool) -> Tool:
    parsed = parse_docstring(inspect.getdoc(offered.function) or "")
    meta = (
        {"anthropic/maxResultSizeChars": offered.max_result_chars}
        if offered.max_result_chars
        else None
    )
    tool = Tool.from_function(
        offered.function,
        description=_short_enough(parsed.text),
        annotations=ToolAnnotations(
            read_only_hint=offered.read_only,
            destructive_hint=offered.destructive,
            open_world_hint=offered.open_world,
        ),
        meta=meta,
        # The text is the product: as structured content it would be sent twice.
        structured_output=False,
    )
    return tool.model_copy(update={"parameters": _slim(tool.parameters, parsed.arguments)})


def _slim(schema: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Return a schema of the arguments without what costs tokens in every request."""
    slim: dict[str, Any] = _plain(schema)
    for name, value in slim.get("properties", {}).items():
        if name in descriptions:
            value["description"] = descriptions[name]
    return slim


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(options) == 1:  # optional: what is left out is None, nobody writes null
        schema = {
            **{name: value for name, value in schema.items() if name != "anyOf"},
            **options[0],
        }
    return {
        # The keys of these two are names of arguments and types, and may be any word.
        name: {inner: _plain(one) for inner, one in value.items()}
        if name in ("properties", "$defs")
        else _plain(value)
        for name, value in schema.items()
        if name not in _WITHOUT_WORTH
    }


def _short_enough(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{len(text)} characters, Claude Code cuts at {LONGEST_TEXT}: {text[:60]}")
    return text
