"""A prompt that begins like a counted one is bounded by it, whoever asks."""

from __future__ import annotations

from typing import Any

from autosre_lab.proxy.counting import MAX_KNOWN, EncodedPrompt, KnownPrompts, encode_prompt


def prompt(*texts: str, tools: list[Any] | None = None) -> EncodedPrompt:
    messages = [{"role": "user", "content": text} for text in texts]
    return encode_prompt({"messages": messages, **({"tools": tools} if tools else {})})


LONG = "word " * 2000


def test_a_conversation_that_goes_on_is_bounded_by_its_last_count() -> None:
    known = KnownPrompts()
    first, second = prompt(LONG), prompt(LONG, "and now?")
    assert known.bound(second) == second.bound > 10_000
    known.learn(first, 2000)
    assert 2000 < known.bound(second) < 2000 + 1000
    assert 2000 <= known.bound(first) < 2000 + 1000  # sent again


def test_the_longest_beginning_counts() -> None:
    known = KnownPrompts()
    known.learn(prompt(LONG), 2000)
    known.learn(prompt(LONG, LONG), 4000)
    assert 4000 < known.bound(prompt(LONG, LONG, "x")) < 5000
    assert 2000 < known.bound(prompt(LONG, "y")) < 3000


def test_another_beginning_or_other_tools_are_not_bounded() -> None:
    known = KnownPrompts()
    known.learn(prompt(LONG, tools=[{"a": 1}]), 2000)
    for other in (prompt(LONG, "x"), prompt("z" + LONG, "x"), prompt(LONG, tools=[{"a": 2}])):
        assert known.bound(other) == other.bound


def test_conversations_side_by_side_do_not_forget_each_other() -> None:
    known = KnownPrompts()
    for number in range(MAX_KNOWN):
        known.learn(prompt(f"{number} {LONG}"), 2000 + number)
    for number in range(MAX_KNOWN):
        grown = prompt(f"{number} {LONG}", "more")
        assert 2000 + number < known.bound(grown) < 3000 + number


def test_what_is_remembered_is_bounded() -> None:
    known = KnownPrompts()
    for number in range(3 * MAX_KNOWN):
        known.learn(prompt("x" * number), 5)
    assert len(known._tokens) == MAX_KNOWN
    assert sum(known._sizes.values()) == MAX_KNOWN
    assert known.bound(prompt("x" * 10, LONG)) > 10_000  # forgotten
