"""What a request continues: the conversation before it, put in front of its own input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from autosre_lab.proxy.refusals import BadRequestError

__all__ = [
    "EarlierTurn",
    "Members",
    "continued",
    "input_of",
    "members_of",
    "not_found",
    "text_member",
]

Members = dict[str, msgspec.Raw]
"""A JSON object's members, each as the bytes that the client sent."""

_members = msgspec.json.Decoder(Members)
_items = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class EarlierTurn:
    """An answered request.

    Attributes:
        input: Its whole input, what it continued included.
        output: What was answered.
    """

    input: tuple[msgspec.Raw, ...]
    output: tuple[msgspec.Raw, ...]


def members_of(body: bytes) -> Members | None:
    """Return a body's members; None where it is no JSON object, which decoding it tells better."""
    try:
        return _members.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def text_member(members: Members, name: str) -> str:
    """Return a member that is a text; "" where it is none."""
    try:
        return msgspec.json.decode(members.get(name, b'""'), type=str)
    except (msgspec.DecodeError, UnicodeError):
        return ""


def input_of(members: Members) -> tuple[msgspec.Raw, ...]:
    """Return the input's items; a text is the user's message."""
    raw = bytes(members.get("input", b"")).strip()
    if raw.startswith(b"["):
        try:
            return tuple(_items.decode(raw))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return ()
    if raw.startswith(b'"') and raw != b'""':
        return (msgspec.Raw(b'{"type":"message","role":"user","content":%b}' % raw),)
    return ()


def continued(members: Members, turn: EarlierTurn, *, after: str) -> Members:
    """Return a request that holds all that it continues.

    Args:
        members: The request.
        turn: What it continues.
        after: The id of what it continues, which the answer repeats.
    """
    whole = joined((*turn.input, *turn.output, *input_of(members)))
    rest = {name: raw for name, raw in members.items() if name != "previous_response_id"}
    return {**rest, "input": whole, "_continued_from": msgspec.Raw(msgspec.json.encode(after))}


def joined(items: Sequence[msgspec.Raw]) -> msgspec.Raw:
    """Return items as one JSON array."""
    return msgspec.Raw(b"[%b]" % b",".join(bytes(item) for item in items))


def not_found(response_id: str, why: str) -> BadRequestError:
    """Return what a client is told whose conversation is not here; it sends all of it then."""
    return BadRequestError(
        f"Previous response with id {response_id[:80]!r} not found: {why}; send the whole input",
        code="previous_response_not_found",
    )
