from __future__ import annotations

from typing import Any

import pytest

from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS
from autosre_lab.proxy.messages.conversation import _in_order_of_calls
from autosre_lab.proxy.messages.request import ContentBlock
from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.requests_in import (
    CACHED,
    ENGINE,
    PLAIN,
    assistant,
    text,
    tool_result,
    tool_use,
    translate,
    user,
)


def test_a_string_and_a_single_text_block_are_the_same_message() -> None:
    for role in ("user", "system"):
        as_string = translate([{"role": role, "content": "x"}, user(text("y"))])
        as_block = translate([{"role": role, "content": [text("x", **CACHED)]}, user(text("y"))])
        assert as_string == as_block
    assert translate("x", system="s") == translate("x", system=[text("s", **CACHED)])


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("x-anthropic-billing-header: cc_version=1;", None),
        ("x-anthropic-billing-header: cc_version=1;\nYou are", "You are"),
        ([text("x-anthropic-billing-header: a")], None),
        ([text(""), text("s")], "s"),
        ([], None),
        ("", None),
        (None, None),
        ("about x-anthropic-billing-header", "about x-anthropic-billing-header"),
    ],
)
def test_the_billing_header_never_reaches_the_prompt(system: Any, expected: str | None) -> None:
    messages = translate("hi", system=system)["messages"]
    leading = [message["content"] for message in messages if message["role"] == "system"]
    assert leading == ([expected] if expected else [])


def test_a_mid_conversation_system_message_stays_where_it_is() -> None:
    conversation = [user(text("a")), {"role": "system", "content": "s"}, user(text("b"))]
    in_place = translate(conversation, system="top")["messages"]
    assert [m["role"] for m in in_place] == ["system", "user", "system", "user"]
    reminded = translate(conversation, PLAIN, system="top")["messages"]
    assert [m["role"] for m in reminded] == ["system", "user", "user", "user"]
    assert reminded[2]["content"] == "<system-reminder>\ns\n</system-reminder>"


def test_a_reminder_never_separates_a_call_from_its_result() -> None:
    between = [
        user(text("a")),
        assistant(tool_use("t")),
        {"role": "system", "content": "s"},
        user(tool_result("t", "r"), text("b")),
    ]
    # A message of the user's would end the question; thoughts before it would not be printed.
    reminded = "r\n\n<system-reminder>\ns\n</system-reminder>"
    roles = [(m["role"], m["content"]) for m in translate(between, PLAIN)["messages"]]
    assert roles == [("user", "a"), ("assistant", ""), ("tool", reminded), ("user", "b")]
    behind = [*between[:2], user(tool_result("t", "r")), {"role": "system", "content": "s"}]
    roles = [(m["role"], m["content"]) for m in translate(behind, PLAIN)["messages"]]
    assert roles == [("user", "a"), ("assistant", ""), ("tool", reminded)]
    later = [*behind[:3], user(text("b")), behind[3]]
    assert translate(later, PLAIN)["messages"][-1]["role"] == "user"


def test_a_leading_system_message_is_a_system_message_for_every_template() -> None:
    chat = translate([{"role": "system", "content": "s"}, user(text("a"))], PLAIN)
    assert chat["messages"][0] == {"role": "system", "content": "s"}


def test_our_own_keepalive_and_redacted_thinking_leave_no_trace() -> None:
    chat = translate(
        [
            user(text("a")),
            assistant(
                {"type": "thinking", "thinking": "", "signature": "s"},
                {"type": "redacted_thinking", "data": "opaque"},
                text("b"),
            ),
            user(text("c")),
        ]
    )
    assert chat["messages"][1] == {"role": "assistant", "content": "b"}


