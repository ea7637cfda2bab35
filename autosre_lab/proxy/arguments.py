"""Where a tool call's arguments end.

Engines send a whole object and then more: a stray brace, the same object again, the end of it
again. The first whole object is what the model meant, so its end has to be known, and known while
it streams: each fragment is looked at once, and only where it has a bracket or a quotation mark.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["ArgumentsEnd", "is_json_object"]

_json_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MARK = re.compile(r"[{}\[\]\"]")
_IN_TEXT = re.compile(r"[\"\\]")


class ArgumentsEnd:
    """Follows the brackets of one call's arguments.

    Attributes:
        balanced: The first bracket has been closed. Whether what it closed is JSON is asked once,
            by the caller.
    """

    __slots__ = ("_begun", "_depth", "_escaped", "_in_text", "_no_object", "balanced")

    def __init__(self) -> None:
        self.balanced = False
        self._begun = False
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._no_object = False

    def feed(self, fragment: str) -> int:
        """Take the next fragment; return how much of it belongs to the first object."""
        at = 0
        if not self._begun:
            head = fragment.lstrip()
            if not head:
                return len(fragment)
            self._begun = True
            self._no_object = head[0] != "{"
        if self._no_object:
            return len(fragment)
        if self._escaped and fragment:
            at, self._escaped = 1, False
        while True:
            found = (_IN_TEXT if self._in_text else _MARK).search(fragment, at)
            if found is None:
                return len(fragment)
            mark, at = found[0], found.end()
            if mark == "\\":
                self._escaped = at == len(fragment)
                at += 1
            elif mark == '"':
                self._in_text = not self._in_text
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    self.balanced = True
                    return at


def is_json_object(text: str) -> bool:
    """Whether a text is one JSON object and nothing else but white space."""
    if not text.rstrip().endswith("}"):
        return False
    try:
        _json_object.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
