from __future__ import annotations

import msgspec
import pytest

from autosre_lab.proxy import blocks as proxy_blocks
from autosre_lab.proxy.arguments import ArgumentsEnd
from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS
from autosre_lab.proxy.chat_stream import UpstreamStreamError
from tests.proxy.chunks import (
    CALLS,
    ROLE,
    STOP,
    blocks,
    call,
    chunk,
    make_stream,
    run_chunks,
)
from tests.proxy.event_grammar import events_of, read_stream


def test_input_of_a_whole_message_keeps_key_order_and_number_spelling() -> None:
    stream = make_stream()
    arguments = '{"z": 1.50, "a": 123456789012345678901234567890, "z2": 1e3}'
    run_chunks(chunk(tool_calls=[call(0, arguments, name="f", id="x")]), CALLS, stream=stream)
    assert arguments.encode() in msgspec.json.encode(stream.message())


def test_tool_arguments_stream_byte_for_byte_as_they_come() -> None:
    fragments = ['{"pa', 'th": "a\\', 'nb"', ', "x"', ": [1,", " 2]}"]
    stream = make_stream()
    stream.feed(ROLE)
    opening = stream.feed(chunk(tool_calls=[call(0, name="Write", id="chatcmpl-tool-1")]))
    assert [event["type"] for event in events_of(opening)] == ["content_block_start"]
    for fragment in fragments:
        (event,) = events_of(stream.feed(chunk(tool_calls=[call(0, fragment)])))
        assert event["delta"] == {"type": "input_json_delta", "partial_json": fragment}
    stream.feed(CALLS)
    stream.finish()
    assert stream.stop_reason == "tool_use"


def test_parallel_calls_in_turn_stream_as_they_come() -> None:
    stream = make_stream()
    stream.feed(chunk(tool_calls=[call(0, '{"a":1}', name="one", id="x")]))
    data = stream.feed(chunk(tool_calls=[call(1, '{"b":', name="two", id="y")]))
    assert [event["type"] for event in events_of(data)] == [
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]


def test_interleaved_calls_are_regrouped_and_lose_nothing() -> None:
    read = read_stream(
        run_chunks(
            ROLE,
            chunk(tool_calls=[call(0, '{"a', name="one", id="x")]),
            chunk(tool_calls=[call(1, '{"b', name="two", id="y")]),
            chunk(tool_calls=[call(0, '":1'), call(1, '":2')]),
            chunk(content="text between"),
            chunk(tool_calls=[call(1, "}"), call(0, "}")]),
            CALLS,
        )
    )
    assert blocks(read) == [
        ("tool_use", '{"a":1}'),
        ("tool_use", '{"b":2}'),
        ("text", "text between"),
    ]
    assert [block.start["name"] for block in read.blocks[:2]] == ["one", "two"]


def test_a_waiting_call_starts_as_soon_as_the_one_before_it_is_complete() -> None:
    stream = make_stream()
    stream.feed(chunk(tool_calls=[call(0, '{"a', name="one", id="x")]))
    assert stream.feed(chunk(tool_calls=[call(1, '{"b', name="two", id="y")])) == b""
    data = stream.feed(chunk(tool_calls=[call(0, '":1}')]))
    assert [event["type"] for event in events_of(data)] == [
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
    ]


def test_a_call_behind_a_malformed_one_comes_at_the_end() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, '{"a":', name="one", id="x")]),
            chunk(tool_calls=[call(1, '{"b":2}', name="two", id="y")]),
            CALLS,
        )
    )
    assert blocks(read) == [("tool_use", '{"a":'), ("tool_use", '{"b":2}')]


@pytest.mark.parametrize(
    "more", ["}", "\n", "]}", '{"a": 1}', '"a": 1}', '{"a":1}{"a":1}', '{"a":', "garbage"]
)
@pytest.mark.parametrize("cut", [0, 1, 3])
@pytest.mark.parametrize("behind", [False, True])
def test_arguments_count_once_whatever_follows_them(more: str, cut: int, behind: bool) -> None:
    stream = make_stream()
    other = [chunk(tool_calls=[call(1, '{"b":2}', name="two", id="y")])] if behind else []
    data = run_chunks(
        chunk(tool_calls=[call(0, '{"a":1}' + more[:cut], name="one", id="x")]),
        *other,
        *(chunk(tool_calls=[call(0, piece)]) for piece in more[cut:]),
        CALLS,
        stream=stream,
    )
    expected = [("one", '{"a":1}')] + ([("two", '{"b":2}')] if behind else [])
    assert [(b.start["name"], b.content) for b in read_stream(data).blocks] == expected
    message = msgspec.json.decode(msgspec.json.encode(stream.message()))
    assert message["content"][0]["input"] == {"a": 1}


