"""Tools are offered small, end in time, and fail with what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

from autosre_lab.errors import BlockedError
from autosre_lab.mcp_servers.tool_server import OfferedTool, ToolServer, tool_deadline_s


async def greet(
    name: str, *, tone: Literal["warm", "dry"] = "warm", title: str | None = None
) -> str:
    """Say hello.

    To somebody.

    Args:
        name: Whom to greet,
            by name.
        title: Put in front.

    Returns:
        A greeting.
    """
    return f"Hello, {title or ''}{name} ({tone})."


async def refuse() -> str:
    """Refuse."""
    raise BlockedError("it is refused", remedy="fix it", url="http://x/", reason="why")


async def crash() -> str:
    """Crash."""
    raise RuntimeError("token=hunter2")


async def hang() -> str:
    """Hang."""
    await anyio.sleep_forever()
    return ""


def server(*functions: Callable[..., Awaitable[Any]], deadline_s: float = 30.0) -> ToolServer:
    tools = [OfferedTool(function=function) for function in functions]
    return ToolServer("test", instructions="Do.", tools=tools, deadline_s=deadline_s)


def call(one: ToolServer, name: str, /, **arguments: object) -> CallToolResult:
    async def ask() -> CallToolResult:
        async with Client(one) as client:
            return await client.call_tool(name, arguments)

    return anyio.run(ask)


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def test_a_tool_is_offered_as_its_docstring_says_and_no_more() -> None:
    async def listed() -> Any:
        async with Client(server(greet)) as client:
            assert client.instructions == "Do."
            return (await client.list_tools()).tools

    (tool,) = anyio.run(listed)
    assert tool.name == "greet"
    assert tool.description == "Say hello.\n\nTo somebody."
    assert tool.output_schema is None
    assert tool.input_schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Whom to greet, by name."},
            "tone": {"enum": ["warm", "dry"], "type": "string"},
            "title": {"type": "string", "description": "Put in front."},
        },
        "required": ["name"],
    }


def test_what_is_left_out_of_the_schema_still_holds() -> None:
    assert text(call(server(greet), "greet", name="Ann")) == "Hello, Ann (warm)."
    assert call(server(greet), "greet", name="Ann", tone="loud").is_error


def test_an_error_of_ours_reaches_the_model_with_its_remedy() -> None:
    result = call(server(refuse), "refuse")
    assert result.is_error
    assert text(result) == "it is refused\nwhat to do: fix it"


def test_any_other_error_is_masked() -> None:
    result = call(server(crash), "crash")
    assert result.is_error
    assert text(result) == "Error executing tool crash"


def test_a_call_that_takes_too_long_is_ended_and_the_next_one_works() -> None:
    both = server(hang, greet, deadline_s=0.1)
    result = call(both, "hang")
    assert result.is_error
    assert text(result).startswith("hang had no result after 0.1 s\nwhat to do: ")
    assert not call(both, "greet", name="Ann").is_error


@pytest.mark.parametrize(
    ("limit_ms", "seconds"),
    [(None, 60.0), ("", 60.0), ("junk", 60.0), ("0", 60.0), ("30000", 28.0), ("1000", 0.5)],
)
def test_our_deadline_lies_below_claude_codes(limit_ms: str | None, seconds: float) -> None:
    environ = {} if limit_ms is None else {"MCP_TOOL_TIMEOUT": limit_ms}
    assert tool_deadline_s(environ) == seconds


def test_descriptions_that_claude_code_would_cut_are_refused() -> None:
    with pytest.raises(ValueError, match="Claude Code cuts"):
        ToolServer("test", instructions="x" * 2049, tools=[])
