"""Statistics of the proxy benchmark: pure, without numpy, on raw samples.

Percentiles interpolate linearly between order statistics (numpy's default). A percentile is given
only where the sample holds at least ten values beyond it; a p99 of fifty samples is their maximum
under another name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = [
    "Added",
    "added_latency",
    "median",
    "median_interval",
    "peak_overlap",
    "per_chunk_us",
    "percentile",
    "ratio",
]

_BEYOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a proxy adds to a latency: paired differences against the direct way.

    Attributes:
        n: Pairs.
        p50_ms: Median of the differences.
        low_ms: Lower end of the median's 95 % confidence interval.
        high_ms: Upper end of it.
        p99_ms: 99th percentile; None where there are too few pairs to tell.
        max_ms: Largest difference.
    """

    n: int
    p50_ms: float
    low_ms: float
    high_ms: float
    p99_ms: float | None
    max_ms: float


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the samples lie.

    Raises:
        ValueError: There are no samples, or the share is not a share.
    """
    if not samples or not 0 <= share <= 1:
        raise ValueError(f"no {share} percentile of {len(samples)} samples")
    ordered = sorted(samples)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(samples: Sequence[float]) -> float:
    """Return the middle sample."""
    return percentile(samples, 0.5)


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % confidence interval of the median, from order statistics.

    It assumes nothing about the shape of the distribution. Below six samples no pair of order
    statistics covers the median with 95 %; the extremes are returned then.
    """
    ordered = sorted(samples)
    n = len(ordered)
    # Normal approximation of the binomial(n, 1/2) ranks, rounded outwards.
    half = 1.96 * math.sqrt(n) / 2
    low = max(math.floor(n / 2 - half) - 1, 0)
    high = min(math.ceil(n / 2 + half), n - 1)
    return ordered[low], ordered[high]


def added_latency(through_ms: Sequence[float], direct_ms: Sequence[float]) -> Added:
    """Return what the way through a proxy adds to the direct way.

    Args:
        through_ms: One latency per round through the proxy.
        direct_ms: The same rounds' latencies without it, in the same order.

    Raises:
        ValueError: The two do not pair up.
    """
    differences = [a - b for a, b in zip(through_ms, direct_ms, strict=True)]
    low, high = median_interval(differences)
    enough = len(differences) >= round(_BEYOND / (1 - 0.99))
    return Added(
        n=len(differences),
        p50_ms=median(differences),
        low_ms=low,
        high_ms=high,
        p99_ms=percentile(differences, 0.99) if enough else None,
        max_ms=max(differences),
    )


def per_chunk_us(cpu_s: Sequence[float], chunks: Sequence[int]) -> float:
    """Return CPU microseconds per chunk over all rounds together.

    Pooled, because the kernel counts CPU time in ticks of 10 ms: the rounding of single rounds
    cancels out in the sum.

    Raises:
        ValueError: No chunk was carried.
    """
    if sum(chunks) == 0:
        raise ValueError("no chunks, so no time per chunk")
    return sum(cpu_s) / sum(chunks) * 1e6


def ratio(rival: float | None, ours: float | None) -> float | None:
    """Return how many times as much the rival takes, or None where that says nothing."""
    if rival is None or ours is None or rival <= 0 or ours <= 0:
        return None
    return rival / ours


def peak_overlap(spans: Sequence[tuple[int, int]]) -> int:
    """Return how many of the spans (start, end) there were at once, at the most.

    A span that ends at the moment another starts does not overlap it.
    """
    events = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    return max(accumulate((change for _, change in events), initial=0))
