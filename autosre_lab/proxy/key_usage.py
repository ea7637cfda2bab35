"""What each client's key has used: sums over the request log, the one place where it is counted.

A running proxy adds each record to its sums as it writes it, and one that starts takes them from
the file: after a `kill -9`, too, a budget and the usage that is shown come from the same lines.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

__all__ = ["KeyDay", "KeySpending", "computed_tokens", "key_usage", "log_lines", "today"]

_UNNAMED = b'"key":""'


class KeyDay(msgspec.Struct, kw_only=True):
    """A key's requests of one day of UTC.

    Attributes:
        key: The key's name; "" is the owner.
        day: ISO 8601.
        requests: All that were asked, counts and refused ones included.
        refused: Those that were answered with an error.
        computed_tokens: What `tokens_per_day` limits: prompt tokens that the prefix cache did not
            have, and generated ones.
        input_tokens: Prompt tokens that were not in the prefix cache.
        cached_tokens: Prompt tokens that were.
        output_tokens: Generated tokens.
    """

    key: str
    day: str
    requests: int = 0
    refused: int = 0
    computed_tokens: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Countable(Protocol):
    """What is read of a request's record."""

    time: str
    key: str
    kind: str
    status: int
    error: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int


class _Line(msgspec.Struct):
    time: str
    key: str = ""
    kind: str = ""
    status: int = 0
    error: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


def computed_tokens(record: Countable) -> int:
    """Return what a request counts against its key's budget: nothing for one that only counts."""
    if record.kind == "count_tokens":
        return 0
    return record.input_tokens + record.output_tokens


def today() -> str:
    """Return the day of UTC that budgets count."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


class KeySpending:
    """Tokens that each key has computed today.

    Args:
        log: The request log of earlier runs; None has none.
    """

    def __init__(self, log: Path | None) -> None:
        self._day = today()
        self._spent: dict[str, int] = {}
        if log is not None:
            for line in log_lines(log, after=self._day):
                self.add(line)

    def add(self, record: Countable) -> None:
        """Count a record that goes into the log."""
        if not record.key:
            return
        self._turn()
        if record.time.startswith(self._day):
            self._spent[record.key] = self._spent.get(record.key, 0) + computed_tokens(record)

    def of(self, key: str) -> int:
        """Return what a key has computed today."""
        self._turn()
        return self._spent.get(key, 0)

    def _turn(self) -> None:
        day = today()
        if day != self._day:
            self._day, self._spent = day, {}


def key_usage(log: str | Path, *, since: str = "", owner: bool = True) -> list[KeyDay]:
    """Sum a request log by key and day.

    Args:
        log: The file; one that does not exist yet has no usage.
        since: The first day, ISO 8601; "" takes all that the log holds.
        owner: Whether requests without a key are summed too, under "".
    """
    found: dict[tuple[str, str], KeyDay] = {}
    for line in log_lines(Path(log), after=since, named=not owner):
        place = (line.time[:10], line.key)
        day = found.setdefault(place, KeyDay(key=line.key, day=place[0]))
        day.requests += 1
        day.refused += line.status >= 400 or bool(line.error)
        if line.kind != "count_tokens":
            day.computed_tokens += computed_tokens(line)
            day.input_tokens += line.input_tokens
            day.cached_tokens += line.cached_tokens
            day.output_tokens += line.output_tokens
    return [found[place] for place in sorted(found)]


def log_lines(log: Path, *, after: str = "", named: bool = True) -> Iterator[_Line]:
    """Yield the records of a request log, the part that was turned over first.

    Args:
        log: The file.
        after: The first day.
        named: Only requests that showed a key.
    """
    decoder = msgspec.json.Decoder(_Line)
    for part in (log.with_name(log.name + ".1"), log):
        try:
            file = part.open("rb")
        except FileNotFoundError:
            continue
        with file:
            for text in file:
                if named and (_UNNAMED in text or b'"key":"' not in text):
                    continue
                try:
                    line = decoder.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # half a line, of a machine that lost power
                if line.time >= after:
                    yield line
