from __future__ import annotations

import json

import msgspec
import pytest

from autosre_lab.proxy.chat_stream import ChatChunk, decode_chunk
from autosre_lab.proxy.messages.events import Usage
from autosre_lab.proxy.refusals import Refusal
from tests.proxy.chunks import (
    CALLS,
    ROLE,
    STOP,
    blocks,
    call,
    chunk,
    make_stream,
    run_chunks,
    usage_chunk,
)
from tests.proxy.event_grammar import events_of, read_stream


def test_a_text_answer_is_byte_for_byte_the_stream_that_anthropic_documents() -> None:
    data = run_chunks(
        ROLE, chunk(content="Hel"), chunk(content='lo "you"'), STOP, usage_chunk(31, 2, 16)
    )
    assert data.decode() == (
        "event: message_start\n"
        'data: {"type":"message_start","message":{"id":"msg_test","type":"message",'
        '"role":"assistant","model":"claude-test","content":[],"stop_reason":null,'
        '"stop_sequence":null,"usage":{"input_tokens":31,"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
        "\n\n"
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        '"text":"Hel"}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        '"text":"lo \\"you\\""}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":0}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"input_tokens":15,"cache_creation_input_tokens":0,'
        '"cache_read_input_tokens":16,"output_tokens":2}}\n\n'
        "event: message_stop\n"
        'data: {"type":"message_stop"}\n\n'
    )


def test_the_accumulated_message_is_the_streamed_one() -> None:
    stream = make_stream(stop_sequences=["END"])
    run_chunks(
        ROLE,
        chunk(reasoning="Let me "),
        chunk(reasoning="see."),
        chunk(content="Sunny"),
        chunk(tool_calls=[call(0, name="look", id="a", arguments='{"z":1,"a":1.50}')]),
        CALLS,
        usage_chunk(31, 9, 16),
        stream=stream,
    )
    message = json.loads(msgspec.json.encode(stream.message()))
    signature = message["content"][0].pop("signature")
    tool_id = message["content"][2].pop("id")
    assert signature
    assert tool_id.startswith("toolu_")
    assert message == {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [
            {"type": "thinking", "thinking": "Let me see."},
            {"type": "text", "text": "Sunny"},
            {"type": "tool_use", "name": "look", "input": {"z": 1, "a": 1.5}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 15,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 16,
            "output_tokens": 9,
        },
    }


@pytest.mark.parametrize("thought", [chunk(reasoning="hm"), chunk(reasoning_content="hm")])
def test_reasoning_becomes_a_signed_thinking_block_before_the_text(thought: ChatChunk) -> None:
    read = read_stream(run_chunks(ROLE, thought, chunk(content="yes"), STOP))
    assert blocks(read) == [("thinking", "hm"), ("text", "yes")]
    assert read.blocks[0].signature


def test_the_signature_depends_on_the_thinking_alone() -> None:
    def signature(*thoughts: str) -> str | None:
        data = run_chunks(*(chunk(reasoning=thought) for thought in thoughts), STOP)
        return read_stream(data).blocks[0].signature

    assert signature("one two") == signature("one", " two")
    assert signature("one two") != signature("one too")


def test_reasoning_between_texts_makes_blocks_in_that_order() -> None:
    read = read_stream(
        run_chunks(chunk(content="a"), chunk(reasoning="b"), chunk(content="c"), STOP)
    )
    assert blocks(read) == [("text", "a"), ("thinking", "b"), ("text", "c")]


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>deep</think>answer"],
        ["<thi", "nk>de", "ep</", "think>", "answer"],
        list("<think>deep</think>answer"),
        ["\n<think>", "deep", "</think>", "\n\n", "answer"],
    ],
)
def test_inline_thinking_at_the_beginning_becomes_a_thinking_block(pieces: list[str]) -> None:
    read = read_stream(run_chunks(ROLE, *(chunk(content=piece) for piece in pieces), STOP))
    assert [(kind, text.strip()) for kind, text in blocks(read)] == [
        ("thinking", "deep"),
        ("text", "answer"),
    ]


@pytest.mark.parametrize(
    ("pieces", "finish", "expected"),
    [
        (
            ["let me plan. ", "done</think>\n\nThe answer"],
            "stop",
            [("thinking", "let me plan. done"), ("text", "\n\nThe answer")],
        ),
        (list("ab</think>c"), "stop", [("thinking", "ab"), ("text", "c")]),
        (["<think>ab</think>c"], "stop", [("thinking", "ab"), ("text", "c")]),
        (["\n", "<thi", "nk>ab</think>c"], "stop", [("thinking", "ab"), ("text", "c")]),
        (["</think>c"], "stop", [("text", "c")]),
        (["ab"], "length", [("thinking", "ab")]),
        # The engine cut the thoughts off itself: what came is the answer.
        (["the answer"], "stop", [("thinking", "the answer"), ("text", "the answer")]),
    ],
)
def test_an_answer_may_begin_inside_of_thoughts(
    pieces: list[str], finish: str, expected: list[tuple[str, str]]
) -> None:
    chunks = [*(chunk(content=piece) for piece in pieces), chunk(finish=finish)]
    assert blocks(read_stream(run_chunks(*chunks, inside_thinking=True))) == expected


