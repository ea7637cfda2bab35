"""A longer conversation begins with the very messages of the shorter one.

The engine's prefix cache is worth minutes per turn, and one byte that changes early in the prompt
loses it. Checked on what is sent, as bytes; that the rendered tokens agree is the engine's test.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autosre_lab.bench
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile, MidSystem

TEXTS = st.sampled_from(["", "a", "b\n", " ", "<system-reminder>x</system-reminder>", "é"])
TEXT_BLOCKS = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
IMAGES = st.just(
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
)
DOCUMENTS = st.just({"type": "document", "source": {"type": "text", "data": "d"}})
UNKNOWN = st.just({"type": "from_the_future", "text": {"not": "a string"}})
THINKING = st.builds(
    lambda text: {"type": "thinking", "thinking": text, "signature": "s"},
    st.sampled_from(["", "hm", "two\nlines"]),
)
INPUTS = st.dictionaries(st.sampled_from(["z", "a", "path"]), st.integers() | TEXTS, max_size=3)
RESULTS = st.none() | TEXTS | st.lists(TEXT_BLOCKS | IMAGES | DOCUMENTS | UNKNOWN, max_size=3)


@st.composite
def turns(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """The messages that each request of a session adds, the client's part last."""
    added: list[list[dict[str, Any]]] = []
    open_calls: list[str] = []
    for number in range(draw(st.integers(1, 5))):
        messages: list[dict[str, Any]] = []
        if number:
            content: list[Any] = draw(st.lists(THINKING | TEXT_BLOCKS, max_size=2))
            open_calls = [f"toolu_{number}_{n}" for n in range(draw(st.integers(0, 3)))]
            content = content + [
                {"type": "tool_use", "id": id_, "name": "Read", "input": draw(INPUTS)}
                for id_ in open_calls
            ]
            messages.append({"role": "assistant", "content": content})
        if draw(st.booleans()) and number:
            messages.append({"role": "system", "content": draw(TEXTS)})
        results = [
            {
                "type": "tool_result",
                "tool_use_id": id_,
                "content": draw(RESULTS),
                "is_error": draw(st.booleans()),
            }
            for id_ in open_calls
        ]
        said = draw(st.lists(TEXT_BLOCKS | IMAGES | DOCUMENTS | UNKNOWN, max_size=2))
        messages.append({"role": "user", "content": results + said})
        if draw(st.booleans()):
            messages.append({"role": "system", "content": [{"type": "text", "text": draw(TEXTS)}]})
        added.append(messages)
        open_calls = []
    return added


def as_the_client_sends_it(data: st.DataObject, messages: list[dict[str, Any]]) -> list[Any]:
    """The same messages with cache marks anywhere, and text alone as a string or as a block."""
    sent = copy.deepcopy(messages)
    for message in sent:
        content = message["content"]
        if isinstance(content, str):
            if data.draw(st.booleans()):
                message["content"] = [{"type": "text", "text": content}]
            continue
        for block in content:
            if data.draw(st.booleans()):
                block["cache_control"] = {"type": "ephemeral"}
        if [block["type"] for block in content] == ["text"] and data.draw(st.booleans()):
            message["content"] = content[0]["text"]
    return sent


def encoded_messages(messages: list[Any], engine: EngineProfile, **fields: Any) -> list[bytes]:
    body = {"model": "m", "max_tokens": 9, "messages": messages} | fields
    request = decode_request(json.dumps(body).encode())
    chat = to_chat_request(request, engine, max_tokens=9)
    assert "continue_final_message" not in chat
    return [msgspec.json.encode(message) for message in chat["messages"]]


@pytest.mark.parametrize("mid_system", ["system", "reminder"])
@pytest.mark.parametrize("images", [True, False])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_each_request_begins_with_the_whole_request_before_it(
    data: st.DataObject, mid_system: MidSystem, images: bool
) -> None:
    engine = EngineProfile(model="m", max_model_len=99, mid_system=mid_system, images=images)
    history: list[dict[str, Any]] = []
    before: list[bytes] = []
    for number, added in enumerate(data.draw(turns())):
        history += added
        # The billing line of older versions of Claude Code differs in every request.
        system = f"x-anthropic-billing-header: cch={number};\nYou are"
        sent = as_the_client_sends_it(data, history)
        now = encoded_messages(sent, engine, system=system)
        assert now[: len(before)] == before
        assert len(now) > len(before)
        before = now


@given(turns())
@settings(max_examples=60, deadline=None)
def test_results_stand_right_behind_their_calls(added: list[list[dict[str, Any]]]) -> None:
    engine = EngineProfile(model="m", max_model_len=99, images=True)
    history = [message for turn in added for message in turn]
    messages = [json.loads(one) for one in encoded_messages(history, engine)]
    for position, message in enumerate(messages):
        ids = [call["id"] for call in message.get("tool_calls", ())]
        behind = messages[position + 1 : position + 1 + len(ids)]
        assert [one.get("tool_call_id") for one in behind] == ids


@pytest.mark.parametrize("mid_system", ["system", "reminder"])
def test_a_real_first_request_stays_the_beginning_of_the_session(mid_system: MidSystem) -> None:
    recording = Path(autosre_lab.bench.__path__[0]) / "recordings" / "claude_first_request.json"
    body = json.loads(recording.read_bytes())
    engine = EngineProfile(model="m", max_model_len=99, mid_system=mid_system)
    first = to_chat_request(decode_request(json.dumps(body).encode()), engine, max_tokens=9)
    for block in body["system"] + body["messages"][0]["content"]:
        block.pop("cache_control", None)
    body["messages"] += [
        {"role": "assistant", "content": [{"type": "text", "text": "done"}]},
        {"role": "user", "content": [{"type": "text", "text": "and now?"}]},
    ]
    second = to_chat_request(decode_request(json.dumps(body).encode()), engine, max_tokens=9)
    assert msgspec.json.encode(first["tools"]) == msgspec.json.encode(second["tools"])
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert len(first["tools"]) == len(body["tools"])
    assert "cache_control" not in json.dumps(first["messages"])
