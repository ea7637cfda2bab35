"""A strict reading of Anthropic's event stream: what is legal, and the message it makes.

Stricter than any client: exact keys, one open block, indices without gaps, deltas that fit their
block, a signature for each thinking block and at its end, nothing behind `message_stop`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

__all__ = ["IllegalStreamError", "ReadBlock", "ReadStream", "events_of", "read_stream"]

STOP_REASONS = {
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "refusal",
    "model_context_window_exceeded",
}
_START_KEYS = {
    "text": {"type", "text"},
    "thinking": {"type", "thinking", "signature"},
    "tool_use": {"type", "id", "name", "input"},
}
_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("tool_use", "partial_json"),
}


class IllegalStreamError(AssertionError):
    """The stream breaks the grammar."""


@dataclass
class ReadBlock:
    """One block as a client would have put it together."""

    start: dict[str, Any]
    content: str = ""
    signature: str | None = None

    @property
    def type(self) -> str:
        return str(self.start["type"])


@dataclass
class ReadStream:
    """One whole stream."""

    message: dict[str, Any] = field(default_factory=dict)
    blocks: list[ReadBlock] = field(default_factory=list)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    pings: int = 0
    empty_deltas: int = 0

    def joined(self, kind: str) -> str:
        return "".join(block.content for block in self.blocks if block.type == kind)


def events_of(data: bytes) -> list[dict[str, Any]]:
    """Split bytes into events; the event's name must be the data's type."""
    _require(data.endswith(b"\n\n") or not data, "the last event is not terminated")
    events = []
    for piece in data.decode("utf-8").split("\n\n")[:-1]:
        lines = piece.split("\n")
        _require(len(lines) == 2, f"an event has two lines: {piece!r}")
        _require(lines[0].startswith("event: ") and lines[1].startswith("data: "), piece)
        event = json.loads(lines[1][6:])
        _require(event["type"] == lines[0][7:], f"name and type differ: {piece!r}")
        events.append(event)
    return events


def read_stream(data: bytes) -> ReadStream:
    """Check a whole stream and put its message together."""
    stream = ReadStream()
    is_open = ended = False
    for event in events_of(data):
        _require(not ended, f"something follows message_stop: {event}")
        kind = event["type"]
        if kind == "ping":
            _keys(event, {"type"})
            stream.pings += 1
            continue
        _require(bool(stream.message) != (kind == "message_start"), f"out of place: {event}")
        if kind == "message_start":
            _message_start(stream, event)
        elif kind == "content_block_start":
            _require(not is_open and stream.stop_reason is None, f"a block is open: {event}")
            _block_start(stream, event)
            is_open = True
        elif kind == "content_block_delta":
            _require(is_open, f"no block is open: {event}")
            _delta(stream, event)
        elif kind == "content_block_stop":
            _keys(event, {"type", "index"})
            _require(is_open, f"no block is open: {event}")
            _require(event["index"] == len(stream.blocks) - 1, f"wrong index: {event}")
            block = stream.blocks[-1]
            _require(block.type != "thinking" or bool(block.signature), "thinking is unsigned")
            is_open = False
        elif kind == "message_delta":
            _require(not is_open and stream.stop_reason is None, f"out of place: {event}")
            _message_delta(stream, event)
        elif kind == "message_stop":
            _keys(event, {"type"})
            _require(stream.stop_reason is not None, "message_stop before message_delta")
            ended = True
        else:
            raise IllegalStreamError(f"unknown event: {event}")
    _require(ended, "the stream does not end with message_stop")
    _require(bool(stream.blocks), "a message has at least one block")
    return stream


def _message_start(stream: ReadStream, event: dict[str, Any]) -> None:
    _keys(event, {"type", "message"})
    message = event["message"]
    _keys(
        message,
        {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"},
    )
    _require(message["type"] == "message" and message["role"] == "assistant", str(message))
    _require(message["content"] == [] and message["stop_reason"] is None, str(message))
    _usage(message["usage"])
    stream.message = message


def _block_start(stream: ReadStream, event: dict[str, Any]) -> None:
    _keys(event, {"type", "index", "content_block"})
    _require(event["index"] == len(stream.blocks), f"indices have no gaps: {event}")
    start = event["content_block"]
    _keys(start, _START_KEYS[start["type"]])
    if start["type"] == "tool_use":
        _require(start["id"].startswith("toolu_") and bool(start["name"]), str(start))
        _require(start["input"] == {}, str(start))
        seen = {block.start.get("id") for block in stream.blocks}
        _require(start["id"] not in seen, f"tool ids are unique: {start}")
    stream.blocks.append(ReadBlock(start))


def _delta(stream: ReadStream, event: dict[str, Any]) -> None:
    _keys(event, {"type", "index", "delta"})
    _require(event["index"] == len(stream.blocks) - 1, f"wrong index: {event}")
    block, delta = stream.blocks[-1], event["delta"]
    _require(block.signature is None, f"something follows the signature: {event}")
    if delta["type"] == "signature_delta":
        _keys(delta, {"type", "signature"})
        _require(block.type == "thinking" and bool(delta["signature"]), str(event))
        block.signature = delta["signature"]
        return
    block_type, name = _DELTAS[delta["type"]]
    _keys(delta, {"type", name})
    _require(block.type == block_type, f"the delta does not fit its block: {event}")
    if not delta[name]:
        stream.empty_deltas += 1
    block.content += delta[name]


def _message_delta(stream: ReadStream, event: dict[str, Any]) -> None:
    _keys(event, {"type", "delta", "usage"})
    _keys(event["delta"], {"stop_reason", "stop_sequence"})
    _require(event["delta"]["stop_reason"] in STOP_REASONS, str(event))
    _usage(event["usage"])
    stream.stop_reason = event["delta"]["stop_reason"]
    stream.stop_sequence = event["delta"]["stop_sequence"]
    stream.usage = event["usage"]
    has_call = any(block.type == "tool_use" for block in stream.blocks)
    _require(stream.stop_reason != "tool_use" or has_call, "tool_use without a tool_use block")
    _require((stream.stop_reason == "stop_sequence") == (stream.stop_sequence is not None), "stop")


def _usage(usage: dict[str, Any]) -> None:
    names = {"input_tokens", "output_tokens"}
    _keys(usage, names | {"cache_creation_input_tokens", "cache_read_input_tokens"})
    _require(all(isinstance(n, int) and n >= 0 for n in usage.values()), str(usage))


def _keys(value: dict[str, Any], expected: set[str]) -> None:
    _require(set(value) == expected, f"expected the keys {sorted(expected)}: {value}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise IllegalStreamError(message)
