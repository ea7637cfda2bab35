"""Chunks as vLLM 0.32 writes them, and the way they go through a `MessageStream`."""

from __future__ import annotations

import json
from typing import Any

from autosre_lab.proxy.chat_stream import ChatChunk, decode_chunk
from autosre_lab.proxy.messages.stream import MessageStream
from tests.proxy.event_grammar import ReadStream

__all__ = [
    "CALLS",
    "ROLE",
    "STOP",
    "blocks",
    "call",
    "chunk",
    "make_stream",
    "run_chunks",
    "usage_chunk",
]


def chunk(
    *,
    finish: str | None = None,
    stop: int | str | None = None,
    usage: dict[str, Any] | None = None,
    **delta: Any,
) -> ChatChunk:
    """One chunk with one choice, through the real decoder."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1795432389,
        "model": "served",
        "choices": [
            {
                "index": 0,
                "delta": delta,
                "logprobs": None,
                "finish_reason": finish,
                "stop_reason": stop,
                "token_ids": None,
            }
        ],
        "usage": usage,
    }
    decoded = decode_chunk(json.dumps(body).encode())
    assert decoded is not None
    return decoded


def usage_chunk(prompt: int, completion: int, cached: int | None = None) -> ChatChunk:
    """The trailing chunk, which has counts and no choice."""
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "completion_tokens": completion,
    }
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached, "created_cache_tokens": 0}
    decoded = decode_chunk(json.dumps({"choices": [], "usage": usage}).encode())
    assert decoded is not None
    return decoded


def call(
    index: int | None = 0,
    arguments: str | None = None,
    *,
    name: str | None = None,
    id: str | None = None,
) -> dict[str, Any]:
    """One entry of `tool_calls`, with the fields that are given."""
    function = {"name": name, "arguments": arguments}
    entry: dict[str, Any] = {
        "index": index,
        "id": id,
        "function": {key: value for key, value in function.items() if value is not None},
    }
    return {key: value for key, value in entry.items() if value is not None}


def make_stream(**options: Any) -> MessageStream:
    """A stream with a fixed message id."""
    return MessageStream(**{"message_id": "msg_test", "model": "claude-test"} | options)


def run_chunks(*chunks: ChatChunk, stream: MessageStream | None = None, **options: Any) -> bytes:
    """Feed all chunks and finish."""
    stream = stream or make_stream(**options)
    return b"".join([stream.feed(one) for one in chunks] + [stream.finish()])


ROLE = chunk(role="assistant", content="", usage={"prompt_tokens": 31, "completion_tokens": 0})


STOP = chunk(finish="stop")


CALLS = chunk(finish="tool_calls")


def blocks(stream: ReadStream) -> list[tuple[str, str]]:
    return [(block.type, block.content) for block in stream.blocks]