@pytest.mark.parametrize("gap", ["", "\n", "}"])
def test_another_whole_object_behind_the_first_is_another_call(gap: str) -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, '{"b":2}', name="one", id="x")]),
            chunk(tool_calls=[call(0, gap if gap != "}" else "")]),
            chunk(tool_calls=[call(0, '{"a":')]),
            chunk(tool_calls=[call(0, "1}")]),
            CALLS,
        )
    )
    assert [(b.start["name"], b.content) for b in read.blocks] == [
        ("one", '{"b":2}'),
        ("one", '{"a":1}'),
    ]


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["{}", '{"a":', "1}"], '{"a":1}'),
        (["{}", "\n", '{"a":1}', "}"], '{"a":1}'),
        (['{}{"a":1}'], '{"a":1}'),
        (["{ }", "{}"], "{}"),
        (["{}", "}"], "{}"),
        (["null"], "{}"),
        (["null", '{"a":1}'], '{"a":1}'),
        (['""'], "{}"),
        (['""', '{"a":1}'], '{"a":1}'),
        (['"{\\"a\\":', ' \\"\\\\u00e9}\\"}"'], '{"a": "\\u00e9}"}'),
        (["[", '{"a":1}', "]"], '{"a":1}'),
        (["```json\n", '{"a":1}', "\n```"], '{"a":1}'),
        (["[1, ", "2]"], "[1, 2]"),
        (['"no object"'], '"no object"'),
        (['[{"a":1},', '{"b":2}]'], '[{"a":1},{"b":2}]'),
        (["```\nls\n```"], "```\nls\n```"),
    ],
)
def test_arguments_of_another_form_are_the_object_that_they_stand_for(
    pieces: list[str], expected: str, other: bool
) -> None:
    stream = make_stream()
    first, *rest = pieces
    behind = [chunk(tool_calls=[call(1, '{"b":2}', name="two", id="y")])] if other else []
    data = run_chunks(
        chunk(tool_calls=[call(0, first, name="one", id="x")]),
        *(chunk(tool_calls=[call(0, piece)]) for piece in rest),
        *behind,
        CALLS,
        stream=stream,
    )
    read = [(block.start["name"], block.content) for block in read_stream(data).blocks]
    assert read == [("one", expected)] + [("two", '{"b":2}')] * other
    message = msgspec.json.decode(msgspec.json.encode(stream.message()))
    whole = message["content"][0]["input"]
    assert whole == (
        msgspec.json.decode(expected)
        if expected.startswith("{")
        else {MALFORMED_ARGUMENTS: expected}
    )


@pytest.mark.parametrize(
    "deltas",
    [
        # Every call numbered 0, told apart by the id.
        [
            [call(0, name="one", id="x"), call(0, name="two", id="y")],
            [call(0, '{"a":', id="x"), call(0, '{"b":', id="y")],
            [call(0, "1}", id="x"), call(0, "2}", id="y")],
        ],
        # Every call with one id, told apart by the number.
        [
            [call(0, name="one", id="x"), call(1, name="two", id="x")],
            [call(0, '{"a":', id="x"), call(1, '{"b":', id="x")],
            [call(0, "1}"), call(1, "2}")],
        ],
        # One id and one number, told apart by the name.
        [[call(0, '{"a":1}', name="one", id="x"), call(0, '{"b":2}', name="two", id="x")]],
        [
            [call(0, '{"a":1}', name="one", id="x")],
            [call(0, '{"b":2}', name="two", id="x")],
        ],
    ],
)
def test_no_calls_arguments_go_to_another(deltas: list[list[dict[str, object]]]) -> None:
    read = read_stream(run_chunks(*(chunk(tool_calls=one) for one in deltas), CALLS))
    assert [(b.start["name"], b.content) for b in read.blocks] == [
        ("one", '{"a":1}'),
        ("two", '{"b":2}'),
    ]


