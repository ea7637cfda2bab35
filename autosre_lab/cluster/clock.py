"""Time as something that is handed in, so that a wait of half an hour can be tried in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["SYSTEM_CLOCK", "Clock", "parse_time", "rfc3339"]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a wait gets its time from.

    Attributes:
        monotonic: Seconds that never go back; deadlines are kept by it.
        now: The time of day, as the API server writes it into its objects.
        sleep: Lets seconds pass.
    """

    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]


SYSTEM_CLOCK = Clock(time.monotonic, lambda: datetime.now(UTC), time.sleep)
"""This machine's own clock."""


def parse_time(text: str | None) -> datetime | None:
    """Return the time of an object's field; None where it is absent or unreadable."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def rfc3339(moment: datetime, *, micro: bool = False) -> str:
    """Write a time as the API server does; ``micro`` for the fields of a Lease."""
    spec = "microseconds" if micro else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=spec).replace("+00:00", "Z")
