from __future__ import annotations

import pytest

from autosre_lab.proxy.chat_stream import UpstreamStreamError, decode_chunk


@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE]\r\n"])
def test_the_end_of_the_stream_is_none(data: bytes) -> None:
    assert decode_chunk(data) is None


def test_fields_that_nobody_reads_are_skipped() -> None:
    chunk = decode_chunk(
        b' {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"a"},'
        b'"logprobs":{"content":[]},"finish_reason":null,"token_ids":null}],'
        b'"usage":{"prompt_tokens":3,"total_tokens":4,"completion_tokens":1,'
        b'"completion_tokens_details":null},"prompt_token_ids":[1,2],"error":null}\n'
    )
    assert chunk is not None
    assert chunk.choices is not None
    assert chunk.choices[0].delta is not None
    assert chunk.choices[0].delta.content == "a"
    assert chunk.usage is not None
    assert chunk.usage.prompt_tokens == 3


@pytest.mark.parametrize(
    ("data", "status", "kind", "words"),
    [
        (
            b'{"error":{"message":"out of memory","type":"InternalServerError","param":null,'
            b'"code":500}}',
            500,
            "InternalServerError",
            "out of memory",
        ),
        (b'{"error":{"message":"m","type":"t","code":"429"}}', 429, "t", "m"),
        (b'{"error":{"message":"m","code":"context_length_exceeded"}}', 502, "", "m"),
        (b'{"error":{}}', 502, "", "without a message"),
        (b'{"error":"plain words"}', 502, "", "plain words"),
        (b'{"error":["odd"]}', 502, "", "odd"),
    ],
)
def test_an_error_chunk_is_raised_with_what_the_engine_said(
    data: bytes, status: int, kind: str, words: str
) -> None:
    with pytest.raises(UpstreamStreamError) as caught:
        decode_chunk(data)
    error = caught.value
    assert (error.status, error.kind) == (status, kind)
    assert words in error.message
    assert error.body == data.decode()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"<html>", b"\xff", b'{"choices":7}', b'{"choices":[{"delta":3}]}']
)
def test_what_is_no_chunk_is_an_error_of_the_engine(data: bytes) -> None:
    with pytest.raises(UpstreamStreamError, match="no chunk") as caught:
        decode_chunk(data)
    assert caught.value.status == 502
