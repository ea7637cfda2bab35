"""What Codex says of itself in its headers: which session asks, and for what."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autosre_lab.proxy.dialect import Client
from autosre_lab.proxy.priority import RequestKind

__all__ = ["classify", "client_of", "thread_of"]

_SESSION = "session-id"
_THREAD = "thread-id"
_SUBAGENT = "x-openai-subagent"
_TURN = "x-codex-turn-metadata"


class _Turn(msgspec.Struct):
    request_kind: str = ""
    thread_source: str = ""


def client_of(headers: Mapping[str, str]) -> Client:
    """Tell who asks. A subagent has its parent's session and a thread of its own."""
    agent = headers.get(_THREAD, "") if headers.get(_SUBAGENT) else ""
    return Client(session=headers.get(_SESSION) or headers.get(_THREAD, ""), agent=agent)


def thread_of(headers: Mapping[str, str]) -> str:
    """Return the conversation, of a subagent its own; "" where the client names none."""
    return headers.get(_THREAD) or headers.get(_SESSION, "")


def classify(headers: Mapping[str, str]) -> RequestKind:
    """Tell what a request is for. Nothing that a client says about priority is read."""
    turn = _turn(headers)
    if turn.request_kind == "compaction":
        return "compaction"
    if turn.thread_source == "thread_title":
        return "background"
    if headers.get(_SUBAGENT) or turn.thread_source == "subagent":
        return "subagent"
    return "main"


def _turn(headers: Mapping[str, str]) -> _Turn:
    try:
        return msgspec.json.decode(headers.get(_TURN, "{}"), type=_Turn)
    except (msgspec.DecodeError, UnicodeError):
        return _Turn()
