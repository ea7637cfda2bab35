"""Anthropic's server-sent events as bytes.

Events are glued together from fixed bytes and JSON-encoded strings: building a dict per event and
encoding it costs several times as much, and this runs once per generated token.
"""

from __future__ import annotations

import msgspec

from autosre_lab.proxy.blocks import BlockKind

__all__ = [
    "DELTA_END",
    "PING",
    "Usage",
    "block_start",
    "block_stop",
    "citation_delta",
    "content_start",
    "delta_head",
    "encode",
    "error_event",
    "message_delta",
    "message_start",
    "message_stop",
    "signature_delta",
]

encode = msgspec.json.Encoder().encode


class Usage(msgspec.Struct, frozen=True):
    """Token counts as Anthropic tells them.

    `input_tokens` excludes what the prefix cache held and what it keeps from now on. The number of
    web searches is told where there may be any.
    """

    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int = 0
    web_searches: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    def as_message_content(self) -> dict[str, object]:
        """Return the counts as they stand in a Message."""
        counts: dict[str, object] = {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.cache_creation_input_tokens,
            "cache_read_input_tokens": self.cache_read_input_tokens,
            "output_tokens": self.output_tokens,
        }
        if self.web_searches is not None:
            counts["server_tool_use"] = {
                "web_search_requests": self.web_searches,
                "web_fetch_requests": 0,
            }
        return counts


PING = b'event: ping\ndata: {"type":"ping"}\n\n'
DELTA_END = b"}}\n\n"

_DELTA_FIELDS: dict[BlockKind, bytes] = {
    "text": b',"delta":{"type":"text_delta","text":',
    "thinking": b',"delta":{"type":"thinking_delta","thinking":',
    "call": b',"delta":{"type":"input_json_delta","partial_json":',
}


def delta_head(kind: BlockKind, index: int) -> bytes:
    """Return what stands before the JSON string of a delta; `DELTA_END` stands after it."""
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d' % index
        + _DELTA_FIELDS[kind]
    )


def message_start(message_id: str, model: str, usage: Usage) -> bytes:
    """Return the event that opens a message."""
    return (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":%b,"type":"message",'
        b'"role":"assistant","model":%b,"content":[],"stop_reason":null,"stop_sequence":null,'
        b'"usage":%b}}\n\n'
        % (encode(message_id), encode(model), encode(usage.as_message_content()))
    )


def block_start(
    kind: BlockKind, index: int, *, tool_id: str | None = None, tool_name: str | None = None
) -> bytes:
    """Return the event that opens a content block. The id and name are a tool call's."""
    if kind == "text":
        block = b'{"type":"text","text":""}'
    elif kind == "thinking":
        block = b'{"type":"thinking","thinking":"","signature":""}'
    else:
        block = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (
            encode(tool_id),
            encode(tool_name),
        )
    return (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
        b'"content_block":%b}\n\n' % (index, block)
    )


def content_start(index: int, block: object) -> bytes:
    """Return the event that opens a content block of any type."""
    return (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
        b'"content_block":%b}\n\n' % (index, encode(block))
    )


def citation_delta(index: int, citation: object) -> bytes:
    """Return the event that adds a citation to a text."""
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":{"type":"citations_delta","citation":%b}}\n\n' % (index, encode(citation))
    )


def signature_delta(index: int, signature: str) -> bytes:
    """Return the event that signs a thinking block."""
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":{"type":"signature_delta","signature":%b}}\n\n' % (index, encode(signature))
    )


def block_stop(index: int) -> bytes:
    """Return the event that closes a content block."""
    return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index


def message_delta(stop_reason: str, stop_sequence: str | None, usage: Usage) -> bytes:
    """Return the event with the stop reason and the final token counts."""
    return (
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":%b,'
        b'"stop_sequence":%b},"usage":%b}\n\n'
        % (encode(stop_reason), encode(stop_sequence), encode(usage.as_message_content()))
    )


def message_stop() -> bytes:
    """Return the event that ends a message."""
    return b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def error_event(kind: str, message: str) -> bytes:
    """Return an error event; `kind` is one of Anthropic's error types."""
    return b'event: error\ndata: {"type":"error","error":{"type":%b,"message":%b}}\n\n' % (
        encode(kind),
        encode(message),
    )
