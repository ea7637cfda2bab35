"""Chat Completions chunks in, Anthropic server-sent events out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from autosre_lab.proxy.chat_stream import ChatChunk

__all__ = ["MessageStream", "Usage"]


class Usage(msgspec.Struct, frozen=True):
    """Token counts as Anthropic tells them: `input_tokens` excludes what the cache held."""

    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int = 0


class MessageStream:
    """One answer on its way from the engine to the client.

    Args:
        message_id: The Anthropic id of the message ("msg_…"), unique per request.
        model: The model name that the client asked for.
        stop_sequences: The request's stop sequences; one that matched is reported.
        window_limited: `max_tokens` was cut to fit the window, so "length" means that the window
            is full.
    """

    def __init__(
        self,
        *,
        message_id: str,
        model: str,
        stop_sequences: Sequence[str] = (),
        window_limited: bool = False,
    ) -> None:
        raise NotImplementedError

    @property
    def started(self) -> bool:
        """`message_start` has been written."""
        raise NotImplementedError

    @property
    def first_token_seen(self) -> bool:
        """The engine has produced something of the answer."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """The engine said why it stopped. False at the end of its stream means it died."""
        raise NotImplementedError

    @property
    def stop_reason(self) -> str | None:
        """Anthropic's stop reason; None until the engine finished."""
        raise NotImplementedError

    @property
    def usage(self) -> Usage:
        """The newest counts known."""
        raise NotImplementedError

    def start(self, input_tokens: int) -> bytes:
        """Write `message_start` before the engine has answered (the keepalive path)."""
        raise NotImplementedError

    def keepalive(self) -> bytes:
        """Write an event that resets Claude Code's stream watchdog."""
        raise NotImplementedError

    def feed(self, chunk: ChatChunk) -> bytes:
        """Translate one chunk into zero or more events."""
        raise NotImplementedError

    def finish(self) -> bytes:
        """Close what is open and end the message."""
        raise NotImplementedError

    def error(self, type: str, message: str) -> bytes:  # noqa: A002 - the agreed name
        """Write an error event; the client discards what it has."""
        raise NotImplementedError

    def message(self) -> dict[str, Any]:
        """Return the whole message, for a client that did not ask for a stream."""
        raise NotImplementedError
