"""One reader for every stream of server-sent events: the engine's, and the proxy's own in a test.

It ends by the protocol: nothing that follows `[DONE]` is read, and the last line counts without a
line end. A line costs its bytes once, however it is cut, and has a largest size.
"""

from __future__ import annotations

__all__ = ["MAX_EVENT_BYTES", "EventTooLargeError", "ServerEvents"]

MAX_EVENT_BYTES = 16 * 1024**2
"""Largest event read: an engine that sends a line without an end must not fill the memory."""

_DONE = b"[DONE]"


class EventTooLargeError(ValueError):
    """An event is larger than anything an engine has to say at once."""


class ServerEvents:
    r"""Cuts a byte stream into the data of its server-sent events.

    A line that is a whole JSON object is given out at once, although its event's blank line has not
    come: engines exist that send none. Other data waits for it, and several lines are one.

    Attributes:
        done: `[DONE]` has come; whatever follows is not read.

    Example:
        >>> events = ServerEvents()
        >>> events.feed(b'event: a\ndata: {"b":1}\n\ndata: 2')
        [b'{"b":1}']
        >>> events.flush()
        [b'2']
    """

    __slots__ = ("_after_return", "_data", "_data_size", "_rest", "_size", "done")

    def __init__(self) -> None:
        self.done = False
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        # Of what waits, and of the whole lines of data in it.
        self._size = 0
        self._data_size = 0
        self._after_return = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of each event that is complete now, `[DONE]` included.

        Raises:
            EventTooLargeError: An event has more than `MAX_EVENT_BYTES`.
        """
        if self.done:
            return []
        # What vLLM writes: an object a line, a blank line behind each.
        end = piece.rfind(b"}\n\n") + 3
        if end < 3 or self._data or self._after_return or b"\r" in piece:
            return self._found_in(piece)
        found = _plain_events(b"".join((*self._rest, piece[:end])))
        if found is None:
            return self._found_in(piece)
        self._rest.clear()
        self._size = 0
        return found if end == len(piece) else found + self._found_in(piece[end:])

    def _found_in(self, piece: bytes) -> list[bytes]:
        if b"\r" in piece or self._after_return:
            piece = self._plain_ends(piece)
        if b"\n" not in piece:
            self._grow(piece)
            self._rest.append(piece)
            return []
        if self._rest:
            self._rest.append(piece)
            piece = b"".join(self._rest)
            self._rest.clear()
        *lines, rest = piece.split(b"\n")
        found: list[bytes] = []
        self._size = self._data_size
        for line in lines:
            if line[:6] == b"error:":
                line = b"data:" + line[6:]  # llama.cpp's own field
            if line[:5] == b"data:":
                data = line[6:] if line[5:6] == b" " else line[5:]
                if data[-1:] == b"}" and data[:1] == b"{" and not self._data:
                    found.append(data)
                elif data.strip(b' \t"') == _DONE:
                    found += [*self._dispatched(), _DONE]
                    self.done = True
                    return found
                else:
                    self._grow(line)  # an empty one takes room, too
                    self._data.append(data)
                    self._data_size += len(line)
            elif not line and self._data:
                found += self._dispatched()
        self._grow(rest)
        if rest:
            self._rest.append(rest)
        return found

    def flush(self) -> list[bytes]:
        """Return what the last line holds, which had no line end: the stream is over."""
        if self.done:
            return []
        found = self.feed(b"\n\n")
        self.done = True
        return found

    def _dispatched(self) -> list[bytes]:
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = self._data_size = 0
        return [data] if data else []

    def _grow(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLargeError(
                f"an event of more than {MAX_EVENT_BYTES // 1024**2} MB came in the stream"
            )

    def _plain_ends(self, piece: bytes) -> bytes:
        """Write every line end as a line feed, also one that was cut in two."""
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_return = False
        if piece:
            self._after_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _plain_events(piece: bytes) -> list[bytes] | None:
    """The data of whole events, each one line with an object; None where one is anything else."""
    if piece.find(b"\n", 0, -2) < 0:
        return [piece[6:-2]] if piece[:7] == b"data: {" else None
    lines = piece.split(b"\n")
    found = [line[6:] for line in lines[:-1:2] if line[:7] == b"data: {"]
    return found if 2 * len(found) == len(lines) - 1 and not any(lines[1::2]) else None
