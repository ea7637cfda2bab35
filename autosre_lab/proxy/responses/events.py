"""The Responses API's server-sent events and items as bytes.

Every event has a number, so nothing here is glued from constants alone; the delta of a token, of
which there are thousands, is built from bytes that are made once for each item.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["EventWriter", "encode"]

encode = msgspec.json.Encoder().encode


class EventWriter:
    """Numbers events and writes them."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, fields: dict[str, Any]) -> bytes:
        """Write one event."""
        data = encode({"type": kind, "sequence_number": self._next(), **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def delta(self, head: bytes, text: str) -> bytes:
        """Write a delta; `head` is from `delta_head`."""
        return b'%b%b,"sequence_number":%d}\n\n' % (head, encode(text), self._next())

    def _next(self) -> int:
        number = self._number
        self._number += 1
        return number
