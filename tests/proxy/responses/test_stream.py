"""The engine's chunks as the Responses API's events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.proxy import refusals
from autosre_lab.proxy.chat_stream import ChatChunk
from autosre_lab.proxy.responses.request import decode_request
from autosre_lab.proxy.responses.stream import AnswerPlan, ResponseStream
from autosre_lab.proxy.responses.tools import declared_tools
from tests.proxy.chunks import call, chunk
from tests.proxy.responses.bodies import FUNCTION, NAMESPACE, PATCH, ask
from tests.proxy.responses.reading import Read, read_stream

TOOLS = [FUNCTION, PATCH, NAMESPACE, {"type": "local_shell"}]


def stream(**plan: Any) -> ResponseStream:
    request = decode_request(json.dumps(ask(tools=TOOLS)).encode())
    return ResponseStream(
        AnswerPlan(response_id="resp_1", created_at=1, tools=declared_tools(request.tools), **plan)
    )


def run(*chunks: ChatChunk, **plan: Any) -> Read:
    answer = stream(**plan)
    events = b""
    for one in chunks:
        events += answer.feed(one)
    return read_stream(events + answer.finish())


def test_text_is_a_message_that_is_whole_in_its_item() -> None:
    read = run(chunk(content="Hel"), chunk(content="lo"), chunk(finish="stop"))
    (item,) = read.items
    assert item["type"] == "message"
    assert item["content"][0]["text"] == "Hello" == read.deltas[item["id"]]
    assert read.last["type"] == "response.completed"


def test_reasoning_is_an_item_of_its_own() -> None:
    read = run(chunk(reasoning="hm"), chunk(content="So."), chunk(finish="stop"))
    assert [item["type"] for item in read.items] == ["reasoning", "message"]
    assert read.items[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]


def test_calls_are_given_back_in_the_shape_of_their_tools() -> None:
    read = run(
        chunk(tool_calls=[call(0, '{"path":"a"}', name="look", id="x")]),
        chunk(tool_calls=[call(1, "{}", name="mcp__probe__add", id="y")]),
        chunk(tool_calls=[call(2, '{"input":"+a\\n"}', name="apply_patch", id="z")]),
        chunk(tool_calls=[call(3, '{"command":["ls"]}', name="local_shell", id="w")]),
        chunk(finish="tool_calls"),
    )
    function, spaced, custom, shell = read.items
    assert (function["name"], function["arguments"]) == ("look", '{"path":"a"}')
    assert read.deltas[function["id"]] == function["arguments"]
    assert (spaced["name"], spaced["namespace"]) == ("add", "mcp__probe")
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "+a\n")
    assert read.deltas[custom["id"]] == "+a\n"
    assert shell["action"]["command"] == ["ls"]
    assert len({item["call_id"] for item in read.items}) == 4


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('{"input":"+a"}', "+a"),
        ('{"patch":"+a"}', "+a"),
        ("*** Begin Patch", "*** Begin Patch"),
        ('{"a":1,"b":"c"}', '{"a":1,"b":"c"}'),
        ("", ""),
    ],
)
def test_a_free_form_input_is_read_from_whatever_a_model_writes(arguments: str, right: str) -> None:
    read = run(
        chunk(tool_calls=[call(0, arguments, name="apply_patch", id="z")]),
        chunk(finish="tool_calls"),
    )
    assert read.items[0]["input"] == right


def test_a_free_form_call_that_was_cut_has_no_input_that_could_be_run() -> None:
    read = run(
        chunk(tool_calls=[call(0, '{"input":"*** Begin', name="apply_patch", id="z")]),
        chunk(finish="length"),
    )
    assert (read.items[0]["input"], read.items[0]["status"]) == ("", "incomplete")
    assert read.last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_counts_add_up() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    read = run(chunk(content="a"), chunk(finish="stop", usage=usage))
    counts = read.last["response"]["usage"]
    assert counts["total_tokens"] == 14
    assert counts["input_tokens_details"] == {"cached_tokens": 8, "cache_write_tokens": 0}


def test_a_sign_of_life_is_an_event_that_clients_count() -> None:
    answer = stream()
    events = answer.start(5) + answer.keepalive()
    last = chunk(content="a", finish="stop")
    read = read_stream(events + answer.feed(last) + answer.keepalive() + answer.finish())
    assert [event["type"] for event in read.events].count("response.in_progress") == 3


def test_a_failure_in_the_middle_is_told_and_what_was_whole_stays() -> None:
    answer = stream()
    events = answer.feed(chunk(content="Hel")) + answer.refuse(refusals.broken_stream("gone"))
    response = read_stream(events).last["response"]
    assert response["error"]["code"] == "server_error"
    assert "gone" in response["error"]["message"]


@pytest.mark.parametrize("said", ["", " \n"])
def test_an_empty_summary_never_goes_out(said: str) -> None:
    for plan in ({"summary": True}, {"summary": True, "as_compaction": True}):
        read = run(chunk(content=said or None), chunk(finish="stop"), **plan)
        assert read.last["response"]["error"]["code"] == "server_error"


def test_a_compaction_is_one_item_and_nothing_else() -> None:
    read = run(
        chunk(reasoning="hm"),
        chunk(content="So far."),
        chunk(finish="stop"),
        summary=True,
        as_compaction=True,
    )
    (item,) = read.items
    assert (item["type"], item["encrypted_content"]) == ("compaction", "autosre:So far.")
