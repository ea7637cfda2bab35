"""Where a tool call's arguments end.

Engines send a whole object and then more: a stray brace, the same object again, the end of it
again. The first whole object is what the model meant, so its end has to be known, and known while
it streams: each fragment is looked at once, and only where it has a bracket or a quotation mark.

Other engines send what stands for an object: its text once more encoded, a list of the one object,
a fence around it, `null`. What that means is known at its end only.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["ArgumentsEnd", "is_empty_object", "is_json_object", "meant_object"]

_json_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MARK = re.compile(r"[{}\[\]\"]")
_IN_TEXT = re.compile(r"[\"\\]")
_EMPTY = re.compile(r"\s*\{\s*\}\s*")
_FENCED = re.compile(r"```\w*\s*(\{.*\})\s*```", re.DOTALL)
_NOTHING = ("null", '""')


class ArgumentsEnd:
    """Follows the brackets of one call's arguments.

    Attributes:
        balanced: The first bracket has been closed. Whether what it closed is JSON is asked once,
            by the caller.
        no_object: They begin with something else than an object.
    """

    __slots__ = ("_begun", "_depth", "_escaped", "_in_text", "balanced", "no_object")

    def __init__(self) -> None:
        self.balanced = False
        self._begun = False
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self.no_object = False

    def feed(self, fragment: str) -> int:
        """Take the next fragment; return how much of it belongs to the first object."""
        at = 0
        if not self._begun:
            head = fragment.lstrip()
            if not head:
                return len(fragment)
            self._begun = True
            self.no_object = head[0] != "{"
        if self.no_object:
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


def is_empty_object(text: str) -> bool:
    """Whether a text is an object without anything in it."""
    return len(text) < 64 and _EMPTY.fullmatch(text) is not None


def meant_object(text: str) -> str:
    """Return the object that arguments of another form stand for; the text itself where none.

    Example:
        >>> meant_object('[{"a": 1}]'), meant_object("null"), meant_object("[1]")
        ('{"a": 1}', '{}', '[1]')
    """
    bare = text.strip()
    for nothing in _NOTHING:
        bare = bare.removeprefix(nothing).lstrip()
    if not bare or is_json_object(bare):
        return bare or "{}"
    if fenced := _FENCED.fullmatch(bare):
        return fenced[1] if is_json_object(fenced[1]) else text
    try:
        value = msgspec.json.decode(bare, type=str | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    if isinstance(value, list):
        value = bytes(value[0]).decode("utf-8", "replace") if len(value) == 1 else ""
    return value.strip() if is_json_object(value) else text
