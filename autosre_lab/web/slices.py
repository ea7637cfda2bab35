"""Long texts in pieces: put together, the pieces are the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Slice", "find_passages", "slice_text"]

SEARCHED_FOR_BREAK = 0.2
"""The last part of a slice in which a line end is looked for, to end it there."""
CONTEXT_CHARS = 300
"""Characters shown on either side of what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A piece of a text.

    Attributes:
        text: The piece.
        offset: Where it begins, in characters.
        total: Characters of the whole.
        next_offset: Where the next piece begins; None where this is the last.
    """

    text: str
    offset: int
    total: int
    next_offset: int | None


def slice_text(text: str, *, offset: int, max_chars: int) -> Slice:
    """Return the piece that begins at an offset, ending at a line's end where one is near."""
    begin = min(max(offset, 0), len(text))
    end = min(begin + max(max_chars, 1), len(text))
    if end < len(text):
        near = int(end - (end - begin) * SEARCHED_FOR_BREAK)
        broken = max(text.rfind("\n", near, end), text.rfind(" ", near, end))
        line = text.rfind("\n", near, end)
        end = (line if line >= 0 else broken) + 1 or end
    return Slice(
        text=text[begin:end],
        offset=begin,
        total=len(text),
        next_offset=end if end < len(text) else None,
    )


def find_passages(text: str, wanted: str, *, max_chars: int) -> tuple[str, int]:
    """Return the passages in which a text occurs, with their offsets, and how often it occurs.

    Upper and lower case are alike. Passages that touch are shown as one.

    Args:
        text: Where to look.
        wanted: What to look for.
        max_chars: Characters of all passages together; the first is always shown.
    """
    places = list(_places(text.casefold(), wanted.casefold()))
    # Case folding can change a text's length; then only an exact search has true offsets.
    if len(text.casefold()) != len(text):
        places = list(_places(text, wanted))
    shown: list[str] = []
    used = 0
    for begin, end in _merged(places, len(wanted), len(text)):
        passage = f"[offset {begin}]\n{text[begin:end].strip()}"
        if shown and used + len(passage) > max_chars:
            break
        shown.append(passage[: max_chars + 20])
        used += len(passage)
    return "\n\n…\n\n".join(shown), len(places)


def _places(text: str, wanted: str) -> Iterator[int]:
    place = text.find(wanted) if wanted else -1
    while place >= 0:
        yield place
        place = text.find(wanted, place + len(wanted))


def _merged(places: list[int], length: int, total: int) -> Iterator[tuple[int, int]]:
    begin = end = -1
    for place in places:
        lower, upper = max(place - CONTEXT_CHARS, 0), min(place + length + CONTEXT_CHARS, total)
        if begin < 0:
            begin, end = lower, upper
        elif lower <= end:
            end = upper
        else:
            yield begin, end
            begin, end = lower, upper
    if begin >= 0:
        yield begin, end
