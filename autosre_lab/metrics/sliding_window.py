"""Rates over the last seconds instead of the last poll: a second holds too few requests."""

from __future__ import annotations

import itertools
from collections import deque

from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.rates import WindowRates, rates_of
from autosre_lab.metrics.windows import merged_windows, window_between

__all__ = ["SlidingRates"]


class SlidingRates:
    """Takes scrapes, and gives the rates of the last seconds; restarts are left out.

    Args:
        seconds: How far back.
        step_bytes: Bytes that a decode step reads.
        bandwidth_bytes_per_s: The memory's bandwidth.
    """

    def __init__(
        self,
        seconds: float = 10.0,
        *,
        step_bytes: float | None = None,
        bandwidth_bytes_per_s: float | None = None,
    ) -> None:
        self._reach_ns = int(seconds * 1e9)
        self._step_bytes = step_bytes
        self._bandwidth = bandwidth_bytes_per_s
        self._scrapes: deque[EngineSample] = deque()

    def add(self, scrape: EngineSample) -> WindowRates | None:
        """Take a scrape and return the rates up to it; None before there are two."""
        self._scrapes.append(scrape)
        # One at or before the window's begin stays, so that the window is whole.
        while len(self._scrapes) > 2 and (
            scrape.clock_ns - self._scrapes[1].clock_ns >= self._reach_ns
        ):
            self._scrapes.popleft()
        if len(self._scrapes) < 2:
            return None
        whole = window_between(self._scrapes[0], scrape)
        if whole.dropped is not None:
            whole = merged_windows(
                window_between(before, after) for before, after in itertools.pairwise(self._scrapes)
            )
        return rates_of(whole, step_bytes=self._step_bytes, bandwidth_bytes_per_s=self._bandwidth)
