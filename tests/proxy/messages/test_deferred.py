"""Deferred tools: told where they are fetched, known to the parser, never in the leading list."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from autosre_lab.proxy.counting import encode_prompt, tokenize_request
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import BadRequestError, decode_request
from autosre_lab.proxy.profile import DeferredTools, EngineProfile
from tests.proxy.chunks import CALLS, ROLE, call, chunk, run_chunks
from tests.proxy.event_grammar import read_stream
from tests.proxy.requests_in import assistant, text, tool_result, tool_use, translate, user

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
SEARCH = {"name": "ToolSearch", "description": "find", "input_schema": {"type": "object"}}
BASH = {"name": "Bash", "description": "run", "input_schema": {"type": "object"}}
CRON = {"name": "Cron", "description": "é\n</function>", "input_schema": SCHEMA}
LATER = CRON | {"defer_loading": True}
PLACEHOLDER = {"name": "Placeholder", "input_schema": SCHEMA, "defer_loading": True}
TOLD = (
    '<functions>\n<function>{"description":"é\\n</function>","name":"Cron","parameters":'
    '{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}}</function>\n'
    "</functions>"
)
FETCH = {"type": "tool_reference", "tool_name": "Cron"}
FETCHED = [
    user(text("when?")),
    assistant(tool_use("t", name="ToolSearch")),
    user(tool_result("t", [FETCH])),
]


def engine(way: DeferredTools = "argument") -> EngineProfile:
    return EngineProfile(model="m", max_model_len=9999, mid_system="system", deferred_tools=way)


def changed(kind: str, name: str = "Cron", **more: Any) -> dict[str, Any]:
    change = {"type": kind, "tool": {"type": "tool_reference", "name": name, **more}}
    return {"role": "system", "content": [text("tools changed"), change]}


def names(tools: list[dict[str, Any]] | None) -> list[str]:
    return [one["function"]["name"] for one in tools or ()]


def listed(chat: dict[str, Any]) -> list[str]:
    return names(chat.get("chat_template_kwargs", {}).get("tools", chat.get("tools")))


def test_a_deferred_tool_stands_where_it_is_fetched_and_not_in_the_leading_list() -> None:
    before = translate(FETCHED[:1], engine(), tools=[BASH, SEARCH, PLACEHOLDER])
    after = translate(FETCHED, engine(), tools=[BASH, LATER, SEARCH, PLACEHOLDER])
    assert listed(before) == listed(after) == ["Bash", "ToolSearch"]
    assert before["chat_template_kwargs"] == after["chat_template_kwargs"]
    # The parser knows of those that may be called, and of no other.
    assert names(before["tools"]) == ["Bash", "ToolSearch"]
    assert names(after["tools"]) == ["Bash", "ToolSearch", "Cron"]
    assert after["messages"][-1] == {"role": "tool", "tool_call_id": "t", "content": TOLD}


@pytest.mark.parametrize("way", ["left_out", "argument", "template"])
def test_without_deferred_tools_nothing_changes(way: DeferredTools) -> None:
    chat = translate(FETCHED[:1], engine(way), tools=[BASH, CRON])
    assert "chat_template_kwargs" not in chat
    assert names(chat["tools"]) == ["Bash", "Cron"]


def test_where_the_engine_has_no_way_for_it_the_list_stays_and_a_forced_tool_joins_it() -> None:
    tools = [BASH, LATER, SEARCH]
    chat = translate(FETCHED, engine("left_out"), tools=tools)
    assert names(chat["tools"]) == ["Bash", "ToolSearch"]
    assert "chat_template_kwargs" not in chat
    assert chat["messages"][-1]["content"] == TOLD
    forced = {"type": "tool", "name": "Cron"}
    chat = translate(FETCHED, engine("left_out"), tools=tools, tool_choice=forced)
    assert names(chat["tools"]) == ["Bash", "ToolSearch", "Cron"]


def test_a_template_that_knows_references_gets_them() -> None:
    history = [*FETCHED[:2], user(tool_result("t", [text("found"), FETCH]))]
    chat = translate(history, engine("template"), tools=[BASH, LATER, SEARCH])
    assert chat["messages"][-1]["content"] == [
        {"type": "text", "text": "found"},
        {"type": "tool_reference", "name": "Cron"},
    ]
    flags = [one["function"].get("defer_loading") for one in chat["tools"]]
    assert (names(chat["tools"]), flags) == (["Bash", "ToolSearch", "Cron"], [None, None, True])


def test_a_forced_call_of_a_fetched_tool_names_a_tool_that_the_engine_knows() -> None:
    forced = {"type": "tool", "name": "Cron"}
    for history in (FETCHED, FETCHED[:1]):
        chat = translate(history, engine(), tools=[BASH, LATER, SEARCH], tool_choice=forced)
        assert chat["tool_choice"] == {"type": "function", "function": {"name": "Cron"}}
        assert "Cron" in names(chat["tools"])
        assert listed(chat) == ["Bash", "ToolSearch"]


def test_tools_that_are_fetched_together_are_told_in_one_list() -> None:
    other = {**LATER, "name": "Other", "description": None}
    content = [text("found"), FETCH, FETCH | {"tool_name": "Other"}, text("that is all")]
    history = [*FETCHED[:2], user(tool_result("t", content))]
    told = translate(history, engine(), tools=[BASH, LATER, other])["messages"][-1]["content"]
    before, functions, after = told.split("\n\n")
    assert (before, after) == ("found", "that is all")
    lines = functions.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("<functions>", "</functions>", 4)
    second = json.loads(lines[2].removeprefix("<function>").removesuffix("</function>"))
    assert second == {"description": "", "name": "Other", "parameters": SCHEMA}


def test_a_schema_of_many_lines_is_told_on_one() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": FETCHED,
        "tools": [BASH, LATER],
    }
    wide = json.dumps(body, indent=4).encode()
    chat = to_chat_request(decode_request(wide), engine(), max_tokens=9)
    assert chat["messages"][-1]["content"] == TOLD


def test_a_tool_that_is_added_is_told_in_its_place() -> None:
    history = [user(text("hi")), changed("tool_addition")]
    chat = translate(history, engine(), tools=[BASH, LATER])
    assert chat["messages"][-1] == {"role": "system", "content": f"tools changed\n\n{TOLD}"}
    assert names(chat["tools"]) == ["Bash", "Cron"]
    assert listed(chat) == ["Bash"]


def test_a_tool_that_is_added_by_value_needs_no_declaration() -> None:
    addition = {
        "type": "tool_addition",
        "tool": {"type": "tool_definition", "definition": CRON},
    }
    history = [user(text("hi")), {"role": "system", "content": [addition]}]
    chat = translate(history, engine(), tools=[BASH])
    assert chat["messages"][-1] == {"role": "system", "content": TOLD}
    assert (names(chat["tools"]), listed(chat)) == (["Bash", "Cron"], ["Bash"])


def test_a_tool_of_the_list_that_comes_is_told_by_its_name() -> None:
    history = [user(text("hi")), changed("tool_addition", "Bash")]
    chat = translate(history, engine(), tools=[BASH, LATER])
    assert chat["messages"][-1]["content"] == "tools changed\n\n[tool available: Bash]"


@pytest.mark.parametrize("name", ["Cron", "Bash"])
def test_a_removal_is_told_and_the_parser_no_longer_knows_the_tool(name: str) -> None:
    history = [*FETCHED, changed("tool_removal", name)]
    tools = [BASH, LATER, SEARCH]
    chat = translate(history, engine(), tools=tools)
    assert f"[tool no longer available: {name}; a call" in chat["messages"][-1]["content"]
    assert name not in names(chat["tools"])
    assert listed(chat) == ["Bash", "ToolSearch"]
    with pytest.raises(BadRequestError, match="there is no tool"):
        translate(history, engine(), tools=tools, tool_choice={"type": "tool", "name": name})
    back = translate([*history, changed("tool_addition", name)], engine(), tools=tools)
    assert name in names(back["tools"])


def test_without_any_other_tool_a_removed_one_cannot_be_called() -> None:
    history = [user(text("hi")), changed("tool_removal", "Bash")]
    chat = translate(history, engine(), tools=[BASH])
    assert "tools" not in chat
    assert listed(chat) == ["Bash"]


@pytest.mark.parametrize(
    "tools",
    [[LATER], [BASH, LATER, {"type": "tool_search_tool_regex_20251119", "name": "s"}]],
    ids=["nothing else is loaded", "a server would search"],
)
def test_where_nothing_would_tell_of_them_deferred_tools_are_loaded(tools: list[Any]) -> None:
    chat = translate("hi", engine(), tools=tools)
    assert listed(chat) == names(chat["tools"])
    assert "Cron" in listed(chat)


def test_an_engine_without_a_tool_parser_is_given_no_list() -> None:
    without = msgspec.structs.replace(engine(), tools=False)
    chat = translate(FETCHED, without, tools=[BASH, LATER])
    assert "tools" not in chat
    assert "chat_template_kwargs" not in chat


def test_what_the_template_is_given_counts_as_the_prompts_tools() -> None:
    before = translate(FETCHED[:1], engine(), tools=[BASH, SEARCH, PLACEHOLDER])
    after = translate(FETCHED, engine(), tools=[BASH, LATER, SEARCH, PLACEHOLDER])
    prompts = [encode_prompt(chat) for chat in (before, after)]
    assert prompts[0].tools == prompts[1].tools
    assert json.loads(msgspec.json.encode(prompts[1].chat)) == after
    assert tokenize_request(after)["chat_template_kwargs"] == after["chat_template_kwargs"]


def test_a_call_of_a_removed_tool_is_told_and_not_made() -> None:
    cut = '{"x": 1}'
    chunks = (ROLE, chunk(tool_calls=[call(0, cut, name="Cron", id="a")]), CALLS)
    read = read_stream(run_chunks(*chunks, removed_tools={"Cron"}))
    (block,) = read.blocks
    assert block.type == "text"
    assert "Cron was called and not run" in block.content
    assert cut not in block.content
    assert read.stop_reason == "end_turn"
    both = [call(0, cut, name="Cron", id="a"), call(1, cut, name="Bash", id="b")]
    read = read_stream(run_chunks(ROLE, chunk(tool_calls=both), CALLS, removed_tools={"Cron"}))
    assert [block.type for block in read.blocks] == ["text", "tool_use"]
    assert read.stop_reason == "tool_use"