def test_reasoning_of_a_parser_is_not_taken_for_an_answer_inside_of_thoughts() -> None:
    chunks = [chunk(reasoning="hm"), chunk(content="a</think>"), STOP]
    read = read_stream(run_chunks(*chunks, inside_thinking=True))
    assert blocks(read) == [("thinking", "hm"), ("text", "a</think>")]


@pytest.mark.parametrize(
    "text", ["say <think>x</think>", "<thin ice", "<", "</think>x", "< think>", "<think"]
)
def test_what_only_resembles_inline_thinking_stays_text(text: str) -> None:
    for pieces in ([text], list(text)):
        read = read_stream(run_chunks(*(chunk(content=piece) for piece in pieces), STOP))
        assert blocks(read) == [("text", text)]


def test_a_tag_in_text_after_reasoning_stays_text() -> None:
    read = read_stream(run_chunks(chunk(reasoning="r"), chunk(content="<think>x"), STOP))
    assert blocks(read) == [("thinking", "r"), ("text", "<think>x")]


def test_unclosed_inline_thinking_loses_nothing() -> None:
    read = read_stream(run_chunks(chunk(content="<think>a</th"), chunk(finish="length")))
    assert blocks(read) == [("thinking", "a</th")]
    assert read.stop_reason == "max_tokens"


def test_one_chunk_may_carry_everything() -> None:
    read = read_stream(
        run_chunks(
            chunk(
                role="assistant",
                reasoning="r",
                content="c",
                tool_calls=[call(0, "{}", name="f", id="x"), call(1, "{}", name="g", id="y")],
                finish="tool_calls",
                usage={"prompt_tokens": 5, "completion_tokens": 3},
            )
        )
    )
    assert blocks(read) == [
        ("thinking", "r"),
        ("text", "c"),
        ("tool_use", "{}"),
        ("tool_use", "{}"),
    ]
    assert read.message["usage"]["input_tokens"] == 5
    assert read.usage["output_tokens"] == 3


def test_white_space_before_text_is_kept() -> None:
    read = read_stream(run_chunks(chunk(content="\n"), chunk(content=" "), chunk(content="x")))
    assert blocks(read) == [("text", "\n x")]


def test_an_empty_completion_has_one_empty_text_block() -> None:
    for chunks in ([ROLE, STOP], [STOP], []):
        read = read_stream(run_chunks(*chunks))
        assert blocks(read) == [("text", "")]
        assert read.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("finish", "matched", "tool", "window", "expected"),
    [
        ("stop", None, None, False, ("end_turn", None)),
        ("stop", 128001, None, False, ("end_turn", None)),
        ("stop", "END", None, False, ("stop_sequence", "END")),
        ("stop", "not ours", None, False, ("end_turn", None)),
        ("stop", None, "{}", False, ("tool_use", None)),
        ("stop", "END", "{}", False, ("tool_use", None)),
        ("stop", "END", '{"a":', False, ("stop_sequence", "END")),
        ("stop", None, '{"a":', False, ("tool_use", None)),
        ("tool_calls", None, "{}", False, ("tool_use", None)),
        ("tool_calls", None, None, False, ("end_turn", None)),
        ("length", None, None, False, ("max_tokens", None)),
        ("length", None, '{"a":', False, ("max_tokens", None)),
        ("length", None, None, True, ("model_context_window_exceeded", None)),
        ("stop", None, None, True, ("end_turn", None)),
        ("content_filter", None, None, False, ("refusal", None)),
        ("repetition", None, None, False, ("end_turn", None)),
        ("something_new", None, "{}", False, ("tool_use", None)),
    ],
)
def test_stop_reasons(
    finish: str,
    matched: int | str | None,
    tool: str | None,
    window: bool,
    expected: tuple[str, str | None],
) -> None:
    stream = make_stream(stop_sequences=["END"], window_limited=window)
    given = [chunk(tool_calls=[call(0, tool, name="f", id="x")])] if tool is not None else [ROLE]
    read = read_stream(run_chunks(*given, chunk(finish=finish, stop=matched), stream=stream))
    assert (read.stop_reason, read.stop_sequence) == expected
    assert stream.stop_reason == expected[0]
    assert (stream.message()["stop_reason"], stream.message()["stop_sequence"]) == expected


def test_a_refusal_is_shown_and_named() -> None:
    read = read_stream(run_chunks(chunk(refusal="I cannot."), STOP))
    assert blocks(read) == [("text", "I cannot.")]
    assert read.stop_reason == "refusal"


def test_usage_separates_cached_tokens_and_keeps_the_newest_counts() -> None:
    stream = make_stream()
    data = stream.feed(chunk(content="a", usage={"prompt_tokens": 100, "completion_tokens": 1}))
    assert stream.usage == Usage(100, 0, 1)
    data += stream.feed(usage_chunk(100, 7, 64))
    assert stream.usage == Usage(36, 64, 7)
    assert read_stream(data + stream.finish()).usage == {
        "input_tokens": 36,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 64,
        "output_tokens": 7,
    }


