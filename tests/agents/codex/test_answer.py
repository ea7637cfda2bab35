"""What `codex exec --json` wrote, as an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.agents.codex.answer import read_answer
from autosre_lab.errors import CodexError


def lines(*events: dict[str, Any]) -> str:
    return "\n".join(json.dumps(event) for event in events)


def said(text: str) -> dict[str, Any]:
    return {"type": "item.completed", "item": {"type": "agent_message", "text": text}}


def test_the_last_message_is_the_answer_and_the_counts_are_the_turns() -> None:
    usage = {"input_tokens": 10, "cached_input_tokens": 8, "output_tokens": 2}
    started = {"type": "thread.started", "thread_id": "t-1"}
    out = lines(
        started, said("I look."), said("Paris."), {"type": "turn.completed", "usage": usage}
    )
    answer = read_answer("noise\n" + out, "", 0)
    assert (answer.text, answer.input_tokens, answer.cached_tokens) == ("Paris.", 10, 8)
    assert (answer.session, answer.is_error) == ("t-1", False)


def test_a_failed_turn_without_a_word_is_an_error_that_says_why() -> None:
    out = lines({"type": "turn.failed", "error": {"message": "ran out of room"}})
    with pytest.raises(CodexError, match="ran out of room") as raised:
        read_answer(out, "", 1)
    assert raised.value.exit_code == 1
    assert raised.value.remedy


def test_nothing_at_all_is_an_error_with_what_was_said_instead() -> None:
    with pytest.raises(CodexError, match="no such file"):
        read_answer("", "no such file", 127)
