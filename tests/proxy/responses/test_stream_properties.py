"""Any chunks in: a legal stream that OpenAI's own types take, and every byte of the arguments."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from autosre_lab.proxy.chat_stream import ChatChunk
from tests.proxy.chunks import call, chunk
from tests.proxy.messages.test_stream_properties import CALLS, COUNTS, WORDS
from tests.proxy.responses.reading import Read, read_stream
from tests.proxy.responses.test_stream import run, stream

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NAMED = st.builds(
    call,
    st.integers(0, 3),
    st.text('{}[]",:ab1\\ ', max_size=8),
    name=st.sampled_from(["look", "apply_patch", "mcp__probe__add", "local_shell", "unknown"]),
    id=st.sampled_from(["x", "y", ""]),
)
CHUNKS = st.builds(
    chunk,
    finish=st.none() | st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    usage=COUNTS,
    content=st.none() | WORDS,
    reasoning=st.none() | WORDS,
    tool_calls=st.none() | st.lists(CALLS | NAMED, max_size=3),
)
HAPPENINGS = st.lists(CHUNKS | st.just("keepalive"), max_size=20)
OBJECTS = st.dictionaries(st.text(max_size=4), st.text(max_size=6) | st.integers() | st.none())


def play(happenings: list[ChatChunk | str], **plan: Any) -> tuple[Read, dict[str, Any]]:
    answer = stream(**plan)
    data = b""
    for happening in happenings:
        one = isinstance(happening, str)
        data += answer.keepalive() if one else answer.feed(happening)  # type: ignore[arg-type]
    data += answer.finish()
    return read_stream(data), json.loads(answer.whole())


@given(HAPPENINGS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_stream_is_legal_and_its_end_is_the_whole_answer(
    happenings: list[ChatChunk | str], summary: bool
) -> None:
    read, whole = play(happenings, summary=summary)
    assert read.last["response"] == whole
    for item in read.items:
        if item["type"] == "function_call":
            assert read.deltas.get(item["id"], "") == item["arguments"]
        elif item["type"] == "custom_tool_call":
            assert read.deltas.get(item["id"], "") == item["input"]
        elif item["type"] in ("message", "reasoning"):
            assert read.deltas.get(item["id"], "") == item["content"][0]["text"]


@given(HAPPENINGS)
@settings(max_examples=40, deadline=None)
def test_openais_own_types_take_every_event(happenings: list[ChatChunk | str]) -> None:
    read, whole = play(happenings)
    for event in read.events:
        response = event.get("response")
        # What a response repeats of its request is tested over HTTP.
        EVENTS.validate_python({**event, "response": {**WHOLE, **response}} if response else event)
    Response.model_validate({**WHOLE, **whole})


WHOLE = {"model": "m", "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}


@given(st.data(), st.lists(OBJECTS, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_byte_of_arguments_is_lost_however_they_are_cut_and_mixed(
    data: st.DataObject, objects: list[dict[str, Any]]
) -> None:
    texts = [json.dumps(one, ensure_ascii=data.draw(st.booleans())) for one in objects]
    pieces: list[list[str]] = []
    for text in texts:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
        ends = [*cuts, len(text)]
        pieces.append([text[a:b] for a, b in zip([0, *cuts], ends, strict=True)])
    chunks = [
        chunk(tool_calls=[call(at, "", name="look", id=f"id{at}")]) for at in range(len(texts))
    ]
    order = [at for at, parts in enumerate(pieces) for _ in parts]
    order = data.draw(st.permutations(order))
    chunks += [chunk(tool_calls=[call(at, pieces[at].pop(0))]) for at in order]
    read = run(*chunks, chunk(finish="tool_calls"))
    assert [item["arguments"] for item in read.items] == texts
    assert [read.deltas[item["id"]] for item in read.items] == texts
