"""What a scripted engine answers, written down beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CUT", "HttpError", "ToolCall", "Turn", "chunks_of"]

CUT = "CUT"
"""Among a turn's pieces: cut the connection here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call of the model.

    Attributes:
        name: The function's name.
        arguments: JSON text, or whatever else a model may have produced.
        fragments: Number of chunks that the arguments are cut into.
        id: As the engine would give it; made up where not given.
    """

    name: str
    arguments: str = "{}"
    fragments: int = 3
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpError:
    """An answer other than 200."""

    status: int
    body: str = '{"error":{"message":"scripted","type":"ScriptedError","code":0}}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How one chat request is answered.

    Attributes:
        text: The answer's text; cut into words.
        thinking: Sent before the text in `reasoning` deltas.
        tool_calls: Sent after the text, each in fragments.
        interleave: Send the tool calls' fragments in turn instead of one call after the other.
        finish_reason: Worked out when not given: "tool_calls" or "stop".
        stop_reason: vLLM's own field: the stop string that matched.
        cached_tokens: What the prefix cache is said to have held.
        headers_delay_s: Seconds before the answer's status line.
        first_chunk_delay_s: Seconds between the status line and the first chunk (the prefill).
        chunk_interval_s: Seconds between chunks.
        http_error: Answer with this instead.
        die_after_chunks: Cut the connection after so many chunks.
        error_after_chunks: Send vLLM's error chunk after so many chunks.
        raw_chunks: Send exactly these chunk objects, nothing else but the closing `[DONE]`.
        hold: Keep the stream open after the last chunk until the client goes away.
        pieces: Send exactly this instead: a text as it is, a number as a pause in seconds,
            `CUT` to cut the connection.
        headers: Of the answer to `pieces`; an event stream's where not given.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: Sequence[ToolCall] = ()
    interleave: bool = False
    finish_reason: str | None = None
    stop_reason: str | None = None
    cached_tokens: int = 0
    headers_delay_s: float = 0.0
    first_chunk_delay_s: float = 0.0
    chunk_interval_s: float = 0.0
    http_error: HttpError | None = None
    die_after_chunks: int | None = None
    error_after_chunks: int | None = None
    raw_chunks: Sequence[Mapping[str, Any]] | None = None
    hold: bool = False
    pieces: Sequence[str | float] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def chunks_of(turn: Turn, *, prompt_tokens: int) -> list[Mapping[str, Any]]:
    """Return a turn as the chunks of a stream, usage included."""
    if turn.raw_chunks is not None:
        return list(turn.raw_chunks)
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning": piece} for piece in _words(turn.thinking)]
    deltas += [{"content": piece} for piece in _words(turn.text)]
    deltas += _tool_deltas(turn)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "prompt_tokens_details": {"cached_tokens": turn.cached_tokens},
    }
    chunks: list[Mapping[str, Any]] = [
        {
            "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
            "usage": {**usage, "completion_tokens": number},
        }
        for number, delta in enumerate(deltas)
    ]
    finish = turn.finish_reason or ("tool_calls" if turn.tool_calls else "stop")
    last = {"index": 0, "delta": {}, "finish_reason": finish, "stop_reason": turn.stop_reason}
    spent = {**usage, "completion_tokens": len(deltas)}
    return [*chunks, {"choices": [last], "usage": spent}, {"choices": [], "usage": spent}]


def _words(text: str) -> list[str]:
    pieces = text.split(" ")
    return [piece if at == 0 else f" {piece}" for at, piece in enumerate(pieces)] if text else []


def _tool_deltas(turn: Turn) -> list[dict[str, Any]]:
    queues: list[list[dict[str, Any]]] = []
    for index, call in enumerate(turn.tool_calls):
        size = max(1, -(-len(call.arguments) // max(1, call.fragments)))
        cuts = [call.arguments[at : at + size] for at in range(0, len(call.arguments), size)]
        head = {
            "index": index,
            "id": call.id or f"chatcmpl-tool-{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        pieces = [{"index": index, "function": {"arguments": cut}} for cut in cuts]
        queues.append([{"tool_calls": [piece]} for piece in (head, *pieces)])
    if not turn.interleave:
        return [delta for queue in queues for delta in queue]
    longest = max((len(queue) for queue in queues), default=0)
    return [queue[at] for at in range(longest) for queue in queues if at < len(queue)]
