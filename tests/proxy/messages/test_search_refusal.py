from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.messages.search_refusal import (
    must_search,
    refusal_events,
    refusal_message,
)
from tests.proxy.event_grammar import events_of

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
OWN = {"name": "Read", "input_schema": {"type": "object"}}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


CLAUDE_CODES = "Perform a web search for the query: vllm"
FORCED = {"type": "tool", "name": "web_search"}


@pytest.mark.parametrize(
    ("tools", "asked", "choice", "expected"),
    [
        ([SEARCH], CLAUDE_CODES, None, True),
        ([SEARCH], CLAUDE_CODES, {"type": "auto"}, True),
        ([SEARCH], "what is new?", None, False),
        ([SEARCH], "what is new?", FORCED, True),
        ([SEARCH], "what is new?", {"type": "any"}, False),
        ([SEARCH, OWN], "what is new?", FORCED, True),
        ([SEARCH, FETCH], "what is new?", None, False),
        ([SEARCH, OWN], CLAUDE_CODES, None, False),
        ([FETCH], CLAUDE_CODES, None, False),
        ([OWN], CLAUDE_CODES, None, False),
        ([], CLAUDE_CODES, None, False),
        (None, CLAUDE_CODES, None, False),
    ],
)
def test_only_a_search_itself_is_refused(
    tools: Any, asked: str, choice: Any, expected: bool
) -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": asked}],
        "tools": tools,
        "tool_choice": choice,
    }
    assert must_search(decode_request(json.dumps(body).encode())) is expected


def test_the_refusal_is_a_message_of_the_official_types() -> None:
    message = refusal_message("msg_1", "claude-x", input_tokens=7)
    parsed = Message.model_validate(message)
    assert [block.type for block in parsed.content] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]
    assert parsed.model_dump(mode="json", exclude_unset=True) == message


def test_the_streamed_refusal_is_the_same_message() -> None:
    events = events_of(refusal_events("msg_1", "claude-x", input_tokens=7))
    for event in events:
        EVENT.validate_python(event)
    blocks = [e["content_block"] for e in events if e["type"] == "content_block_start"]
    (delta,) = (e["delta"] for e in events if e["type"] == "content_block_delta")
    blocks[-1]["text"] += delta["text"]
    message = refusal_message("msg_1", "claude-x", input_tokens=7)
    assert blocks == message["content"]
    assert events[-2]["usage"] == message["usage"]
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert [e["type"] for e in events if e["type"].startswith("message")] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
