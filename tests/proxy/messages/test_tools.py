from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import BadRequestError, decode_request
from autosre_lab.proxy.messages.tools import ServerTool, server_tools
from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.requests_in import (
    ENGINE,
    TOOL,
    translate,
)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {}),
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choices(choice: Any, expected: dict[str, Any]) -> None:
    chat = translate("hi", tools=[TOOL], tool_choice=choice)
    names = ("tool_choice", "parallel_tool_calls")
    assert {name: chat[name] for name in names if name in chat} == expected


@pytest.mark.parametrize(
    "type_",
    [
        "web_search_20250305",
        "web_fetch_20250910",
        "tool_search_tool_regex_20251119",
        "mcp_toolset",
        "something_20990101",
    ],
)
def test_server_tools_are_left_out_and_reported(type_: str) -> None:
    tool = {"type": type_, "name": "n", "max_uses": 8, "allowed_domains": ["x"]}
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "q"}],
        "tools": [tool, {"type": "custom", **TOOL}],
    }
    request = decode_request(json.dumps(body).encode())
    assert server_tools(request) == [ServerTool(type_, "n")]
    chat = to_chat_request(request, ENGINE, max_tokens=9)
    assert [one["function"]["name"] for one in chat["tools"]] == ["f"]


def test_without_a_tool_left_neither_tools_nor_a_choice_is_sent() -> None:
    chat = translate(
        "hi",
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "tool", "name": "web_search"},
    )
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(chat)
    assert "tools" not in translate("hi", tools=[])


def test_an_engine_without_a_tool_parser_gets_no_tools() -> None:
    engine = EngineProfile(model="m", max_model_len=10, tools=False)
    chat = translate("hi", engine, tools=[TOOL], tool_choice={"type": "any"}, system="be brief")
    assert not {"tools", "tool_choice"} & set(chat)
    said = chat["messages"][0]["content"]
    assert said.startswith("be brief")
    assert "--tool-call-parser" in said
    assert "--tool-call-parser" in translate("hi", engine, tools=[TOOL])["messages"][0]["content"]
    assert "parser" not in str(translate("hi", engine))


@pytest.mark.parametrize("schema", [None, "absent", [], True])
def test_a_tool_without_a_usable_schema_takes_no_arguments(schema: Any) -> None:
    tool = {"name": "f"} if schema == "absent" else {"name": "f", "input_schema": schema}
    (sent,) = translate("hi", tools=[tool])["tools"]
    assert sent["function"]["parameters"] == {"type": "object", "properties": {}}


def test_strict_and_deferred_tools() -> None:
    tools = [TOOL | {"strict": True, "defer_loading": True}, TOOL | {"strict": False}]
    sent = translate("hi", tools=tools)["tools"]
    assert [one["function"].get("strict") for one in sent] == [True, None]


def test_a_set_of_tools_needs_no_name_and_a_tool_of_ones_own_does() -> None:
    toolset = {"type": "mcp_toolset", "mcp_server_name": "m"}
    chat = translate("hi", tools=[TOOL, toolset])
    assert [one["function"]["name"] for one in chat["tools"]] == ["f"]
    assert "tools" not in translate("hi", tools=[toolset])
    with pytest.raises(BadRequestError, match=r"tools\[1\]\.name"):
        translate("hi", tools=[TOOL, {"input_schema": {"type": "object"}}])


@pytest.mark.parametrize(
    ("type_", "required", "properties"),
    [
        ("bash_20241022", [], {"command", "restart"}),
        ("bash_20250124", [], {"command", "restart"}),
        ("text_editor_20241022", ["command", "path"], {"old_str", "insert_line", "view_range"}),
        ("text_editor_20250124", ["command", "path"], {"old_str", "insert_line", "view_range"}),
        ("text_editor_20250429", ["command", "path"], {"old_str", "insert_line", "view_range"}),
        ("text_editor_20250728", ["command", "path"], {"old_str", "insert_text", "view_range"}),
        ("memory_20250818", ["command"], {"path", "old_path", "new_path", "insert_text"}),
        ("computer_20241022", ["action"], {"coordinate", "text"}),
        ("computer_20250124", ["action"], {"coordinate", "scroll_direction", "duration"}),
        ("computer_20251124", ["action"], {"coordinate", "region"}),
    ],
)
def test_tools_that_anthropic_defined_reach_the_model_with_a_schema(
    type_: str, required: list[str], properties: set[str]
) -> None:
    tool = {
        "type": type_,
        "name": "the_name",
        "display_width_px": 1024,
        "display_height_px": 768,
        "enable_zoom": True,
        "max_characters": 9000,
    }
    (sent,) = translate("hi", tools=[tool], tool_choice={"type": "tool", "name": "the_name"})[
        "tools"
    ]
    function = sent["function"]
    assert function["name"] == "the_name"
    assert function["parameters"]["required"] == required
    assert properties <= set(function["parameters"]["properties"])
    assert function["parameters"]["type"] == "object"
    if type_.startswith("computer"):
        assert "1024 by 768" in function["description"]
    commands = function["parameters"]["properties"].get("command", {}).get("enum", [])
    assert ("undo_edit" in commands) == (type_ in ("text_editor_20241022", "text_editor_20250124"))


@pytest.mark.parametrize("type_", ["code_execution_20250522", "code_execution_20250825"])
def test_a_tool_that_nothing_here_can_stand_for_is_refused(type_: str) -> None:
    with pytest.raises(BadRequestError, match=r"tools\[1\]: code_execution"):
        translate("hi", tools=[TOOL, {"type": type_, "name": "code_execution"}])


SEARCH = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ([TOOL], {"type": "tool", "name": "g"}),
        ([TOOL, SEARCH], {"type": "tool", "name": "g"}),
        ([], {"type": "tool", "name": "f"}),
        (None, {"type": "tool", "name": "f"}),
        ([TOOL], {"type": "tool"}),
        (None, {"type": "any"}),
    ],
)
def test_a_forced_tool_that_was_not_declared_is_refused(tools: Any, choice: Any) -> None:
    with pytest.raises(BadRequestError, match="tool_choice"):
        translate("hi", tools=tools, tool_choice=choice)


def test_a_forced_tool_that_was_left_out_is_a_free_choice() -> None:
    choice = {"type": "tool", "name": "web_search"}
    assert translate("hi", tools=[TOOL, SEARCH], tool_choice=choice)["tool_choice"] == "auto"
    assert "tool_choice" not in translate("hi", tools=[SEARCH], tool_choice={"type": "any"})
