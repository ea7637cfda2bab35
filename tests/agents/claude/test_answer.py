from __future__ import annotations

import json

import pytest

from autosre_lab.agents.claude.answer import read_answer
from autosre_lab.errors import ClaudeCodeError

RESULT = {
    "type": "result",
    "is_error": False,
    "duration_ms": 1250,
    "ttft_ms": 310,
    "result": "Paris.",
    "usage": {
        "input_tokens": 100,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 900,
        "output_tokens": 3,
    },
}


def test_time_and_tokens_are_read_from_the_result() -> None:
    answer = read_answer("a warning\n" + json.dumps(RESULT) + "\n", "", 0)

    assert (answer.text, answer.is_error) == ("Paris.", False)
    assert (answer.duration_s, answer.ttft_s) == (1.25, 0.31)
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens) == (1005, 900, 3)


def test_an_error_that_claude_code_reports_is_an_answer_too() -> None:
    answer = read_answer(json.dumps({**RESULT, "is_error": True, "result": "API Error"}), "", 1)

    assert answer.is_error
    assert answer.text == "API Error"


def test_an_end_without_a_result_is_told_with_what_was_written() -> None:
    with pytest.raises(ClaudeCodeError, match=r"exit code 1 .*unknown option") as failure:
        read_answer("", "error: unknown option '--nonsense'\n", 1)

    assert failure.value.exit_code == 1


def test_the_time_to_the_first_token_may_be_unknown() -> None:
    assert read_answer(json.dumps({"type": "result"}), "", 0).ttft_s is None
