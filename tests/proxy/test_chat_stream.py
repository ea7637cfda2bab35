from __future__ import annotations

import json

import pytest

from autosre_lab.proxy.chat_stream import ChunkDecoder, UpstreamStreamError, decode_chunk


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
        (b'{"object":"error","message":"full","type":"T","code":503}', 503, "T", "full"),
        (b'{"error":{"message":"m","code":400.0,"type":3}}', 400, "", "m"),
        (b'{"error":{"error":{"message":"m","code":429}}}', 429, "", "m"),
        (b'{"error":{"message":"m","status":"UNAVAILABLE","code":503}}', 503, "", "m"),
        (b'[{"error":{"message":"m","code":400}}]', 400, "", "m"),
        (
            b'{"message":"full","type":"InternalServerError","code":500}',
            500,
            "InternalServerError",
            "full",
        ),
        (b'{"code":"529","message":"busy"}', 529, "", "busy"),
        (b'{"detail":[{"loc":["body","n"],"msg":"too many"}]}', 502, "", "body.n: too many"),
        (b'{"errors":[{"message":"a"},{"message":"b"}]}', 502, "", "a; b"),
        (b'{"choices":null,"error":{"message":"m","code":507}}', 507, "", "m"),
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
    "data", [b"", b"{", b"7", b"<html>", b"\xff", b'{"choices":7}', b'{"choices":[{"delta":3}]}']
)
def test_what_is_no_chunk_is_an_error_of_the_engine(data: bytes) -> None:
    with pytest.raises(UpstreamStreamError, match="no chunk") as caught:
        decode_chunk(data)
    assert caught.value.status == 502


def _line(**delta: object) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([_line(content="ok \ud83d"), _line(content="\ude00 end")], "ok 😀 end"),
        ([_line(content="ok \ud83d"), _line(content="plain")], "ok \ufffdplain"),
        ([_line(content="\ude00 end")], "\ufffd end"),
        ([_line(content="a\ud83d"), _line(reasoning="r"), _line(content="\ude00")], "a😀"),
        (
            [
                b'{"choices":[{"delta":{"content":"a\xf0\x9f"}}]}',
                b'{"choices":[{"delta":{"content":"\x98\x80b"}}]}',
            ],
            "a😀b",
        ),
        ([b'{"choices":[{"delta":{"content":"a\xc3"}}]}', _line(content="b")], "a\ufffdb"),
        ([_line(content="\ud83d"), _line(content="\udc80")], "💀"),
        (
            [_line(content="x\ud83d"), b'{"choices":[{"delta":{},"finish_reason":"stop"}]}'],
            "x\ufffd",
        ),
        ([_line(content=[{"type": "text", "text": "par"}, {"text": "ts"}])], "parts"),
    ],
)
def test_characters_cut_between_chunks_are_mended(lines: list[bytes], expected: str) -> None:
    decoder = ChunkDecoder()
    text = ""
    for line in lines:
        chunk = decoder.decode(line)
        assert chunk is not None
        for choice in chunk.choices or ():
            assert choice.delta is not None
            text += choice.delta.content or ""
    assert text == expected
    text.encode()


def test_arguments_and_names_are_mended_as_text_is() -> None:
    decoder = ChunkDecoder()
    calls = []
    for arguments in ('{"a":"\ud83d', '\ude00"}'):
        function = {"name": "f\ud83d", "arguments": arguments}
        chunk = decoder.decode(
            _line(tool_calls=[{"index": 0, "id": "\ud83d", "function": function}])
        )
        assert chunk is not None
        assert chunk.choices
        delta = chunk.choices[0].delta
        assert delta is not None
        assert delta.tool_calls
        calls += delta.tool_calls
    assert "".join(c.function.arguments or "" for c in calls if c.function) == '{"a":"😀"}'
    assert {(c.id, c.function and c.function.name) for c in calls} == {("\ufffd", "f\ufffd")}


def test_arguments_as_an_object_keep_their_numbers_spelling() -> None:
    chunk = decode_chunk(
        b'{"choices":[{"delta":{"tool_calls":[{"index":"0","id":7,"function":{"name":"f",'
        b'"arguments":{"z":1.50,"a":123456789012345678901234567890,"\\ud83d":null}}}]}}]}'
    )
    assert chunk is not None
    assert chunk.choices
    assert chunk.choices[0].delta is not None
    assert chunk.choices[0].delta.tool_calls
    (call,) = chunk.choices[0].delta.tool_calls
    assert (call.index, call.id) == (0, "7")
    assert call.function is not None
    assert call.function.arguments == (
        '{"z":1.50,"a":123456789012345678901234567890,"\ufffd":null}'
    )


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"type":"ping"}',
        b'{"status":"loading","message":"prompt 30 %"}',
        b'{"choices":[],"usage":{"prompt_tokens":3},"message":"m","code":500}',
    ],
)
def test_a_sign_of_life_is_no_error(data: bytes) -> None:
    chunk = decode_chunk(data)
    assert chunk is not None
    assert not chunk.choices


@pytest.mark.parametrize("error", ["{}", '""', "false", "[]", "0", "null"])
def test_an_error_that_is_none_costs_no_piece_of_an_answer(error: str) -> None:
    chunk = decode_chunk(b'{"choices":[{"delta":{"content":"a"}}],"error":%b}' % error.encode())
    assert chunk is not None
    assert chunk.choices
    assert chunk.choices[0].delta is not None
    assert chunk.choices[0].delta.content == "a"
