"""What arrived when, in three APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.bench.stream_events import AnswerReader, reader_for
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.proxy.server_events import ServerEvents

MS = 1_000_000


def read(protocol: str, *events: dict[str, Any] | str) -> tuple[RequestTiming, AnswerReader]:
    """Feed events that come 1 ms apart, the first at 1 ms."""
    timing = RequestTiming(session="s", turn=0, scheduled_ns=0, sent_ns=0)
    reader = reader_for(protocol, timing)
    for at, event in enumerate(events, start=1):
        data = event if isinstance(event, str) else json.dumps(event)
        reader.event(data.encode(), at * MS)
    return timing, reader


def delta(index: int, **fields: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def block(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": fields}


def test_messages_tell_thinking_from_output_from_action() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 3}
    timing, reader = read(
        "messages",
        {"type": "message_start", "message": {"usage": {**usage, "output_tokens": 0}}},  # 1
        {"type": "ping"},
        block(0, type="thinking", thinking=""),
        delta(0, thinking="hm"),  # 4
        {"type": "content_block_stop", "index": 0},
        block(1, type="text", text=""),
        delta(1, text="Hi"),  # 7
        {"type": "content_block_stop", "index": 1},
        block(2, type="tool_use", id="t1", name="weather", input={}),
        delta(2, partial_json='{"city":'),  # 10
        delta(2, partial_json='"Rome"}'),  # 11
        {"type": "content_block_stop", "index": 2},  # 12
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    )
    assert (timing.ttfe_s, timing.ttft_s, timing.ttfo_s, timing.ttfa_s) == (
        0.001,
        0.004,
        0.007,
        0.012,
    )
    assert (timing.input_tokens, timing.cached_tokens, timing.output_tokens) == (28, 20, 9)
    assert timing.chunk_ns == [4 * MS, 7 * MS, 10 * MS, 11 * MS]
    assert timing.tpot_s == pytest.approx(0.007 / 8)
    assert timing.stop_reason == "tool_use"
    assert reader.finished
    assert reader.blocks() == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
    ]


def chat(**more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": more}]}


def test_a_chat_role_is_an_event_and_no_token() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}
    timing, reader = read(
        "chat",
        chat(role="assistant", content=""),  # 1
        chat(reasoning="hm"),  # 2
        chat(content="Hi"),  # 3
        chat(tool_calls=[call]),  # 4
        chat(tool_calls=[{"index": 0, "function": {"arguments": '{"city":"Rome"}'}}]),  # 5
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},  # 6
        {"choices": [], "usage": {"prompt_tokens": 28, "completion_tokens": 7}},
        "[DONE]",
    )
    assert (timing.ttfe_s, timing.ttft_s, timing.ttfo_s, timing.ttfa_s) == (
        0.001,
        0.002,
        0.003,
        0.006,
    )
    assert timing.cached_tokens is None  # not said is not zero
    assert timing.last_token_ns == 5 * MS
    assert reader.blocks()[-1]["input"] == {"city": "Rome"}


def test_the_first_of_two_chat_calls_is_complete_when_the_second_begins() -> None:
    first = {"index": 0, "id": "c1", "function": {"name": "a", "arguments": "{}"}}
    second = {"index": 1, "id": "c2", "function": {"name": "b", "arguments": "{}"}}
    timing, reader = read("chat", chat(tool_calls=[first]), chat(tool_calls=[second]))
    assert timing.ttfa_s == 0.002
    assert [one["id"] for one in reader.blocks()] == ["c1", "c2"]


def test_responses_tell_the_same() -> None:
    usage = {"input_tokens": 9, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 2}}
    item = {"type": "function_call", "call_id": "c1", "name": "weather"}
    timing, reader = read(
        "responses",
        {"type": "response.created", "response": {"status": "in_progress"}},  # 1
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "hm"},  # 2
        {"type": "response.output_text.delta", "output_index": 1, "delta": "Hi"},  # 3
        {"type": "response.output_item.added", "output_index": 2, "item": item},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"},  # 5
        {"type": "response.output_item.done", "output_index": 2, "item": item},  # 6
        {"type": "response.completed", "response": {"status": "completed", "usage": usage}},
    )
    assert (timing.ttfe_s, timing.ttft_s, timing.ttfo_s, timing.ttfa_s) == (
        0.001,
        0.002,
        0.003,
        0.006,
    )
    assert (timing.input_tokens, timing.cached_tokens, timing.output_tokens) == (9, 2, 4)
    assert reader.finished
    assert [one["type"] for one in reader.blocks()] == ["thinking", "text", "tool_use"]


@pytest.mark.parametrize(
    ("protocol", "event"),
    [
        ("messages", {"type": "error", "error": {"type": "overloaded_error", "message": "full"}}),
        ("chat", {"error": {"type": "overloaded_error", "message": "full"}}),
        (
            "responses",
            {
                "type": "response.failed",
                "response": {"error": {"type": "overloaded_error", "message": "full"}},
            },
        ),
    ],
)
def test_an_error_in_the_stream_fails_the_request(protocol: str, event: dict[str, Any]) -> None:
    timing, reader = read(protocol, event)
    assert timing.failed
    assert "full" in timing.error
    assert not reader.finished
    assert timing.e2el_s is None


def test_arguments_that_are_no_json_become_an_empty_object() -> None:
    _, reader = read(
        "messages", block(0, type="tool_use", id="t", name="x"), delta(0, partial_json="{")
    )
    assert reader.blocks()[0]["input"] == {}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_events_are_whole_however_the_bytes_are_cut(size: int, end: str) -> None:
    text = f"event: a{end}data: 1{end}{end}: ping{end}{end}data:2{end}data: 3{end}{end}data: 4"
    raw = text.encode()
    events = ServerEvents()
    found = [one for at in range(0, len(raw), size) for one in events.feed(raw[at : at + size])]
    assert found == [b"1", b"2\n3"]
