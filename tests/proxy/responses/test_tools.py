"""Tools flattened to functions, and the choice among them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.proxy.refusals import BadRequestError
from autosre_lab.proxy.responses.request import decode_request
from autosre_lab.proxy.responses.tools import DeclaredTools, declared_tools, tool_fields
from tests.proxy.responses.bodies import FUNCTION, NAMESPACE, PATCH, ask


def fields(**body: Any) -> tuple[dict[str, Any], DeclaredTools]:
    request = decode_request(json.dumps(ask(**body)).encode())
    tools = declared_tools(request.tools)
    return tool_fields(request, tools), tools


def names(sent: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in sent["tools"]]


def test_every_kind_becomes_a_function_and_is_known_again() -> None:
    shell = {"type": "local_shell"}
    search = {"type": "web_search", "external_web_access": True}
    sent, tools = fields(tools=[FUNCTION, PATCH, NAMESPACE, shell, search])
    assert names(sent) == ["look", "apply_patch", "mcp__probe__add", "local_shell"]
    kinds = [declared.kind for declared in tools.by_flat_name.values()]
    assert kinds == ["function", "custom", "function", "local_shell"]
    assert tools.by_flat_name["mcp__probe__add"].namespace == "mcp__probe"
    assert tools.search_name is None
    assert tools.left_out == ("web_search",)


def test_a_schema_keeps_its_bytes_and_a_grammar_is_told_in_words() -> None:
    sent, _ = fields(
        tools=[{**FUNCTION, "parameters": {"type": "object", "z": 1, "a": 2.0}}, PATCH]
    )
    assert bytes(sent["tools"][0]["function"]["parameters"]) == (
        b'{"type": "object", "z": 1, "a": 2.0}'
    )
    assert "lark grammar:\nstart: LINE+" in sent["tools"][1]["function"]["description"]


def test_names_that_run_into_each_other_are_told_apart() -> None:
    flat = {**FUNCTION, "name": "mcp__probe__add"}
    sent, tools = fields(tools=[flat, NAMESPACE])
    assert names(sent) == ["mcp__probe__add", "mcp__probe__add_2"]
    assert tools.flat_name("add", "mcp__probe") == "mcp__probe__add_2"


@pytest.mark.parametrize(
    ("choice", "right"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
        (
            {"type": "custom", "name": "apply_patch"},
            {"type": "function", "function": {"name": "apply_patch"}},
        ),
        ({"type": "web_search"}, None),
    ],
)
def test_the_choice(choice: Any, right: Any) -> None:
    sent, _ = fields(tools=[FUNCTION, PATCH], tool_choice=choice)
    assert sent.get("tool_choice") == right


@pytest.mark.parametrize("choice", ["any", {"type": "function", "name": "unknown"}, [1]])
def test_a_choice_that_cannot_be_is_refused(choice: Any) -> None:
    with pytest.raises(BadRequestError, match="tool_choice"):
        fields(tools=[FUNCTION], tool_choice=choice)


def test_allowed_tools_are_the_only_ones_sent() -> None:
    choice = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "look"}],
    }
    sent, _ = fields(tools=[FUNCTION, PATCH], tool_choice=choice)
    assert names(sent) == ["look"]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}


def test_a_tool_without_a_name_is_refused() -> None:
    with pytest.raises(BadRequestError, match="name"):
        fields(tools=[{"type": "function"}])


def test_one_call_at_a_time_is_passed_on() -> None:
    sent, _ = fields(tools=[FUNCTION], parallel_tool_calls=False)
    assert sent["parallel_tool_calls"] is False