def test_an_exact_count_known_beforehand_stands_where_the_engine_sends_none() -> None:
    stream = make_stream()
    data = stream.start(4711) + stream.feed(chunk(content="x")) + stream.feed(STOP)
    read = read_stream(data + stream.finish())
    assert read.message["usage"]["input_tokens"] == 4711
    assert read.usage["input_tokens"] == 4711


def test_more_cached_than_prompt_tokens_never_makes_a_negative_count() -> None:
    read = read_stream(run_chunks(chunk(content="x"), usage_chunk(10, 1, 99)))
    assert read.usage["input_tokens"] == 0
    assert read.usage["cache_read_input_tokens"] == 10


def test_what_the_cache_keeps_from_now_on_is_the_engines_count_everywhere() -> None:
    details = {"cached_tokens": 0, "created_cache_tokens": 1280}
    first = chunk(content="x", usage={"prompt_tokens": 1320, "prompt_tokens_details": details})
    stream = make_stream()
    read = read_stream(run_chunks(first, STOP, stream=stream))
    expected = {
        "input_tokens": 40,
        "cache_creation_input_tokens": 1280,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
    assert read.message["usage"] == expected
    assert read.usage == expected
    assert stream.message()["usage"] == expected
    assert stream.usage.prompt_tokens == 1320


@pytest.mark.parametrize("strange", [None, -9, 10.0, "10", 10**30, 1e300, True, [], {}])
@pytest.mark.parametrize(
    "name",
    [
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "created_cache_tokens",
        "details",
        "all",
    ],
)
def test_a_counter_never_costs_the_answer(strange: object, name: str) -> None:
    details: object = {"cached_tokens": 4, "created_cache_tokens": 2}
    usage: object = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": details}
    if name == "all":
        usage = strange
    elif name == "details":
        usage = {**usage, "prompt_tokens_details": strange}  # type: ignore[dict-item]
    elif name in ("cached_tokens", "created_cache_tokens"):
        usage = {**usage, "prompt_tokens_details": {**details, name: strange}}  # type: ignore[dict-item]
    else:
        usage = {**usage, name: strange}  # type: ignore[dict-item]
    last = decode_chunk(json.dumps({"choices": [], "usage": usage}).encode())
    assert last is not None
    stream = make_stream()
    read = read_stream(run_chunks(chunk(content="a"), STOP, last, stream=stream))
    assert blocks(read) == [("text", "a")]
    assert read.stop_reason == "end_turn"
    assert all(0 <= count <= 10 for count in read.usage.values())
    assert stream.usage.prompt_tokens in (0, 10)


@pytest.mark.parametrize(
    ("finish", "ends"),
    [
        *((word, True) for word in ("stop", "length", "tool_calls", "function_call")),
        *((word, True) for word in ("content_filter", "repetition")),
        *((word, False) for word in ("", "null", "None", "abort", "error", "something_new")),
        (None, False),
    ],
)
def test_only_known_reasons_end_an_answer(finish: str | None, ends: bool) -> None:
    stream = make_stream()
    stream.feed(chunk(content="half an ans", finish=finish))
    assert stream.finished is ends
    stream.feed(chunk(content="wer", finish="stop"))
    stream.feed(chunk(finish=""))
    assert stream.finished


def test_an_error_event_is_anthropics() -> None:
    stream = make_stream()
    assert events_of(stream.error("overloaded_error", 'full "now"')) == [
        {"type": "error", "error": {"type": "overloaded_error", "message": 'full "now"'}}
    ]


def first_usage(data: bytes) -> dict[str, int]:
    usage: dict[str, int] = events_of(data)[0]["message"]["usage"]
    return usage


def test_nothing_is_counted_before_the_engine_has_counted() -> None:
    assert first_usage(make_stream().finish())["input_tokens"] == 0
    assert first_usage(make_stream().keepalive())["input_tokens"] == 0
    assert first_usage(make_stream().feed(chunk(content="a")))["input_tokens"] == 0


def test_the_signature_is_the_same_for_ever() -> None:
    stream = make_stream()
    run_chunks(chunk(reasoning="one"), STOP, stream=stream)
    assert stream.message()["content"] == [
        {"type": "thinking", "thinking": "one", "signature": "m/GrX51oKb16Tcu4OnzNOyPEqyh0hcaC"}
    ]
    assert json.loads(stream.whole()) == stream.message()


def test_white_space_of_one_kind_is_no_head_of_the_other() -> None:
    stream = make_stream()
    run_chunks(chunk(reasoning=" "), chunk(content="\n"), chunk(content="x"), STOP, stream=stream)
    assert stream.message()["content"] == [{"type": "text", "text": "\nx"}]


def test_a_refusal_in_the_middle_is_an_error_event_in_anthropics_words() -> None:
    refusal = Refusal(status=529, kind="closing", message="it ends")
    assert events_of(make_stream().refuse(refusal)) == [
        {"type": "error", "error": {"type": "overloaded_error", "message": "it ends"}}
    ]
