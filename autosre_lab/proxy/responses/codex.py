"""What Codex says of itself in its headers: which session asks, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from autosre_lab.proxy.dialect import Client
from autosre_lab.proxy.priority import RequestKind

__all__ = ["classify", "client_of", "headers_of_frame", "thread_of"]

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


def headers_of_frame(handshake: Mapping[str, str], client_metadata: bytes) -> Mapping[str, str]:
    """Return who asks in one frame of a WebSocket.

    The handshake's headers are those of the warm-up; each frame says in `client_metadata` what an
    HTTP request says in its headers.
    """
    headers = {name.lower(): value for name, value in handshake.items()}
    try:
        said = msgspec.json.decode(client_metadata or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        return headers
    for name, value in said.items():
        header = {"session_id": _SESSION, "thread_id": _THREAD}.get(name, name)
        if isinstance(value, str) and value and header in (_SESSION, _THREAD, _SUBAGENT, _TURN):
            headers[header] = value
    return headers


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
