"""What happens near the end of the window."""

from __future__ import annotations

import re
from typing import Any

import pytest

from autosre_lab.scripted.chat_engine import HttpError, Turn
from tests.proxy.conftest import StartLab, ask

pytestmark = pytest.mark.anyio

CLAUDE_CODE_PATTERN = re.compile(r"prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", re.I)
"""Claude Code 2.1.197's own; see it there under "prompt is too long"."""


def counts(upstream_requests: Any) -> int:
    # Probing counts too; only what asks with the question's own words is a check of the window.
    return sum(
        one.path == "/tokenize" and str(one.body["messages"][-1]["content"]).startswith("word")
        for one in upstream_requests
    )


async def test_a_prompt_that_surely_fits_is_not_counted(start_lab: StartLab) -> None:
    lab = await start_lab(max_model_len=100_000)
    status, _, _ = await lab.post(ask("word " * 1000, max_tokens=32_000))
    assert status == 200
    assert counts(lab.upstream.requests) == 0
    assert lab.upstream.chats[0].body["max_completion_tokens"] == 32_000


async def test_overflow_is_told_in_the_words_that_make_claude_code_compact(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(max_model_len=4096)
    status, body, _ = await lab.post(ask("word " * 5000, max_tokens=500))
    assert (status, body["type"]) == (400, "error")
    assert body["error"]["type"] == "invalid_request_error"
    found = CLAUDE_CODE_PATTERN.search(body["error"]["message"])
    assert found is not None
    _, counted, _ = await lab.post(
        {"model": "m", "messages": ask("word " * 5000)["messages"]}, "/v1/messages/count_tokens"
    )
    assert [int(number) for number in found.groups()] == [counted["input_tokens"], 4096]
    assert lab.upstream.chats == []


async def test_a_window_with_no_room_left_for_an_answer_overflows_too(start_lab: StartLab) -> None:
    lab = await start_lab(max_model_len=8192)
    # 8,192 - 512 is what a prompt may have; this one has a little more and would get 200 tokens.
    status, body, _ = await lab.post(ask("word" * 7950, max_tokens=4096))
    found = CLAUDE_CODE_PATTERN.search(body["error"]["message"])
    assert status == 400
    assert found is not None
    prompt, maximum = (int(number) for number in found.groups())
    assert maximum == 8192 - 512 < prompt < 8192


async def test_max_tokens_is_fitted_and_the_end_of_the_window_is_named(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(Turn(text="cut off", finish_reason="length"), max_model_len=8192)
    status, body, _ = await lab.post(ask("word" * 4000, max_tokens=32_000))
    assert status == 200
    sent = lab.upstream.chats[0].body["max_completion_tokens"]
    assert 512 <= sent < 8192 - 4000
    assert body["stop_reason"] == "model_context_window_exceeded"
    _, short, _ = await lab.post(ask(max_tokens=50))
    assert short["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(
    "wording",
    [
        # 0.24.0
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input"
        " tokens. Please reduce the length of the input messages.",
        # 0.32.0
        "This model's maximum context length is 4096 tokens. However, your prompt contains at least"
        " 4097 input tokens, which exceeds this limit even without any output tokens.",
        # 0.16
        "You passed 4097 input tokens and requested 100 output tokens. However, the model's context"
        " length is only 4096 tokens",
    ],
)
async def test_the_engines_own_overflow_is_counted_and_reworded(
    start_lab: StartLab, wording: str
) -> None:
    refusal = HttpError(status=400, body=f'{{"error":{{"message":"{wording}","code":400}}}}')
    lab = await start_lab(Turn(http_error=refusal), max_model_len=100_000)
    assert (await lab.post(ask()))[1]["error"]["message"] == wording  # it fits: not an overflow
    lab.upstream.max_model_len = 4096  # the engine came back smaller than we knew it
    status, body, _ = await lab.post(ask("word " * 9000))
    assert status == 400
    assert CLAUDE_CODE_PATTERN.search(body["error"]["message"])


async def test_a_conversation_that_goes_on_is_counted_once_at_the_most(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(max_model_len=20_000)
    messages = [{"role": "user", "content": "word" * 15_000}]
    body = ask(max_tokens=600)
    for turn in range(4):
        status, _, _ = await lab.post(
            {**body, "messages": messages}, x_claude_code_session_id="session-1"
        )
        assert status == 200
        answer = {"role": "assistant", "content": f"answer {turn}"}
        messages = [*messages, answer, {"role": "user", "content": f"word {turn}"}]
    # 60,000 bytes could be more than 20,000 tokens; after the first turn it is known that they
    # are not, and what came since is short.
    assert counts(lab.upstream.requests) == 1


async def test_a_prompt_that_the_template_refuses_is_a_bad_request(start_lab: StartLab) -> None:
    refusal = '{"error":{"message":"Conversation roles must alternate","code":400}}'
    lab = await start_lab(Turn(http_error=HttpError(status=400, body=refusal)))
    status, body, _ = await lab.post(ask())
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert body["error"]["message"] == "Conversation roles must alternate"
