from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
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
        ({"type": "tool", "name": "web_search"}, {"tool_choice": "auto"}),
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
        "bash_20250124",
        "text_editor_20250728",
        "computer_20250124",
        "code_execution_20250825",
        "memory_20250818",
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
    assert "tools" not in translate("hi", engine, tools=[TOOL], tool_choice={"type": "any"})


@pytest.mark.parametrize("schema", [None, "absent", [], True])
def test_a_tool_without_a_usable_schema_takes_no_arguments(schema: Any) -> None:
    tool = {"name": "f"} if schema == "absent" else {"name": "f", "input_schema": schema}
    (sent,) = translate("hi", tools=[tool])["tools"]
    assert sent["function"]["parameters"] == {"type": "object", "properties": {}}


def test_strict_and_deferred_tools() -> None:
    tools = [TOOL | {"strict": True, "defer_loading": True}, TOOL | {"strict": False}]
    sent = translate("hi", tools=tools)["tools"]
    assert [one["function"].get("strict") for one in sent] == [True, None]
