"""Whatever is sent: a request for the engine, or a refusal; never a crash."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import BadRequestError
from autosre_lab.proxy.responses.chat_request import to_chat_request
from autosre_lab.proxy.responses.continuation import EarlierTurn, continued, input_of, members_of
from autosre_lab.proxy.responses.echo import echoed
from autosre_lab.proxy.responses.kept import Kept, shown_input
from autosre_lab.proxy.responses.request import decode_request
from autosre_lab.proxy.responses.tools import declared_tools

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
ITEM_TYPES = st.sampled_from(
    [
        *("message", "reasoning", "function_call", "function_call_output", "custom_tool_call"),
        *("custom_tool_call_output", "local_shell_call", "local_shell_call_output", "compaction"),
        *("compaction_trigger", "web_search_call", "mcp_call", "computer_call_output", ""),
    ]
)
PART_TYPES = st.sampled_from(
    ["input_text", "output_text", "reasoning_text", "input_image", "input_file", "refusal", "new"]
)
PARTS = st.builds(
    lambda kind, fields: fields | {"type": kind},
    PART_TYPES,
    st.dictionaries(
        st.sampled_from(["text", "image_url", "file_data", "filename", "refusal", "detail"]),
        JSON,
        max_size=3,
    ),
)
CONTENT = JSON | st.lists(PARTS, max_size=3)
ITEMS = st.builds(
    lambda kind, role, fields: fields | {"type": kind, "role": role},
    ITEM_TYPES,
    st.sampled_from(["user", "assistant", "system", "developer", "tool", ""]),
    st.dictionaries(
        st.sampled_from(
            [
                *("content", "summary", "output", "action", "arguments", "input", "call_id"),
                *("name", "namespace", "id", "status", "encrypted_content", "phase"),
            ]
        ),
        CONTENT,
        max_size=5,
    ),
)
TOOLS = st.builds(
    lambda kind, name, fields: fields | {"type": kind, "name": name},
    st.sampled_from(
        ["function", "custom", "namespace", "local_shell", "web_search", "mcp", "new", ""]
    ),
    st.sampled_from(["a", "b", "a__b", ""]),
    st.dictionaries(st.sampled_from(["parameters", "format", "description", "tools"]), JSON),
)
FIELDS = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.text(max_size=5) | st.lists(ITEMS, max_size=5)},
    optional={
        "instructions": st.text(max_size=5),
        "tools": st.lists(TOOLS, max_size=3),
        "tool_choice": JSON | st.sampled_from(["auto", "none", "required"]),
        "reasoning": st.fixed_dictionaries({}, optional={"effort": st.text(max_size=5)}),
        "text": JSON,
        "metadata": JSON,
        "generate": st.booleans(),
        "include": JSON,
        "truncation": JSON,
        "temperature": JSON,
    },
)


@given(FIELDS, st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_request_is_translated_or_refused(
    body: dict[str, Any], images: bool, mid_system: bool
) -> None:
    engine = EngineProfile(
        model="m",
        max_model_len=99,
        images=images,
        mid_system="system" if mid_system else "reminder",
        alternating=not mid_system,
    )
    try:
        request = decode_request(json.dumps(body).encode())
        tools = declared_tools(request.tools)
        chat = json.loads(msgspec.json.encode(to_chat_request(request, tools, engine)))
    except BadRequestError:
        return
    msgspec.json.encode(echoed(request, stored=False))
    assert chat["messages"]
    for message in chat["messages"]:
        assert message["role"] in {"system", "user", "assistant", "tool"}
        assert isinstance(message["content"], str | list)
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
    names = [tool["function"]["name"] for tool in chat.get("tools", ())]
    assert len(names) == len(set(names))


@given(st.binary(max_size=80) | st.dictionaries(st.text(max_size=8), JSON).map(json.dumps))
@settings(max_examples=200, deadline=None)
def test_no_body_crashes_what_reads_it(body: bytes | str) -> None:
    data = body.encode() if isinstance(body, str) else body
    members = members_of(data)
    if members is not None:
        kept = Kept(response={}, input=list(input_of(members)))
        msgspec.json.encode(shown_input(kept, "resp_00000000"))
    try:
        decode_request(data)
    except BadRequestError:
        return
    assert members is not None
    assert b"model" in data


@given(st.lists(st.lists(ITEMS, max_size=3), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_is_continued_is_as_if_all_had_been_sent(turns: list[list[dict[str, Any]]]) -> None:
    before = EarlierTurn((), ())
    for items in turns:
        members = members_of(json.dumps({"model": "m", "input": items}).encode()) or {}
        before = EarlierTurn(input_of(continued(members, before, after="resp_1")), ())
    whole = [item for items in turns for item in items]
    assert [json.loads(bytes(item)) for item in before.input] == whole
