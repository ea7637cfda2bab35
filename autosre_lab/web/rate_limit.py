"""How often a search engine may be asked: a little at once, and not too much in a minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

__all__ = ["RateLimit"]


class RateLimit:
    """At most one turn a second and so many a minute.

    Args:
        per_minute: Turns in any minute.
        spacing_s: Seconds between two turns.
        clock: Seconds on a clock that only goes forward.
    """

    def __init__(
        self,
        *,
        per_minute: int = 20,
        spacing_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute = per_minute
        self._spacing_s = spacing_s
        self._clock = clock
        self._turns: deque[float] = deque(maxlen=per_minute)

    def wait_s(self) -> float:
        """Return the seconds until the next turn; 0 where it may be taken now."""
        now = self._clock()
        waits = [0.0]
        if self._turns:
            waits.append(self._turns[-1] + self._spacing_s - now)
        if len(self._turns) == self._per_minute:
            waits.append(self._turns[0] + 60.0 - now)
        return max(waits)

    def take(self) -> None:
        """Count a turn."""
        self._turns.append(self._clock())
