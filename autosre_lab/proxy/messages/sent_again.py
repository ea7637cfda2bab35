"""What Claude Code's second try of a request shares with the first."""

from __future__ import annotations

import re

__all__ = ["without_stream"]

# Quotes inside a JSON string are escaped, so this does not match within the conversation. It begins
# with a literal, which is searched for; a pattern that also took the comma before it would be tried
# at every comma of the body, and that is more than a millisecond for Claude Code's first request.
_STREAM = re.compile(rb'"stream"\s*:\s*(?:true|false)')
_SEPARATOR = re.compile(rb"\s*,?\s*")


def without_stream(body: bytes) -> bytes:
    """Return a JSON object's bytes without its `stream` members, each with one comma beside it."""
    kept, at = b"", 0
    for found in _STREAM.finditer(body):
        kept += body[at : found.start()].rstrip()
        at = found.end()
        if kept.endswith(b","):
            kept = kept[:-1]
        else:
            at = _SEPARATOR.match(body, at).end()  # type: ignore[union-attr] # it matches nothing too
    return kept + body[at:]
