from __future__ import annotations

import pytest

from autosre_lab.proxy.chat_stream import ChatChunk
from tests.proxy.chunks import (
    ROLE,
    STOP,
    blocks,
    call,
    chunk,
    make_stream,
    usage_chunk,
)
from tests.proxy.event_grammar import read_stream


@pytest.mark.parametrize(
    ("chunks", "finished"),
    [
        ([ROLE], False),
        ([chunk(content="half an ans")], False),
        ([usage_chunk(3, 1)], False),
        ([chunk(finish="abort")], False),
        ([chunk(finish="error")], False),
        ([STOP], True),
        ([chunk(content="x", finish="length")], True),
    ],
)
def test_only_a_finish_reason_makes_a_stream_finished(
    chunks: list[ChatChunk], finished: bool
) -> None:
    stream = make_stream()
    for one in chunks:
        stream.feed(one)
    assert stream.finished is finished


def test_started_and_first_token_tell_what_has_happened() -> None:
    stream = make_stream()
    seen = [(stream.started, stream.first_token_seen, stream.stop_reason)]
    for one in (ROLE, chunk(content="x"), STOP):
        stream.feed(one)
        seen.append((stream.started, stream.first_token_seen, stream.stop_reason))
    assert seen == [
        (False, False, None),
        (True, False, None),
        (True, True, None),
        (True, True, None),
    ]


@pytest.mark.parametrize(
    "first",
    [
        chunk(reasoning="\n"),
        chunk(content="<thi"),
        chunk(tool_calls=[call(0, name="f", id="x")]),
    ],
)
def test_a_first_token_that_is_held_back_counts(first: ChatChunk) -> None:
    stream = make_stream()
    stream.feed(first)
    assert stream.first_token_seen


def test_start_is_written_once() -> None:
    stream = make_stream()
    assert stream.start(5)
    assert stream.start(5) == b""
    assert b"message_start" not in stream.feed(ROLE)


def test_finish_is_written_once() -> None:
    stream = make_stream()
    assert stream.finish()
    assert stream.finish() == b""


def test_keepalive_before_text_opens_a_thinking_block_that_text_closes() -> None:
    stream = make_stream()
    data = stream.start(9) + stream.keepalive() + stream.keepalive()
    data += stream.feed(ROLE) + stream.feed(chunk(content="hi")) + stream.feed(STOP)
    read = read_stream(data + stream.finish())
    assert blocks(read) == [("thinking", ""), ("text", "hi")]
    assert read.empty_deltas == 2


def test_keepalive_before_thinking_becomes_the_real_thinking_block() -> None:
    stream = make_stream()
    data = stream.start(9) + stream.keepalive() + stream.feed(chunk(reasoning="hm"))
    data += stream.keepalive() + stream.feed(chunk(content="hi")) + stream.feed(STOP)
    read = read_stream(data + stream.finish())
    assert blocks(read) == [("thinking", "hm"), ("text", "hi")]
    assert read.empty_deltas == 2


def test_keepalive_before_inline_thinking_becomes_that_block() -> None:
    stream = make_stream()
    data = stream.start(9) + stream.keepalive() + stream.feed(chunk(content="<think>hm"))
    data += stream.feed(chunk(content="</think>hi")) + stream.feed(STOP)
    assert blocks(read_stream(data + stream.finish())) == [("thinking", "hm"), ("text", "hi")]


def test_keepalive_behind_text_or_a_call_is_an_empty_delta() -> None:
    for one in (chunk(content="x"), chunk(tool_calls=[call(0, "{", name="f", id="x")])):
        stream = make_stream()
        data = stream.feed(one) + stream.keepalive() + stream.feed(STOP) + stream.finish()
        read = read_stream(data)
        assert (read.empty_deltas, read.pings) == (1, 0)


def test_keepalive_while_a_nameless_call_waits_is_a_ping() -> None:
    stream = make_stream()
    data = stream.feed(chunk(tool_calls=[call(0, '{"a":1}')])) + stream.keepalive()
    data += stream.feed(chunk(tool_calls=[call(0, name="f")])) + stream.finish()
    read = read_stream(data)
    assert read.pings == 1
    assert blocks(read) == [("tool_use", '{"a":1}')]


def test_only_keepalive_and_an_empty_answer_still_has_a_text_block() -> None:
    stream = make_stream()
    data = stream.start(9) + stream.keepalive() + stream.feed(STOP) + stream.finish()
    assert blocks(read_stream(data)) == [("thinking", ""), ("text", "")]
