from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import BadRequestError, decode_request
from autosre_lab.proxy.profile import EngineProfile

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "text",
        "thinking",
        "id",
        "name",
        "tool_use_id",
        "tool_name",
        "is_error",
        "title",
        "context",
        "input",
        "content",
        "source",
        "data",
        "cache_control",
        "citations",
    ]
)
TYPES = st.sampled_from(
    [
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "image",
        "document",
        "search_result",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "tool_reference",
        "mcp_tool_result",
        "compaction",
    ]
) | st.text(max_size=5)
ODD_BLOCKS = st.builds(
    lambda kind, fields: fields | {"type": kind},
    TYPES,
    st.dictionaries(NAMES, JSON | st.lists(st.builds(lambda k: {"type": k}, TYPES), max_size=2)),
)
ODD_MESSAGES = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant", "system"]),
    st.none() | st.text(max_size=5) | st.lists(ODD_BLOCKS, max_size=4),
)


@given(
    st.lists(ODD_MESSAGES, min_size=1, max_size=4),
    st.none() | st.text(max_size=5) | st.lists(ODD_BLOCKS, max_size=2),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_no_block_of_any_shape_is_refused_or_crashes(
    messages: list[Any], system: Any, images: bool
) -> None:
    engine = EngineProfile(model="m", max_model_len=99, images=images)
    body = {"model": "m", "max_tokens": 9, "messages": messages, "system": system}
    request = decode_request(json.dumps(body).encode())
    chat = json.loads(msgspec.json.encode(to_chat_request(request, engine, max_tokens=9)))
    for message in chat["messages"]:
        assert message["role"] in {"system", "user", "assistant", "tool"}
        assert isinstance(message["content"], str | list)
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


@given(st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), JSON).map(json.dumps))
@settings(max_examples=200, deadline=None)
def test_no_body_crashes_the_decoder(body: bytes | str) -> None:
    with pytest.raises(BadRequestError):
        decode_request(body.encode() if isinstance(body, str) else body)
