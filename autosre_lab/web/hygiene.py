"""Characters that a reader does not see and a model does: out of every text from the web.

Zero-width and tag characters carry whole sentences unseen; bidirectional controls show text in
another order than it is read.
"""

from __future__ import annotations

import re

__all__ = ["one_line", "strip_unseen"]

_JOINER_IN_USE = "(?<=[^\\x00-\\x7f\\s\u200c\u200d])[\u200c\u200d](?=[^\\x00-\\x7f\\s\u200c\u200d])"
"""A single joiner between letters of a script, or emoji, that needs it."""

_UNSEEN = re.compile(
    f"(?P<kept>{_JOINER_IN_USE})|["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, but not tab, line feed, NEL
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, fillers, separators
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidirectional controls
    "\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff"  # fillers, variation selectors, specials
    "\ud800-\udfff"  # half characters
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags and further variation selectors
    "]"
)


def strip_unseen(text: str) -> str:
    """Return a text without unseen characters; line ends become line feeds."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    text = text.replace("\u2028", "\n").replace("\u2029", "\n")
    return _UNSEEN.sub(lambda match: match["kept"] or "", text)


def one_line(text: str, longest: int) -> str:
    """Return a text on one line without unseen characters, cut where it is too long."""
    line = " ".join(strip_unseen(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