def test_thinking_in_the_history_becomes_reasoning() -> None:
    thoughts = [{"type": "thinking", "thinking": word, "signature": "s"} for word in ("x", "y")]
    chat = translate([user(text("a")), assistant(*thoughts, text("b")), user(text("c"))])
    assert chat["messages"][1] == {"role": "assistant", "content": "b", "reasoning": "x\n\ny"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "{}"),
        (None, "{}"),
        ("", "{}"),
        ('{"a', '{"' + MALFORMED_ARGUMENTS + '":"{\\"a"}'),
        ('{"a": 1}', '{"a": 1}'),
        ([{"a": 1}], '{"a": 1}'),
        ([1], '{"' + MALFORMED_ARGUMENTS + '":[1]}'),
        (7, '{"' + MALFORMED_ARGUMENTS + '":7}'),
    ],
)
def test_the_engine_always_gets_an_object_as_arguments(given: Any, expected: str) -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": given}
    messages = [user(text("a")), assistant(block), user(tool_result("t", "r"))]
    call = translate(messages)["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == expected


def test_an_assistant_message_without_anything_keeps_its_place() -> None:
    chat = translate([user(text("a")), assistant(), user(text("b"))])
    assert chat["messages"][1] == {"role": "assistant", "content": ""}


def test_consecutive_messages_of_one_role_are_not_merged() -> None:
    chat = translate([user(text("a")), user(text("b")), assistant(text("c")), assistant(text("d"))])
    assert [m["content"] for m in chat["messages"]] == ["a", "b", "c", "d"]


def test_a_reminder_before_what_a_user_says_is_a_message_of_its_own_where_templates_allow() -> None:
    said = user(text("<system-reminder>today</system-reminder>"), text("What is it?"))
    apart = translate([said])["messages"]
    assert [message["content"] for message in apart] == [
        "<system-reminder>today</system-reminder>",
        "What is it?",
    ]
    # A template that takes no system message in the middle may not take two users in a row either.
    joined = translate([said], PLAIN)["messages"]
    assert [message["content"] for message in joined] == [
        "<system-reminder>today</system-reminder>\n\nWhat is it?"
    ]
    alone = translate([user(text("<system-reminder>today</system-reminder>"))])["messages"]
    assert len(alone) == 1


def _tools(chat: dict[str, Any]) -> list[tuple[str, str]]:
    return [(m["tool_call_id"], m["content"]) for m in chat["messages"] if m["role"] == "tool"]


THREE = assistant(tool_use("t1"), tool_use("t2"), tool_use("t3"))
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (
            [user(tool_result("t3", "3"), tool_result("t1", "1"), tool_result("t2", "2"))],
            ["1", "2", "3"],
        ),
        (
            [
                user(
                    tool_result("t2", "2"),
                    text("and"),
                    tool_result("t3", "3"),
                    tool_result("t1", "1"),
                )
            ],
            ["1", "2", "3"],
        ),
        (
            [user(tool_result("t2", "2")), user(tool_result("t3", "3"), tool_result("t1", "1"))],
            ["1", "2", "3"],
        ),
        (
            [
                user(tool_result("t3", "3")),
                {"role": "system", "content": "s"},
                user(tool_result("t1", "1"), text("and"), tool_result("t2", "2")),
            ],
            ["1", "2", "3"],
        ),
        # A missing one keeps its place where a later one came, since templates pair by position.
        (
            [user(tool_result("t3", "3"), tool_result("t1", "1"))],
            ["1", "[no result came back]", "3"],
        ),
        ([user(tool_result("t1", "1"))], ["1"]),
        ([user(text("stop"))], []),
        (
            [user(tool_result("t2", "2"), tool_result("t1", "1"), tool_result("t2", "2 again"))],
            ["1", "2\n\n2 again"],
        ),
        (
            [user(tool_result("t2", "2"), tool_result("t2", "2"), tool_result("t1", "1"))],
            ["1", "2"],
        ),
        (
            [user(tool_result("t9", "9"), tool_result("t2", "2"), tool_result("t1", "1"))],
            ["1", "2", "9"],
        ),
    ],
)
@pytest.mark.parametrize("engine", [ENGINE, PLAIN])
def test_results_reach_the_engine_in_the_order_of_their_calls(
    behind: list[Any], expected: list[str], engine: EngineProfile
) -> None:
    chat = translate([user(text("a")), THREE, *behind], engine)
    results = [content.partition("\n\n<system-reminder>")[0] for _, content in _tools(chat)]
    assert results == expected
    # What else was said stands behind all of them.
    at = [m["role"] for m in chat["messages"]].index("assistant")
    assert [m["role"] for m in chat["messages"][at + 1 :][: len(expected)]] == ["tool"] * len(
        expected
    )


def test_results_of_several_rounds_stay_in_their_rounds() -> None:
    messages = [user(text("a"))]
    for number in range(3):
        first, second = f"r{number}a", f"r{number}b"
        messages += [
            assistant(tool_use(first), tool_use(second)),
            user(tool_result(second, second), tool_result(first, first)),
        ]
    assert [id_ for id_, _ in _tools(translate(messages))] == [
        "r0a",
        "r0b",
        "r1a",
        "r1b",
        "r2a",
        "r2b",
    ]


def test_images_of_results_are_numbered_in_the_order_of_the_calls() -> None:
    chat = translate(
        [
            user(text("a")),
            assistant(tool_use("t1"), tool_use("t2")),
            user(tool_result("t2", [text("two"), IMAGE]), tool_result("t1", [text("one"), IMAGE])),
        ]
    )
    assert [content for _, content in _tools(chat)] == [
        "one\n\n[image 1: shown in the next message]",
        "two\n\n[image 2: shown in the next message]",
    ]
    assert [part["type"] for part in chat["messages"][-1]["content"]] == ["text", "image_url"] * 2


def test_two_calls_with_one_id_get_their_results_in_turn() -> None:
    calls = assistant(tool_use("t"), tool_use("t"))
    chat = translate([user(text("a")), calls, user(tool_result("t", "1"), tool_result("t", "2"))])
    assert _tools(chat) == [("t", "1"), ("t", "2")]


def test_many_calls_are_paired_by_their_ids() -> None:
    class Id(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other: object) -> bool:
            Id.compared += 1
            return super().__eq__(other)

        __hash__ = str.__hash__

    ids = [Id(number) for number in range(1000)]
    results = [ContentBlock(type="tool_result", tool_use_id=str(id_)) for id_ in reversed(ids)]
    pairs = _in_order_of_calls(ids, results)
    assert [(id_, [one.tool_use_id for one in found]) for id_, found in pairs] == [
        (str(id_), [str(id_)]) for id_ in ids
    ]
    # One by one it would be half a million; of 20,000 calls, many seconds.
    assert Id.compared < 10_000
