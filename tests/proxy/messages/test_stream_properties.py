from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
import msgspec
from anthropic.types import Message
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autosre_lab.proxy.arguments import is_json_object
from autosre_lab.proxy.chat_stream import ChatChunk, UpstreamStreamError, decode_chunk
from tests.proxy.chunks import call, chunk, make_stream, run_chunks, usage_chunk
from tests.proxy.event_grammar import read_stream

WORDS = st.text(max_size=8) | st.sampled_from(
    ["", " ", "\n", "<think>", "</think>", "<thi", "nk>", "</", "think>", "}", "{", '"', "\\"]
)
FRAGMENTS = st.text(max_size=6) | st.sampled_from(["{", "}", "{}", '"a":', "1", " ", "\n", "[]"])
CALLS = st.builds(
    call,
    st.none() | st.integers(-1, 3),
    st.none() | FRAGMENTS,
    name=st.none() | st.sampled_from(["", "Read", "Write"]),
    id=st.none() | st.sampled_from(["", "x", "y", "z"]),
)
COUNTS = st.none() | st.fixed_dictionaries(
    {
        "prompt_tokens": st.integers(0, 50),
        "completion_tokens": st.none() | st.integers(0, 50),
        "prompt_tokens_details": st.none()
        | st.fixed_dictionaries({"cached_tokens": st.none() | st.integers(0, 60)}),
    }
)
CHUNKS = st.builds(
    chunk,
    finish=st.none() | st.sampled_from(["stop", "length", "tool_calls", "abort", "new"]),
    stop=st.none() | st.integers() | st.sampled_from(["END", "x"]),
    usage=COUNTS,
    content=st.none() | WORDS,
    reasoning=st.none() | WORDS,
    tool_calls=st.none() | st.lists(CALLS, max_size=3),
)
# What may happen to a stream: a chunk comes, or nothing comes for so long that we write something.
HAPPENINGS = st.lists(CHUNKS | st.just("keepalive"), max_size=25)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def play(happenings: list[ChatChunk | str], **options: Any) -> tuple[bytes, dict[str, Any]]:
    stream = make_stream(**options)
    data = stream.start(7) if "keepalive" in happenings else b""
    for happening in happenings:
        if isinstance(happening, str):
            data += stream.keepalive()
        else:
            data += stream.feed(happening)
    data += stream.finish()
    message: dict[str, Any] = json.loads(msgspec.json.encode(stream.message()))
    return data, message


@given(HAPPENINGS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_stream_is_legal_and_equal_to_its_message(
    happenings: list[ChatChunk | str], window_limited: bool
) -> None:
    data, message = play(happenings, stop_sequences=["END"], window_limited=window_limited)
    read = read_stream(data)
    assert message["stop_reason"] == read.stop_reason
    assert message["stop_sequence"] == read.stop_sequence
    assert message["usage"] == read.usage
    assert [block["type"] for block in message["content"]] == [b.type for b in read.blocks]
    for block, streamed in zip(message["content"], read.blocks, strict=True):
        if block["type"] == "tool_use":
            assert (block["id"], block["name"]) == (streamed.start["id"], streamed.start["name"])
        else:
            assert block[block["type"]] == streamed.content
            assert block.get("signature") == streamed.signature


@given(HAPPENINGS)
@settings(max_examples=100, deadline=None)
def test_the_same_chunks_make_the_same_bytes(happenings: list[ChatChunk | str]) -> None:
    assert play(happenings) == play(happenings)


@given(st.lists(CHUNKS, max_size=25))
@settings(max_examples=200, deadline=None)
def test_nothing_but_white_space_and_think_tags_is_lost(chunks: list[ChatChunk]) -> None:
    read = read_stream(run_chunks(*chunks))
    text = arguments = ""
    for one in chunks:
        for choice in one.choices or ():
            assert choice.delta is not None
            text += (choice.delta.reasoning or "") + (choice.delta.content or "")
            for piece in choice.delta.tool_calls or ():
                arguments += (piece.function and piece.function.arguments) or ""
    shown = read.joined("thinking") + read.joined("text")
    # Blocks regroup what comes interleaved, so what is compared is the characters. Only what
    # stands behind whole arguments is no part of them.
    extra = sorted(_solid(arguments))
    for character in _solid(read.joined("tool_use")):
        extra.remove(character)
    whole = [block for block in read.blocks if is_json_object(block.content)]
    assert not extra or whole
    missing = sorted(_solid(text))
    for character in _solid(shown):
        missing.remove(character)
    assert "".join(missing) in ("", "".join(sorted("<think>")), "".join(sorted("<think></think>")))


def _solid(text: str) -> str:
    return re.sub(r"\s", "", text)


@st.composite
def parallel_calls(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, str]]]:
    """Whole arguments of some calls, and their fragments in any interleaving."""
    arguments = draw(
        st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=3).map(_dumps), min_size=1)
        if draw(st.booleans())
        else st.lists(st.text(max_size=12), min_size=1, max_size=4)
    )
    queues = []
    for text in arguments:
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
        edges = [0, *cuts, len(text)]
        queues.append([text[a:b] for a, b in pairwise(edges)])
    order = []
    while any(queues):
        index = draw(st.sampled_from([i for i, queue in enumerate(queues) if queue]))
        order.append((index, queues[index].pop(0)))
    return arguments, order