@pytest.mark.parametrize("kind", ["calls", "turns"])
def test_an_answer_has_a_largest_number_of_blocks(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(proxy_blocks, "MAX_BLOCKS", 100)
    stream = make_stream()
    with pytest.raises(UpstreamStreamError, match="more than 100"):
        for number in range(200):
            if kind == "calls":
                stream.feed(chunk(tool_calls=[call(number, name="f")]))
            else:
                stream.feed(chunk(content="a") if number % 2 else chunk(reasoning="b"))
    assert len(stream.sequence.blocks) + len(stream.sequence.waiting) == 100


@pytest.mark.parametrize(
    "arguments", ['{"a":"}"}', '{"a":"\\\\"}', '{"a":"\\"}{"}', '{"{":[{"]":"\\u007d"}]}', "{}"]
)
def test_brackets_inside_texts_end_nothing(arguments: str) -> None:
    for size in (1, 2, 3, len(arguments)):
        pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
        first, *rest = (call(0, piece) for piece in [*pieces, "}"])
        read = read_stream(
            run_chunks(
                chunk(
                    tool_calls=[
                        {**first, "id": "x", "function": {"name": "f", "arguments": pieces[0]}}
                    ]
                ),
                *(chunk(tool_calls=[one]) for one in rest),
                CALLS,
            )
        )
        assert blocks(read) == [("tool_use", arguments)]


def test_a_new_id_without_a_name_goes_on_with_its_call() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, '{"a"', name="one", id="x1")]),
            chunk(tool_calls=[call(0, ":", id="x2")]),
            chunk(tool_calls=[call(None, '"b', id="x3")]),
            chunk(tool_calls=[call(0, '"}', name="", id="x4")]),
            CALLS,
        )
    )
    assert [(b.start["name"], b.content) for b in read.blocks] == [("one", '{"a":"b"}')]


def test_a_new_id_and_the_name_again_in_each_fragment_are_one_call() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, '{"a"', name="one", id="x1")]),
            chunk(tool_calls=[call(0, ":1}", name="one", id="x2")]),
            chunk(tool_calls=[call(0, '{"a":2}', name="one", id="x3")]),
            CALLS,
        )
    )
    assert blocks(read) == [("tool_use", '{"a":1}'), ("tool_use", '{"a":2}')]


@pytest.mark.parametrize("ids", [(None, None), ("x", "y")])
@pytest.mark.parametrize("index", [None, 0])
def test_calls_in_one_chunk_are_told_apart_by_their_place(
    ids: tuple[str | None, str | None], index: int | None
) -> None:
    if index == 0:
        named = [call(0, '{"a":1}', name="f", id=ids[0]), call(0, '{"b":2}', name="f", id=ids[1])]
        read = read_stream(run_chunks(chunk(tool_calls=named), CALLS))
    else:
        read = read_stream(
            run_chunks(
                chunk(
                    tool_calls=[
                        call(None, "", name="f", id=ids[0]),
                        call(None, '{"b"', name="f", id=ids[1]),
                    ]
                ),
                chunk(tool_calls=[call(None, '{"a":', id=ids[0]), call(None, ":2}", id=ids[1])]),
                chunk(tool_calls=[call(None, "1}", id=ids[0]), call(None, "\n", id=ids[1])]),
                CALLS,
            )
        )
    assert [(b.start["name"], b.content) for b in read.blocks] == [
        ("f", '{"a":1}'),
        ("f", '{"b":2}'),
    ]


def test_two_whole_calls_without_id_and_number_in_two_chunks_are_two() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(None, '{"p":"/a"}', name="Read")]),
            chunk(tool_calls=[call(None, '{"p":"/b"}', name="Read")]),
            chunk(tool_calls=[call(None, "", name="Stop")]),
            CALLS,
        )
    )
    assert [(b.start["name"], b.content) for b in read.blocks] == [
        ("Read", '{"p":"/a"}'),
        ("Read", '{"p":"/b"}'),
        ("Stop", ""),
    ]


def test_arguments_as_an_object_are_written_as_text() -> None:
    entry = {"index": 0, "id": "c", "function": {"name": "f", "arguments": {"p": "/a", "n": [1.5]}}}
    read = read_stream(run_chunks(chunk(tool_calls=[entry]), CALLS))
    assert blocks(read) == [("tool_use", '{"p":"/a","n":[1.5]}')]


def test_fragments_beside_a_waiting_call_cost_the_same_each() -> None:
    """Counted, not timed: how many characters are looked at."""
    looked_at = 0

    class Counting(ArgumentsEnd):
        def feed(self, fragment: str) -> int:
            nonlocal looked_at
            looked_at += len(fragment)
            return super().feed(fragment)

    stream = make_stream()
    stream.feed(chunk(tool_calls=[call(0, '{"a":"', name="one", id="x")]))
    stream.feed(chunk(tool_calls=[call(1, '{"b":2}', name="two", id="y")]))
    stream._calls._by_index[0].block._end = Counting()
    fragment = chunk(tool_calls=[call(0, "x")])
    for _ in range(2000):
        stream.feed(fragment)
    assert looked_at == 2000


