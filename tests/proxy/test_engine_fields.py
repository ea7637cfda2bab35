"""The template's own switch for thinking, set by the client: it says where the answer begins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autosre_lab.proxy.messages.request import decode_request as decode_messages
from autosre_lab.proxy.messages.thinking import begins_inside as messages_inside
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.responses.chat_request import begins_inside as responses_inside
from autosre_lab.proxy.responses.request import decode_request as decode_responses

ENGINE = EngineProfile(
    model="m", max_model_len=8192, thinking_switch="enable_thinking", opens_thinking="on"
)


@pytest.mark.parametrize(
    ("kwargs", "in_messages", "in_responses"),
    [
        ({}, False, True),  # silence means no to Anthropic, and leaves it to the model with OpenAI
        ({"enable_thinking": False}, False, False),
        ({"enable_thinking": True}, True, True),
        ({"other": False}, False, True),
        ({"enable_thinking": "no"}, False, True),
    ],
)
def test_the_clients_switch_says_whether_the_answer_begins_in_thoughts(
    kwargs: dict[str, Any], in_messages: bool, in_responses: bool
) -> None:
    more = {"model": "m", "chat_template_kwargs": kwargs}
    hi = [{"role": "user", "content": "Hi"}]
    messages = decode_messages(json.dumps({"messages": hi, "max_tokens": 9, **more}).encode())
    assert messages_inside(messages, ENGINE) is in_messages
    responses = decode_responses(json.dumps({"input": "Hi", **more}).encode())
    assert responses_inside(responses, ENGINE) is in_responses