def _dumps(value: object) -> str:
    return json.dumps(value, allow_nan=False) if not _has_nan(value) else "{}"


def _has_nan(value: object) -> bool:
    return any(word in json.dumps(value) for word in ("NaN", "Infinity"))


@given(parallel_calls(), st.lists(st.text(max_size=5), max_size=3))
@settings(max_examples=150, deadline=None)
def test_no_byte_of_interleaved_arguments_is_lost(
    calls: tuple[list[str], list[tuple[int, str]]], texts: list[str]
) -> None:
    arguments, order = calls
    chunks, named = [], set()
    for position, (index, fragment) in enumerate(order):
        first = index not in named
        named.add(index)
        name, id_ = (f"tool_{index}", f"id_{index}") if first else (None, None)
        chunks.append(chunk(tool_calls=[call(index, fragment, name=name, id=id_)]))
        if position < len(texts):
            chunks.append(chunk(content=texts[position]))
    read = read_stream(run_chunks(*chunks, chunk(finish="tool_calls")))
    for index, whole in enumerate(arguments):
        pieces = [b.content for b in read.blocks if b.start.get("name") == f"tool_{index}"]
        # What stands behind a whole object may be dropped; nothing else may, anywhere.
        assert whole.startswith(pieces[0])
        if not is_json_object(pieces[0]):
            assert _solid("".join(pieces)) == _solid(whole)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_arguments_of_a_single_call_arrive_to_the_byte(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    whole = _dumps(arguments)
    cut = data.draw(st.integers(0, len(whole)))
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, whole[:cut], name="f", id="x")]),
            chunk(tool_calls=[call(0, whole[cut:])]),
        )
    )
    assert read.joined("tool_use") == whole


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=150, deadline=None)
def test_no_line_of_the_engine_crashes_the_decoder(data: bytes) -> None:
    try:
        decoded = decode_chunk(data)
    except UpstreamStreamError as error:
        assert error.message
        assert error.status
    else:
        if decoded is not None:
            read_stream(run_chunks(decoded))


def _answered_with(body: bytes, content_type: str) -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    client = anthropic.DefaultHttpxClient(transport=httpx2.MockTransport(answer))
    return anthropic.Anthropic(api_key="none", base_url="http://engine", http_client=client)


def _with_the_sdk(body: bytes, content_type: str, ask: Callable[[Any], Message]) -> Message:
    with _answered_with(body, content_type) as client:
        return ask(client.messages)


ASK: dict[str, Any] = {
    "model": "claude-test",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "hi"}],
}


def _streamed(messages: Any) -> Message:
    with messages.stream(**ASK) as stream:
        final: Message = stream.get_final_message()
    return final


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_the_official_sdk_puts_together_what_we_streamed(happenings: list[ChatChunk | str]) -> None:
    data, message = play(happenings, stop_sequences=["END"])
    # The SDK itself raises on a tool's arguments that are no JSON.
    assume(
        not any(
            block.type == "tool_use" and _unreadable(block.content)
            for block in read_stream(data).blocks
        )
    )
    final = _with_the_sdk(data, "text/event-stream", _streamed)
    assert [block.type for block in final.content] == [b["type"] for b in message["content"]]
    assert final.stop_reason == message["stop_reason"]
    assert final.usage.output_tokens == message["usage"]["output_tokens"]
    assert final.usage.input_tokens == message["usage"]["input_tokens"]
    for block, ours in zip(final.content, message["content"], strict=True):
        if block.type == "text":
            assert block.text == ours["text"]
        elif block.type == "thinking":
            assert (block.thinking, block.signature) == (ours["thinking"], ours["signature"])


def _unreadable(arguments: str) -> bool:
    try:
        json.loads(arguments or "{}")
    except ValueError:
        return True
    return False


@given(HAPPENINGS)
@settings(max_examples=60, deadline=None)
def test_the_official_types_accept_every_whole_message(happenings: list[ChatChunk | str]) -> None:
    _, message = play(happenings, stop_sequences=["END"])
    parsed = Message.model_validate(message)
    assert parsed.model_dump(mode="json", exclude_unset=True) == message


def test_the_sdk_reads_a_thinking_text_and_tool_turn() -> None:
    data = run_chunks(
        chunk(role="assistant", content="", usage={"prompt_tokens": 9, "completion_tokens": 0}),
        chunk(reasoning="hm"),
        chunk(content="I look."),
        chunk(tool_calls=[call(0, '{"path":', name="Read", id="a")]),
        chunk(tool_calls=[call(0, ' "/x"}')]),
        chunk(tool_calls=[call(1, '{"path": "/y"}', name="Read", id="b")]),
        chunk(finish="tool_calls"),
        usage_chunk(9, 20, 4),
    )
    final = _with_the_sdk(data, "text/event-stream", _streamed)
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in final.content if block.type == "tool_use"] == [
        {"path": "/x"},
        {"path": "/y"},
    ]
    assert (final.usage.input_tokens, final.usage.cache_read_input_tokens) == (5, 4)
