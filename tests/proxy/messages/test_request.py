from __future__ import annotations

import json

import pytest

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import BadRequestError, decode_request
from tests.proxy.requests_in import (
    ENGINE,
)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid"),
        (b"[]", "not valid"),
        (b"\xff", "not valid"),
        (b'{"model":"m","max_tokens":1}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages"),
        (b'{"model":"","max_tokens":1,"messages":[{"role":"user"}]}', "model"),
        (b'{"model":"m","messages":[{"role":"user"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":-1,"messages":[{"role":"user"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"tool"}]}', "messages[0].role"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":5}]}', "content"),
        (b'{"model":"m","max_tokens":"1","messages":[{"role":"user"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1,"tools":[{}],"messages":[{"role":"user"}]}', "tools[0]"),
        (b'{"model":"m","max_tokens":1,"messages":' + b"[" * 5000, "not valid"),
    ],
)
def test_what_is_no_request_is_refused_with_the_place(body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_request(body)
    assert words in caught.value.message


def test_half_a_surrogate_pair_does_not_end_the_session() -> None:
    def body(escape: bytes) -> bytes:
        return (
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a' + escape + b'"},'
            b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":'
            b'{"k":"' + escape + b'"}}]},{"role":"user","content":[{"type":"tool_result",'
            b'"tool_use_id":"t","content":[{"type":"text","text":"' + escape + b'"}]}]}]}'
        )

    for escape, shown in (
        (b"\\ud83d", "\ufffd"),
        (b"\\ude00", "\ufffd"),
        (b"\\ud83d\\ude00", "😀"),
        (b"\\\\ud83d", "\\ud83d"),
        (b"\\ud83dx", "\ufffdx"),
    ):
        chat = to_chat_request(decode_request(body(escape)), ENGINE, max_tokens=1)
        first, call, result = chat["messages"]
        assert first["content"] == "a" + shown
        assert result["content"] == shown
        arguments = call["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == {"k": shown}
