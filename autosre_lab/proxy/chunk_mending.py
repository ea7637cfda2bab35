"""A chunk of the engine's stream that does not fit its struct, read for what it means.

What engines and the proxies in front of them have sent: counters that are null, floats, texts or
negative; arguments as an object instead of its text; content in parts; an emoji cut into two
chunks. None of it is worth an answer. What has no meaning left is still refused by the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from autosre_lab.proxy.chat_stream import ChatChunk

__all__ = ["join_halves", "read"]

MOST_TOKENS = 10**9
"""A counter beyond this is none: no window holds a billion tokens."""

_number_keeping = msgspec.json.Encoder(decimal_format="number")
_COUNTERS = ("prompt_tokens", "completion_tokens")
_DETAILS = ("cached_tokens", "created_cache_tokens")

# Bytes that are no UTF-8 by themselves come as U+DC80 to U+DCFF (Python's surrogateescape).
_RAW_BYTES = re.compile("[\udc80-\udcff]+")
_CUT_OFF = re.compile("(?:[\ud800-\udbff]|[\udc80-\udcff]{1,3})$")
_LONE = re.compile("[\ud800-\udfff]")


def read(data: bytes) -> dict[str, Any]:
    """Read a line leniently.

    Args:
        data: JSON; bytes that are no UTF-8 and halves of surrogate pairs are kept as lone
            surrogates, for `join_halves`.

    Returns:
        The chunk as plain objects of the types that the structs want.

    Raises:
        ValueError: It is not a chunk.
    """
    body = json.loads(
        data.decode("utf-8", "surrogateescape"), parse_int=_number, parse_float=_number
    )
    if body is None or body == []:
        body = {}  # a sign of life
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        raise ValueError("not an object")
    chunk: dict[str, Any] = {
        "choices": [_choice(one) for one in _listed(body.get("choices")) if one is not None],
        "usage": _usage(body.get("usage")),
        "object": _text(body.get("object")),
    }
    if body.get("error") is not None:
        chunk["error"] = msgspec.Raw(_encoded(body["error"]).encode())
    return chunk


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:
        return text  # its exponent has more digits than a decimal's may have


def join_halves(chunk: ChatChunk, halves: dict[str, str]) -> None:
    """Put characters together that were cut between chunks; what stays alone becomes U+FFFD.

    Args:
        chunk: It is changed.
        halves: What earlier chunks of the stream ended with, by the place it belongs to.
    """
    for choice in chunk.choices or ():
        at_end = bool(choice.finish_reason)
        delta = choice.delta or choice.message
        if delta is not None:
            for name in ("content", "reasoning", "reasoning_content", "refusal"):
                text = _joined(getattr(delta, name), name, halves, at_end=at_end)
                setattr(delta, name, text)
            for position, call in enumerate(delta.tool_calls or ()):
                if call.function is not None:
                    place = f"call {position if call.index is None else call.index}"
                    call.function.arguments = _joined(
                        call.function.arguments, place, halves, at_end=at_end
                    )
                    call.function.name = _whole(call.function.name)
                call.id = _whole(call.id)
        choice.finish_reason = _whole(choice.finish_reason)


def _joined(text: str | None, place: str, halves: dict[str, str], *, at_end: bool) -> str | None:
    before = halves.get(place, "")
    if not text and not (before and at_end):
        return text
    halves.pop(place, None)
    text = _paired(before + (text or ""))
    cut = None if at_end else _CUT_OFF.search(text)
    if cut is not None:
        halves[place] = cut[0]
        text = text[: cut.start()]
    return _LONE.sub("\ufffd", text)


def _paired(text: str) -> str:
    """Join what is whole by now: pairs of surrogates, and bytes that make a character."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _RAW_BYTES.sub(
        lambda found: (
            found[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        ),
        text,
    )


def _whole(text: str | None) -> str | None:
    return _LONE.sub("\ufffd", _paired(text)) if text else text


def _choice(value: Any) -> dict[str, Any]:
    choice = _object(value)
    stop = choice.get("stop_reason")
    return {
        "delta": _delta(choice.get("delta")),
        "message": _delta(choice.get("message")),
        "finish_reason": _text(choice.get("finish_reason")),
        "stop_reason": stop if isinstance(stop, str) else None,
    }


def _delta(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    delta = {"content": value} if isinstance(value, str) else _object(value)
    calls = delta.get("tool_calls")
    return {
        **{
            name: _content(delta.get(name))
            for name in ("content", "reasoning", "reasoning_content", "refusal")
        },
        "tool_calls": [_call(_object(call)) for call in _listed(calls) if call is not None],
    }


def _content(value: Any) -> str | None:
    """A text; parts of content are joined. `false` and numbers say nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, Decimal)):
        return None
    parts = [value] if isinstance(value, dict) else value
    return "".join(
        part if isinstance(part, str) else _text(_object(part).get("text")) or ""
        for part in parts
        if part is not None
    )


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    index, id_ = _count(call.get("index"), most=10**6), call.get("id")
    return {
        "index": index,
        "id": id_ if id_ is None or isinstance(id_, str) else _encoded(id_),
        "function": None if function is None else _function(_object(function)),
    }


def _function(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = _encoded(arguments)
    return {"name": _text(function.get("name")), "arguments": arguments}


def _usage(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    counts = dict(_counted(value, _COUNTERS))
    details = value.get("prompt_tokens_details")
    if isinstance(details, dict):
        return {**counts, "prompt_tokens_details": dict(_counted(details, _DETAILS))}
    return counts


def _counted(values: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for name in names:
        count = _count(values.get(name))
        if count is not None:
            yield name, count


def _count(value: Any, *, most: int = MOST_TOKENS) -> int | None:
    """A counter, whatever it was written as; None for what counts nothing."""
    if isinstance(value, bool) or not isinstance(value, (str, Decimal, float)):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    return int(number) if number.is_finite() and 0 <= number <= most else None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _encoded(value: Any) -> str:
    """JSON text with each number spelled as it came."""
    return _number_keeping.encode(_mapped(value, lambda text: _whole(text) or "")).decode()


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(one, change) for one in value]
    if isinstance(value, dict):
        return {change(name): _mapped(one, change) for name, one in value.items()}
    return value
