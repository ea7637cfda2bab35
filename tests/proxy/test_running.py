from __future__ import annotations

import pytest

from autosre_lab.proxy.dialect import Client
from autosre_lab.proxy.messages.sent_again import without_stream
from autosre_lab.proxy.running import resend_key

SESSION = Client(session="session-1")


def key_of(client: Client, body: bytes) -> str | None:
    return resend_key(client, without_stream(body))


@pytest.mark.parametrize(
    "streaming",
    [
        b'{"model":"m","max_tokens":5,"stream":true}',
        b'{"model":"m","stream":true,"max_tokens":5}',
        b'{"stream":true,"model":"m","max_tokens":5}',
        b'{ "stream" : false , "model":"m","max_tokens":5}',
        b'{"model":"m", "stream": true,"max_tokens":5}',
    ],
)
def test_a_second_try_that_leaves_stream_out_has_the_first_ones_key(streaming: bytes) -> None:
    without = b'{"model":"m","max_tokens":5}'

    assert key_of(SESSION, streaming) == key_of(SESSION, without)


def test_a_tool_call_that_streams_does_not_hide_the_second_try() -> None:
    call = b'"messages":[{"input":{"stream":true,"url":"x"}},{"input":{"stream":false}}]'

    first = key_of(SESSION, b"{" + call + b',"stream":true}')

    assert first == key_of(SESSION, b"{" + call + b"}")


def test_what_is_said_about_streams_tells_requests_apart() -> None:
    said = rb'{"text":"use \"stream\":true"}'
    other = rb'{"text":"use \"stream\":false"}'

    assert key_of(SESSION, said) != key_of(SESSION, other)


def test_another_agent_of_the_session_has_another_key() -> None:
    body = b'{"model":"m"}'

    assert key_of(SESSION, body) != key_of(Client(session="session-1", agent="a1"), body)


def test_without_a_session_there_is_no_key() -> None:
    assert key_of(Client(), b"{}") is None
