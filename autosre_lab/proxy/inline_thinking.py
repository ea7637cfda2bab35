"""Thinking that arrives inside the text, as `<think>…</think>`.

An engine without a reasoning parser sends a thinking model's thoughts as plain content. They are
recognised only where they cannot be meant otherwise: when the answer begins with the tag, or when
the prompt ended with it, so that the answer begins inside.
"""

from __future__ import annotations

__all__ = ["InlineThinking"]

_OPEN = "<think>"
_CLOSE = "</think>"


class InlineThinking:
    """Splits a stream of text into thinking and answer; tags may be cut anywhere.

    Args:
        opened: The prompt ended with the opening tag.

    Attributes:
        settled: The rest of the stream is answer; nothing has to go through here any more.
        unclosed: The prompt opened the tag, and the answer ended without closing it.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self.settled = False
        self.unclosed = False
        self._opened = opened
        self._inside = opened
        self._spaces: list[str] = []
        self._pending = ""

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next piece of content.

        Returns:
            What is known to be thinking, and what is known to be answer after it.
        """
        if self.settled:
            return "", text
        if (self._opened or not self._inside) and not self._pending and text.isspace():
            # Joined once, when something follows: an answer may begin with any amount of it.
            self._spaces.append(text)
            return "", ""
        text = "".join((*self._spaces, self._pending, text))
        self._spaces.clear()
        self._pending = ""
        if self._opened:
            begin = text.lstrip()
            if _OPEN.startswith(begin[: len(_OPEN)]) and len(begin) < len(_OPEN):
                self._pending = text
                return "", ""
            # Some models write the tag all the same.
            text = begin.removeprefix(_OPEN) if begin.startswith(_OPEN) else text
            self._opened = False
            self.unclosed = True
        if not self._inside:
            begin = text.lstrip()
            if _OPEN.startswith(begin[: len(_OPEN)]) and len(begin) < len(_OPEN):
                self._pending = text
                return "", ""
            if not begin.startswith(_OPEN):
                self.settled = True
                return "", text
            self._inside = True
            text = begin[len(_OPEN) :]
        thinking, closed, answer = text.partition(_CLOSE)
        if closed:
            self.settled = True
            self.unclosed = False
            return thinking, answer
        keep = _cut_tag_length(text)
        self._pending = text[len(text) - keep :]
        return text[: len(text) - keep], ""

    def flush(self) -> tuple[str, str]:
        """Give out what was held back, at the end of the stream or when something else begins."""
        pending = "".join((*self._spaces, self._pending))
        self._spaces.clear()
        self._pending = ""
        self.settled = True
        return (pending, "") if self._inside else ("", pending)


def _cut_tag_length(text: str) -> int:
    """Length of the longest end of `text` that may be the beginning of the closing tag."""
    for length in range(min(len(_CLOSE) - 1, len(text)), 0, -1):
        if _CLOSE.startswith(text[-length:]):
            return length
    return 0