def test_calls_that_share_an_index_but_not_an_id_are_different_calls() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, '{"a":1}', name="one", id="x")]),
            chunk(tool_calls=[call(0, '{"b":2}', name="two", id="y")]),
            CALLS,
        )
    )
    assert [(b.start["name"], b.content) for b in read.blocks] == [
        ("one", '{"a":1}'),
        ("two", '{"b":2}'),
    ]


def test_an_id_repeated_in_every_chunk_is_one_call() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(0, '{"a"', name="one", id="x")]),
            chunk(tool_calls=[call(0, ":1}", name="one", id="x")]),
            CALLS,
        )
    )
    assert blocks(read) == [("tool_use", '{"a":1}')]


def test_a_call_without_id_index_or_early_name_still_arrives() -> None:
    read = read_stream(
        run_chunks(
            chunk(tool_calls=[call(None, '{"a"')]),
            chunk(tool_calls=[call(None, ":1", name="late")]),
            chunk(tool_calls=[call(None, "}")]),
            CALLS,
        )
    )
    assert [(b.start["name"], b.content) for b in read.blocks] == [("late", '{"a":1}')]


def test_a_call_that_never_gets_a_name_is_shown_and_not_dropped() -> None:
    read = read_stream(run_chunks(chunk(tool_calls=[call(0, '{"a":1}')]), CALLS))
    assert blocks(read) == [("tool_use", '{"a":1}')]


def test_a_call_with_neither_name_nor_arguments_is_no_call() -> None:
    read = read_stream(run_chunks(chunk(tool_calls=[call(0, id="x")]), CALLS))
    assert blocks(read) == [("text", "")]
    assert read.stop_reason == "end_turn"


def test_tool_ids_are_stable_for_one_message_and_differ_between_messages() -> None:
    def tool_id(message_id: str) -> str:
        data = run_chunks(
            chunk(tool_calls=[call(0, "{}", name="f", id="call_0")]), CALLS, message_id=message_id
        )
        return str(read_stream(data).blocks[0].start["id"])

    assert tool_id("msg_1") == tool_id("msg_1")
    assert tool_id("msg_1") != tool_id("msg_2")


def test_undeclared_tool_names_pass_through() -> None:
    read = read_stream(
        run_chunks(chunk(tool_calls=[call(0, "{}", name="no.such/tool", id="x")]), CALLS)
    )
    assert read.blocks[0].start["name"] == "no.such/tool"


def test_white_space_between_thinking_and_a_call_makes_no_block() -> None:
    read = read_stream(
        run_chunks(
            chunk(reasoning="r"),
            chunk(content="\n\n"),
            chunk(tool_calls=[call(0, "{}", name="f", id="x")]),
            chunk(content="\n"),
            CALLS,
        )
    )
    assert blocks(read) == [("thinking", "r"), ("tool_use", "{}")]


@pytest.mark.parametrize("arguments", ['{"a":', "[1]", '"text"', "42", '{"a":1]}', "{'a':1}"])
def test_malformed_arguments_survive_in_a_whole_message(arguments: str) -> None:
    stream = make_stream()
    read = read_stream(
        run_chunks(chunk(tool_calls=[call(0, arguments, name="f", id="x")]), CALLS, stream=stream)
    )
    assert blocks(read) == [("tool_use", arguments)]
    assert stream.message()["content"][0]["input"] == {MALFORMED_ARGUMENTS: arguments}


@pytest.mark.parametrize("arguments", [None, "", "  "])
def test_no_arguments_are_an_empty_input(arguments: str | None) -> None:
    stream = make_stream()
    run_chunks(chunk(tool_calls=[call(0, arguments, name="f", id="x")]), CALLS, stream=stream)
    assert stream.message()["content"][0]["input"] == {}


def test_a_refusal_beside_a_whole_call_does_not_stop_the_call() -> None:
    stream = make_stream()
    run_chunks(
        chunk(refusal="I would rather not, but"),
        chunk(tool_calls=[call(0, name="look", id="a", arguments="{}")]),
        CALLS,
        stream=stream,
    )
    assert stream.stop_reason == "tool_use"
    alone = make_stream()
    run_chunks(chunk(refusal="no"), STOP, stream=alone)
    assert alone.stop_reason == "refusal"
