"""Energy of a stretch of time: one long-lived reader of the power, integrated by trapezoids.

Readers that are started for each measurement miss its beginning, and a mean of samples times the
duration counts idle time at the edges; both have doubled published figures.
"""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from autosre_lab.logs import get_logger

__all__ = ["Energy", "PowerMeter", "integrated_energy_j"]

logger = get_logger(__name__)

_LAST_READING_S = 2.0
"""How long the reading that closes a stretch may wait for one under way."""

Sample = tuple[int, float]
"""`time.perf_counter_ns` and watts."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """What a stretch of time took.

    Attributes:
        joules: By integration of the power; by the energy counter where that has a gap.
        seconds: Its length.
        mean_w: Joules over seconds.
        max_w: The highest reading in it.
        readings: Readings in it.
        counter_j: The same by the GPU's own energy counter, where it has one.
    """

    joules: float
    seconds: float
    mean_w: float
    max_w: float
    readings: int
    counter_j: float | None = None


def integrated_energy_j(
    samples: Sequence[Sample], start_ns: int, end_ns: int, *, max_gap_s: float = 2.0
) -> float | None:
    """Integrate power over exactly one stretch of time.

    Args:
        samples: Readings in order of time; those outside help at the edges.
        start_ns: Its begin, on `time.perf_counter_ns`.
        end_ns: Its end.
        max_gap_s: The longest time without a reading that is still believed.

    Returns:
        Joules; None where readings are missing: nothing is extrapolated.
    """
    if end_ns <= start_ns or len(samples) < 2:
        return None
    if samples[0][0] > start_ns or samples[-1][0] < end_ns:
        return None
    first = bisect_right(samples, start_ns, key=_when) - 1
    last = bisect_left(samples, end_ns, key=_when)
    total = 0.0
    for (t0, w0), (t1, w1) in itertools.pairwise(samples[first : last + 1]):
        left, right = max(t0, start_ns), min(t1, end_ns)
        if (t1 - t0) / 1e9 > max_gap_s:
            return None
        slope = (w1 - w0) / (t1 - t0)
        from_w, to_w = w0 + slope * (left - t0), w0 + slope * (right - t0)
        total += (from_w + to_w) / 2 * (right - left) / 1e9
    return total


class PowerMeter:
    """Reads power in a thread of its own for as long as it lives.

    Args:
        power_w: Reads the power now; None where it cannot be told.
        energy_j: Reads an energy counter, if there is one.
        interval_s: Time between readings.
        keep_s: How far back a stretch may begin.

    Example:
        >>> from autosre_lab.metrics import GpuReader
        >>> gpu = GpuReader()
        >>> with PowerMeter(gpu.power_w, energy_j=gpu.energy_j) as meter:  # doctest: +SKIP
        ...     begin = time.perf_counter_ns()
        ...     work()
        ...     print(meter.energy(begin, time.perf_counter_ns()))
    """

    def __init__(
        self,
        power_w: Callable[[], float | None],
        *,
        energy_j: Callable[[], float | None] | None = None,
        interval_s: float = 0.1,
        keep_s: float = 3600.0,
    ) -> None:
        self._power_w = power_w
        self._energy_j = energy_j
        self._interval_s = interval_s
        self._samples: deque[Sample] = deque(maxlen=max(2, int(keep_s / interval_s)))
        self._counter: deque[Sample] = deque(maxlen=self._samples.maxlen)
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stopped = threading.Event()
        # Before anything can be asked for: a stretch that begins now has a reading at its begin.
        self._take(patience_s=-1)
        self._thread = threading.Thread(target=self._run, name="power-meter", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the thread; what was read can still be asked for."""
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def samples(self) -> list[Sample]:
        """Return the readings that are kept."""
        with self._lock:
            return list(self._samples)

    def energy(self, start_ns: int, end_ns: int) -> Energy | None:
        """Return what a stretch of time took.

        Args:
            start_ns: Its begin, on `time.perf_counter_ns`.
            end_ns: Its end, which has passed.

        Returns:
            None where neither power nor energy is told, and for a stretch that began before the
            meter, or ended after it.
        """
        with self._lock:
            late = not self._samples or self._samples[-1][0] < end_ns
        if late and not self._stopped.is_set():
            self._take(patience_s=_LAST_READING_S)
        with self._lock:
            samples, counter = list(self._samples), list(self._counter)
        joules = integrated_energy_j(
            samples, start_ns, end_ns, max_gap_s=max(2.0, 5 * self._interval_s)
        )
        counted = _counted(counter, start_ns, end_ns)
        if joules is None:
            joules = counted
        if joules is None:
            return None
        seconds = (end_ns - start_ns) / 1e9
        inside = [watts for at_ns, watts in samples if start_ns <= at_ns <= end_ns]
        return Energy(
            joules=joules,
            seconds=seconds,
            mean_w=joules / seconds,
            max_w=max(inside, default=joules / seconds),
            readings=len(inside),
            counter_j=counted,
        )

    def _take(self, *, patience_s: float) -> None:
        # One at a time, so that the readings are in order of time.
        if not self._reading.acquire(timeout=patience_s):
            return
        try:
            watts = self._asked(self._power_w)
            at_ns = time.perf_counter_ns()
            counted = self._asked(self._energy_j)
            counted_ns = time.perf_counter_ns()
            with self._lock:
                if watts is not None:
                    self._samples.append((at_ns, watts))
                if counted is not None:
                    self._counter.append((counted_ns, counted))
        finally:
            self._reading.release()

    def _asked(self, read: Callable[[], float | None] | None) -> float | None:
        try:
            return None if read is None else read()
        except Exception:
            # A gap in the readings is seen by whoever integrates over it.
            logger.warning("a reading failed", exc_info=True)
            return None

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            self._take(patience_s=-1)
            # A reading that took long is not made up for by a burst of others.
            due = max(due + self._interval_s, time.monotonic())
            self._stopped.wait(due - time.monotonic())


def _when(sample: Sample) -> int:
    return sample[0]


def _counted(counter: Sequence[Sample], start_ns: int, end_ns: int) -> float | None:
    """Return the growth of a counter, each end at the reading before it interpolated."""
    first, last = _at(counter, start_ns), _at(counter, end_ns)
    if first is None or last is None or last < first:
        return None
    return last - first


def _at(counter: Sequence[Sample], at_ns: int) -> float | None:
    for (t0, j0), (t1, j1) in itertools.pairwise(counter):
        if t0 <= at_ns <= t1:
            return j0 + (j1 - j0) * (at_ns - t0) / (t1 - t0)
    return None
