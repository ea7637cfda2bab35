"""The gate: what is wrong is caught, what cannot be told is never a pass."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from autosre_lab.bench.target import badge_of, target_of
from autosre_lab.errors import EvaluationError
from autosre_lab.evaluation import gate
from autosre_lab.evaluation.protocol import grammar_faults, leaked
from autosre_lab.recipe import load_recipe
from autosre_lab.stack import Stack
from tests.evaluation.scripted_messages import ApiReply, Script, messages_server, right


def outcome(script: Script, *, cache: bool = True) -> tuple[bool | None, dict[str, bool | None]]:
    with messages_server(script, cache=cache) as target:
        found = gate(target)
    return found.passed, {one.name: one.passed for one in found.checks}


def test_a_good_engine_passes_everything() -> None:
    passed, checks = outcome(right)
    assert passed is True
    assert set(checks.values()) == {True}
    assert len(checks) == 15


def warm(reply: ApiReply) -> Script:
    """Right cold, and as given out of the cache."""

    def script(request: dict[str, Any], again: bool) -> ApiReply:
        return reply if again and "tool_choice" in request else right(request, again)

    return script


@pytest.mark.parametrize(
    "reply",
    [
        {"arguments": '{"city": "Ro'},
        {"arguments": "{}"},
        {"arguments": '{"city": "Ro', "stop": "end_turn"},
        {"text": "<tool_call>", "stop": "end_turn"},
        {"text": "", "stop": "end_turn"},
        {"status": 500},
    ],
)
def test_a_call_that_is_right_cold_and_malformed_out_of_the_cache_fails(reply: ApiReply) -> None:
    passed, checks = outcome(warm(reply))
    assert passed is False
    assert checks["tool calls survive the cache"] is False


def test_a_needle_that_is_lost_out_of_the_cache_fails() -> None:
    def script(request: dict[str, Any], again: bool) -> ApiReply:
        if again and "tool_choice" not in request:
            return {"text": "copper"}
        return right(request, again)

    passed, checks = outcome(script)
    assert passed is False
    assert checks["needles survive the cache"] is False
    assert checks["tool calls survive the cache"] is True


def test_a_model_that_never_finds_the_needle_is_no_fault_of_the_cache() -> None:
    def script(request: dict[str, Any], again: bool) -> ApiReply:
        return right(request, again) if "tool_choice" in request else {"text": "Hello."}

    assert outcome(script)[0] is True


def test_a_model_that_cannot_call_tools_fails_the_protocol_not_the_cache() -> None:
    def script(request: dict[str, Any], again: bool) -> ApiReply:
        return {"text": "I would look it up."}

    passed, checks = outcome(script)
    assert passed is False
    assert checks["forced tool is called"] is False
    assert checks["tool calls survive the cache"] is None


def test_other_words_out_of_the_cache_are_no_corruption() -> None:
    def script(request: dict[str, Any], again: bool) -> ApiReply:
        if again and "tool_choice" in request:
            return {"arguments": '{"city": "Roma"}'}
        return right(request, again)

    assert outcome(script)[0] is True


def test_a_cache_that_is_never_hit_proves_nothing() -> None:
    passed, checks = outcome(right, cache=False)
    assert passed is None
    assert checks["the cache was hit"] is None
    assert checks["tool calls survive the cache"] is None


@pytest.mark.parametrize(
    "mark", ["<tool_call>", "<function=get_weather>", "</think>", "<|im_end|>"]
)
def test_marks_in_the_text_fail(mark: str) -> None:
    def script(request: dict[str, Any], again: bool) -> ApiReply:
        return right(request, again) if "tool_choice" in request else {"text": f"Hello {mark}"}

    assert leaked(f"a {mark} b") == mark or mark.startswith(leaked(f"a {mark} b") or "?")
    assert outcome(script)[1]["no marks in the text"] is False


def test_events_out_of_order_fail() -> None:
    def script(request: dict[str, Any], again: bool) -> ApiReply:
        return {
            **right(request, again),
            "events": lambda events: [events[1], events[0], *events[2:]],
        }

    assert outcome(script)[1]["event order"] is False


@pytest.mark.parametrize(
    ("kinds", "fault"),
    [
        (["message_start", "message_delta", "message_stop"], None),
        (["message_start", ("start", 0), ("stop", 0), "message_delta", "message_stop"], None),
        (["message_start", "ping", "message_delta", "message_stop"], None),
        (["message_delta", "message_stop"], "begins with"),
        (["message_start", "message_stop"], "ends with"),
        (["message_start", ("start", 1), ("stop", 1), "message_delta", "message_stop"], "block 1"),
        (["message_start", ("start", 0), "message_delta", "message_stop"], "never closed"),
        (["message_start", ("delta", 0), "message_delta", "message_stop"], "a delta of block 0"),
        (
            ["message_start", ("start", 0), ("start", 1), "message_delta", "message_stop"],
            "block 1 is opened",
        ),
        (["message_start", ("stop", 0), "message_delta", "message_stop"], "block 0 is closed"),
    ],
)
def test_the_order_of_events_is_read_strictly(kinds: list[Any], fault: str | None) -> None:
    events = [
        {"type": one}
        if isinstance(one, str)
        else {"type": f"content_block_{one[0]}", "index": one[1]}
        for one in kinds
    ]
    faults = grammar_faults(events)
    assert (faults == []) if fault is None else any(fault in one for one in faults)


def test_an_engine_that_does_not_answer_is_no_verdict() -> None:
    with messages_server() as target:
        pass
    with pytest.raises(EvaluationError, match="does not answer"):
        gate(target)


def test_another_api_is_refused() -> None:
    with messages_server() as target, pytest.raises(EvaluationError, match="Messages API"):
        gate(msgspec.structs.replace(target, protocol="chat"))


@pytest.mark.engine
def test_the_real_engine_passes(real_stack: Stack) -> None:
    target = target_of(real_stack, badge=badge_of(load_recipe("smollm2-135m-cpu")))
    found = gate(target)
    assert found.passed, found.reasons
    assert {one.level for one in found.checks} == {"L0", "L1"}
