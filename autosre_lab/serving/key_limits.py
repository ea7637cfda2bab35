"""How many requests the holder of a key may have begun, and may have at a time."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable

from autosre_lab.serving.keys import ClientKey
from autosre_lab.serving.reach import Denial

__all__ = ["KeyLimits"]

_WINDOW_S = 60.0
_BUSY_S = 2


class KeyLimits:
    """Counts the requests of each key, in this process.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._begun: dict[str, deque[float]] = {}

    def begin(self, key: ClientKey) -> Denial | None:
        """Count one more request, to be ended with `end`; or say why it may not begin."""
        if key.concurrent is not None and self._running[key.name] >= key.concurrent:
            return Denial(
                429,
                f"the key {key.name} may have {key.concurrent} requests at a time, and has them",
                retry_after_s=_BUSY_S,
                of_key=key.name,
            )
        if (most := key.requests_per_minute) is not None:
            now = self._clock()
            begun = self._begun.setdefault(key.name, deque())
            while begun and begun[0] <= now - _WINDOW_S:
                begun.popleft()
            if len(begun) >= most:
                return Denial(
                    429,
                    f"the key {key.name} may begin {most} requests a minute, and has",
                    retry_after_s=max(1, math.ceil(begun[-most] + _WINDOW_S - now)),
                    of_key=key.name,
                )
            begun.append(now)
        self._running[key.name] += 1
        return None

    def end(self, key: ClientKey) -> None:
        """A request that `begin` let in has ended."""
        self._running[key.name] -= 1
        if not self._running[key.name]:
            del self._running[key.name]
