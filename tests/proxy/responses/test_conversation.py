"""Input items as chat messages: the order, the turns, and a prefix that stays."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.responses.conversation import chat_messages
from autosre_lab.proxy.responses.request import decode_request
from autosre_lab.proxy.responses.tools import declared_tools
from tests.proxy.responses.bodies import (
    FUNCTION,
    NAMESPACE,
    PATCH,
    ask,
    called,
    recorded,
    result,
    said_by,
)

PLAIN = EngineProfile(model="served", max_model_len=8192)
SEES = EngineProfile(model="served", max_model_len=8192, images=True, mid_system="system")
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def written(body: dict[str, Any], engine: EngineProfile = PLAIN) -> list[dict[str, Any]]:
    request = decode_request(json.dumps(body).encode())
    tools = declared_tools(request.tools)
    return chat_messages(request.instructions, request.items, engine, tools)


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


def test_a_text_is_a_users_message() -> None:
    assert written({"model": "m", "input": "Hi"}) == [{"role": "user", "content": "Hi"}]


def test_what_leads_is_one_system_message_for_templates_that_take_one() -> None:
    body = ask(
        said_by("developer", "rules"),
        said_by("system", "skills"),
        "Hi",
        instructions="be brief",
    )
    assert written(body) == [
        {"role": "system", "content": "be brief\n\nrules\n\nskills"},
        {"role": "user", "content": "Hi"},
    ]


@pytest.mark.parametrize(
    ("engine", "role", "text"),
    [(SEES, "system", "news"), (PLAIN, "user", "<system-reminder>\nnews\n</system-reminder>")],
)
def test_a_later_developer_message_stays_in_its_place(
    engine: EngineProfile, role: str, text: str
) -> None:
    messages = written(ask("Hi", said_by("developer", "news"), "Go on"), engine)
    assert messages[1] == {"role": role, "content": text}


def test_an_answer_of_several_items_is_one_message() -> None:
    thought = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}
    body = ask("Hi", thought, said_by("assistant", "I look."), called("1"), called("2"))
    answer = written(body)[1]
    assert (answer["reasoning"], answer["content"]) == ("hm", "I look.")
    assert [call["id"] for call in answer["tool_calls"]] == ["1", "2"]


def test_results_stand_in_the_order_of_their_calls() -> None:
    body = ask("Hi", called("1"), called("2"), result("2", "second"), result("1", "first"), "Go on")
    messages = written(body)
    assert roles(messages) == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in messages[2:4]] == ["first", "second"]


def test_what_is_said_between_call_and_result_waits_for_the_result() -> None:
    body = ask("Hi", called("1"), said_by("developer", "news"), result("1"), "Go on")
    assert roles(written(body, SEES)) == ["user", "assistant", "tool", "system", "user"]


def test_calls_in_a_row_without_results_between_are_answers_of_their_own() -> None:
    body = ask("Hi", called("1"), result("1"), called("2"), result("2"))
    assert roles(written(body)) == ["user", "assistant", "tool", "assistant", "tool"]


def test_a_call_is_named_as_the_model_knew_its_tool() -> None:
    patch = {"type": "custom_tool_call", "call_id": "2", "name": "apply_patch", "input": "+a\n"}
    body = ask(
        "Hi",
        called("1", "add", namespace="mcp__probe"),
        patch,
        tools=[FUNCTION, PATCH, NAMESPACE],
    )
    calls = [call["function"] for call in written(body)[1]["tool_calls"]]
    assert calls[0]["name"] == "mcp__probe__add"
    assert calls[1] == {"name": "apply_patch", "arguments": '{"input":"+a\\n"}'}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('{"a": 1.0}', '{"a": 1.0}'),
        ("", "{}"),
        ("null", "{}"),
        ('{"a', '{"malformed_arguments":"{\\"a"}'),
        ('{"a": 1} and more', '{"malformed_arguments":"{\\"a\\": 1} and more"}'),
        ('{"a": "\\ud83d"}', '{"a": "\\ufffd"}'),
        ("[1]", '{"malformed_arguments":"[1]"}'),
    ],
)
def test_arguments_are_an_object_whatever_the_history_holds(arguments: str, right: str) -> None:
    body = ask("Hi", called("1", arguments=arguments))
    assert written(body)[1]["tool_calls"][0]["function"]["arguments"] == right


def test_an_image_in_a_result_is_shown_behind_all_results() -> None:
    output = [{"type": "input_text", "text": "seen"}, {"type": "input_image", "image_url": PIXEL}]
    messages = written(ask("Hi", called("1"), called("2"), result("1", output), result("2")), SEES)
    assert roles(messages) == ["user", "assistant", "tool", "tool", "user"]
    assert messages[2]["content"] == "seen\n\n[image 1: shown in the next message]"
    assert messages[4]["content"][1] == {"type": "image_url", "image_url": {"url": PIXEL}}


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "file:///etc/passwd", "https://example.org/a.png"]
)
def test_nothing_is_fetched_for_an_image(url: str) -> None:
    item = {"role": "user", "content": [{"type": "input_image", "image_url": url}]}
    (message,) = written(ask(item), SEES)
    assert "omitted" in message["content"]
    assert url not in message["content"]


def test_a_file_of_text_is_read_and_any_other_is_named() -> None:
    text = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}
    other = {"type": "input_file", "filename": "b.bin", "file_data": "data:x/y;base64,/w=="}
    (message,) = written(ask({"role": "user", "content": [text, other]}))
    assert '<file name="a.txt">\nhi\n</file>' in message["content"]
    assert "b.bin omitted" in message["content"]


@pytest.mark.parametrize(
    "data",
    ["data:application/pdf;base64,JVBERi0xLjQ=", "JVBERi0xLjQ=", "data:image/png;base64,aGk="],
)
def test_a_file_of_letters_that_is_no_text_is_named(data: str) -> None:
    part = {"type": "input_file", "filename": "a", "file_data": data}
    (message,) = written(ask({"role": "user", "content": [part]}))
    assert message["content"].startswith("[file a omitted: the served model cannot read it")


def test_a_compaction_of_ours_is_read_and_a_foreign_one_is_named() -> None:
    ours = {"type": "compaction", "encrypted_content": "autosre:so far"}
    theirs = {"type": "compaction", "encrypted_content": "OPAQUE"}
    messages = written(ask(ours, theirs, "Go on"))
    assert messages[0]["content"] == "so far"
    assert "unreadable" in messages[1]["content"]


def test_an_item_that_nobody_knows_keeps_its_json() -> None:
    item = {"type": "weather_call", "output": {"sky": "blue"}}
    (message,) = written(ask(item))
    assert '"sky": "blue"' in message["content"]


@pytest.mark.parametrize("name", ["tool_loop", "compaction", "compaction_v2"])
def test_a_recorded_session_only_grows(name: str) -> None:
    before = b""
    for one in recorded(name):
        request = decode_request(json.dumps(one["body"]).encode())
        tools = declared_tools(request.tools)
        messages = chat_messages(request.instructions, request.items, PLAIN, tools)
        data = msgspec.json.encode(messages)
        # A compaction begins again behind what leads.
        shared = before[:-1] if len(data) > len(before) else b""
        assert data.startswith(shared)
        before = data
