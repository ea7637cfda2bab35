"""Bytes to a port of loopback as an attacker writes them, and what comes back."""

from __future__ import annotations

import socket

__all__ = ["head", "sent"]


def head(
    line: str = "POST /mcp HTTP/1.1",
    *lines: str,
    host: str | None = "127.0.0.1:1",
    body: bytes = b"",
) -> bytes:
    """Return a request; without a content-length where a line gives one, or an encoding."""
    fields = [line, *([f"Host: {host}"] if host is not None else []), *lines]
    framed = any(one.lower().startswith(("content-length", "transfer-enc")) for one in lines)
    if body and not framed:
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*fields, "", ""]).encode("utf-8", "surrogateescape") + body


def sent(port: int, request: bytes, *, ends: bool = False, within_s: float = 20.0) -> list[int]:
    """Send bytes; return the status of each answer, in order.

    Args:
        port: Of loopback.
        request: What to send.
        ends: Send the end of them too, for what a server would wait on for more.
        within_s: Seconds that an answer may take.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as one:
        try:
            one.sendall(request)
            if ends:
                one.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was read whole
        received = b""
        try:
            while piece := one.recv(65536):
                received += piece
        except ConnectionError:
            pass
    lines = received.split(b"HTTP/1.")[1:]
    return [int(line.split(b" ")[1]) for line in lines]
