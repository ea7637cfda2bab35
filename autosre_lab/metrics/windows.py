"""What changed between two scrapes, and whether that may be believed.

Counters that went down, or a process that started later, mean that the engine was restarted in
between: such a window is dropped, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from autosre_lab.metrics.engine_sample import COUNTERS, HISTOGRAMS, EngineSample, Histogram

__all__ = ["EngineWindow", "merged_windows", "window_between"]

# A counter of seconds is a float sum of many; it may lose a few units in its last place.
_ROUNDING = 1e-9


class EngineWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Differences of two scrapes.

    Attributes:
        start_s: The first scrape, seconds since the epoch.
        end_s: The last.
        duration_s: Seconds covered; of a merged window without the parts that were dropped.
        counters: What each counter grew by; a counter that either scrape lacks is not in it.
        histograms: What each histogram observed; likewise.
        finished: Requests ended, by reason; None where not exposed.
        accepted_per_position: Accepted draft tokens by position; None without speculation.
        dropped: Why the window's numbers cannot be used; None where they can.
        dropped_windows: In a merged window, how many of its parts were dropped.
    """

    start_s: float
    end_s: float
    duration_s: float
    counters: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}
    finished: dict[str, float] | None = None
    accepted_per_position: tuple[float, ...] | None = None
    dropped: str | None = None
    dropped_windows: int = 0


def window_between(before: EngineSample, after: EngineSample) -> EngineWindow:
    """Return what happened between two scrapes of one engine."""
    duration_s = (after.clock_ns - before.clock_ns) / 1e9
    dropped = _why_dropped(before, after, duration_s)
    if dropped is not None:
        return EngineWindow(
            start_s=before.time_s,
            end_s=after.time_s,
            duration_s=max(0.0, duration_s),
            dropped=dropped,
            dropped_windows=1,
        )
    return EngineWindow(
        start_s=before.time_s,
        end_s=after.time_s,
        duration_s=duration_s,
        counters=dict(_differences(before, after)),
        histograms={
            name: last.minus(first) for name, first, last in _histogram_pairs(before, after)
        },
        finished=_mapping_difference(before.finished, after.finished),
        accepted_per_position=_positions_difference(before, after),
    )


def merged_windows(windows: Iterable[EngineWindow]) -> EngineWindow:
    """Put windows together into one, the dropped ones left out and counted.

    What one of them lacks, the result lacks: a sum over a part would be no sum.

    Raises:
        ValueError: There is no window.
    """
    parts = list(windows)
    if not parts:
        raise ValueError("no windows to merge")
    good = [part for part in parts if part.dropped is None]
    start_s, end_s = min(part.start_s for part in parts), max(part.end_s for part in parts)
    dropped_windows = sum(part.dropped_windows for part in parts)
    if not good:
        return EngineWindow(
            start_s=start_s,
            end_s=end_s,
            duration_s=sum(part.duration_s for part in parts),
            dropped=parts[-1].dropped,
            dropped_windows=dropped_windows,
        )
    counters = set.intersection(*(set(part.counters) for part in good))
    histograms = set.intersection(*(set(part.histograms) for part in good))
    return EngineWindow(
        start_s=start_s,
        end_s=end_s,
        duration_s=math.fsum(part.duration_s for part in good),
        counters={
            name: math.fsum(part.counters[name] for part in good)
            for name in COUNTERS
            if name in counters
        },
        histograms={
            name: _histogram_sum([part.histograms[name] for part in good])
            for name in HISTOGRAMS
            if name in histograms
        },
        finished=_mapping_sum([part.finished for part in good]),
        accepted_per_position=_positions_sum([part.accepted_per_position for part in good]),
        dropped_windows=dropped_windows,
    )


def _why_dropped(before: EngineSample, after: EngineSample, duration_s: float) -> str | None:
    if duration_s <= 0:
        return "the second scrape is not later than the first"
    if before.model != after.model or before.engines != after.engines:
        return (
            f"another engine: {before.model or 'none'} x{before.engines} before, "
            f"{after.model or 'none'} x{after.engines} after"
        )
    if (
        before.started_s is not None
        and after.started_s is not None
        and after.started_s > before.started_s
    ):
        return "the engine was restarted: its process started between the two scrapes"
    for name, change in _differences(before, after):
        if change < 0:
            return f"the engine was restarted: {name} went down"
    for name, first, last in _histogram_pairs(before, after):
        if last.count < first.count or last.sum < first.sum * (1 - _ROUNDING) - _ROUNDING:
            return f"the engine was restarted: the count of {name} went down"
    for reason, change in (_mapping_difference(before.finished, after.finished) or {}).items():
        if change < 0:
            return f"the engine was restarted: finished requests ({reason}) went down"
    return None


def _differences(before: EngineSample, after: EngineSample) -> list[tuple[str, float]]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in COUNTERS)
    return [
        (name, last - first)
        for name, first, last in pairs
        if first is not None and last is not None
    ]


def _histogram_pairs(
    before: EngineSample, after: EngineSample
) -> list[tuple[str, Histogram, Histogram]]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in HISTOGRAMS)
    return [
        (name, first, last) for name, first, last in pairs if first is not None and last is not None
    ]


def _mapping_difference(
    before: dict[str, float] | None, after: dict[str, float] | None
) -> dict[str, float] | None:
    if before is None or after is None:
        return None
    # A label value appears with its first event: it was 0 before.
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def _mapping_sum(parts: list[dict[str, float] | None]) -> dict[str, float] | None:
    total: dict[str, float] = {}
    for part in parts:
        if part is None:
            return None
        for key, value in part.items():
            total[key] = total.get(key, 0.0) + value
    return total


def _positions_difference(before: EngineSample, after: EngineSample) -> tuple[float, ...] | None:
    first, last = before.accepted_per_position, after.accepted_per_position
    if first is None or last is None or len(first) != len(last):
        return None
    return tuple(two - one for one, two in zip(first, last, strict=True))


def _positions_sum(parts: list[tuple[float, ...] | None]) -> tuple[float, ...] | None:
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or len({len(part) for part in known}) != 1:
        return None
    return tuple(math.fsum(values) for values in zip(*known, strict=True))


def _histogram_sum(parts: list[Histogram]) -> Histogram:
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total
