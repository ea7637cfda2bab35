from __future__ import annotations

from typing import Any

import pytest

from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS
from tests.proxy.requests_in import (
    CACHED,
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
    roles = [(m["role"], m["content"][:6]) for m in translate(between, PLAIN)["messages"]]
    assert roles == [
        ("user", "a"),
        ("assistant", ""),
        ("tool", "r"),
        ("user", "<syste"),
        ("user", "b"),
    ]
    behind = [*between[:2], user(tool_result("t", "r")), {"role": "system", "content": "s"}]
    roles = [(m["role"], m["content"][:6]) for m in translate(behind, PLAIN)["messages"]]
    assert roles == [("user", "a"), ("assistant", ""), ("tool", "r"), ("user", "<syste")]


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
