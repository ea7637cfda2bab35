"""Accessibility trees as text: searched, cut to a size, compared. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from autosre_lab.errors import ConfigError

__all__ = ["Cut", "changed_lines", "cut_snapshot", "find_in_snapshot", "mask_values"]

MASK = "••••••"
_SHORT_SECRET = 4
_REF = re.compile(r" \[(?:ref=(?:f\d+)?e\d+|active|cursor=pointer)\]")


@dataclass(frozen=True, slots=True)
class Cut:
    """A text that fits.

    Attributes:
        text: Whole lines from the beginning.
        lines_left_out: How many lines did not fit.
    """

    text: str
    lines_left_out: int


def cut_snapshot(text: str, max_chars: int) -> Cut:
    """Return the lines that fit into so many characters, at least a part of the first."""
    if len(text) <= max_chars:
        return Cut(text, 0)
    lines = text.splitlines()
    kept: list[str] = []
    left = max_chars
    for line in lines:
        if len(line) + 1 > left:
            break
        kept.append(line)
        left -= len(line) + 1
    if not kept:
        kept = [lines[0][:max_chars]]
    return Cut("\n".join(kept), len(lines) - len(kept))


def find_in_snapshot(text: str, wanted: str) -> str:
    """Return the lines that hold a text, each with what it stands in and what stands in it.

    Args:
        text: A snapshot.
        wanted: Looked for without regard to case; between slashes it is a regular expression.

    Raises:
        ConfigError: The regular expression is none.
    """
    pattern = _pattern(wanted)
    lines = text.splitlines()
    depths = [len(line) - len(line.lstrip()) for line in lines]
    kept: set[int] = set()
    for number, line in enumerate(lines):
        if not pattern.search(line):
            continue
        kept.add(number)
        depth = depths[number]
        for above in range(number - 1, -1, -1):
            if depths[above] < depth:
                kept.add(above)
                depth = depths[above]
        inner = number + 1
        # A heading or a button often says what it is only in the lines below it.
        while inner < len(lines) and depths[inner] > depths[number] and inner <= number + 3:
            kept.add(inner)
            inner += 1
    return "\n".join(lines[number] for number in sorted(kept))


def changed_lines(before: str, after: str, *, most: int) -> list[str]:
    """Return what a later snapshot has that the earlier one had not, and what is gone.

    A line counts as the same wherever it stands and whatever its element's number is.

    Args:
        before: The earlier snapshot.
        after: The later one.
        most: Lines that are returned at most, with a last one that says how many are not.
    """
    had = Counter(_essence(line) for line in before.splitlines())
    added: list[str] = []
    for line in after.splitlines():
        if had[_essence(line)] > 0:
            had[_essence(line)] -= 1
        else:
            added.append(f"+ {line}")
    removed = [f"- {line}" for line, count in had.items() for _ in range(count)]
    shown = added + removed
    if len(shown) <= most:
        return shown
    return [*shown[:most], f"({len(shown) - most} more changed lines)"]


def mask_values(text: str, secrets: list[str]) -> str:
    """Return a snapshot in which the values of password fields cannot be read."""
    for secret in secrets:
        if len(secret) >= _SHORT_SECRET:
            text = text.replace(secret, MASK)
        elif secret:
            # A short one is too likely a part of other words.
            text = re.sub(rf': "?{re.escape(secret)}"?$', f": {MASK}", text, flags=re.MULTILINE)
    return text


def _essence(line: str) -> str:
    return _REF.sub("", line).strip()


def _pattern(wanted: str) -> re.Pattern[str]:
    if len(wanted) > 2 and wanted.startswith("/") and wanted.endswith("/"):
        try:
            return re.compile(wanted[1:-1], re.IGNORECASE)
        except re.error as error:
            raise ConfigError(
                f"{wanted} is not a regular expression: {error}",
                remedy="fix it, or give plain text without the slashes",
            ) from error
    return re.compile(re.escape(wanted), re.IGNORECASE)
