"""What samples allow to be said: percentiles, intervals and paired tests. Standard library only."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

__all__ = [
    "bootstrap_interval",
    "enough_for",
    "mcnemar_p",
    "mean",
    "median",
    "percentile",
    "ratio_interval",
    "supported_percentile",
    "wilson_interval",
]

Statistic = Callable[[Sequence[float]], float | None]


def percentile(samples: Sequence[float], p: float) -> float | None:
    """Return a percentile of raw samples, interpolated linearly as numpy's default does.

    Args:
        samples: In any order.
        p: 0 to 1.

    Returns:
        None without samples.
    """
    if not samples:
        return None
    ordered = sorted(samples)
    place = p * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def enough_for(p: float, samples: int) -> bool:
    """Whether so many samples support a percentile: ten of them must lie beyond it.

    The median is always supported: it says where the middle of what was seen is.
    """
    return p <= 0.5 or samples * (1 - p) >= 10 - 1e-9


def supported_percentile(samples: Sequence[float], p: float) -> float | None:
    """Return a percentile, or None where there are too few samples to tell."""
    return percentile(samples, p) if enough_for(p, len(samples)) else None


def median(samples: Sequence[float]) -> float | None:
    """Return the median; None without samples."""
    return percentile(samples, 0.5)


def mean(samples: Sequence[float]) -> float | None:
    """Return the mean; None without samples."""
    return math.fsum(samples) / len(samples) if samples else None


def bootstrap_interval(
    groups: Sequence[Sequence[float]],
    statistic: Statistic = median,
    *,
    seed: int = 0,
    draws: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Percentile bootstrap over groups: whole sessions are drawn, since their turns are alike.

    Args:
        groups: One list of samples a session.
        statistic: Of the pooled samples of a draw.
        seed: Of the draws, so that the same samples give the same interval.
        draws: How many.
        confidence: Share of draws inside.

    Returns:
        The interval, or None below three groups with samples: they do not show their spread.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    filled = [list(group) for group in groups if group]
    if len(filled) < 3:
        return None
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    values = sorted(
        value
        for _ in range(draws)
        if (
            value := statistic(
                [one for group in rng.choices(filled, k=len(filled)) for one in group]
            )
        )
        is not None
    )
    return _inner(values, confidence)


def ratio_interval(
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    statistic: Statistic = median,
    *,
    seed: int = 0,
    draws: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Bootstrap interval of ``statistic(b) / statistic(a)``, sessions drawn pairwise where paired.

    Args:
        a: One list of samples a session.
        b: The other run's; where it has as many groups, the n-th are drawn together.
        statistic: Of the pooled samples of a draw.
        seed: Of the draws.
        draws: How many.
        confidence: Share of draws inside.

    Returns:
        The interval, or None where either run has fewer than three groups.
    """
    paired = len(a) == len(b)
    if paired:
        kept = [(list(one), list(other)) for one, other in zip(a, b, strict=True) if one and other]
        a_groups, b_groups = [one for one, _ in kept], [other for _, other in kept]
    else:
        a_groups, b_groups = [list(g) for g in a if g], [list(g) for g in b if g]
    if min(len(a_groups), len(b_groups)) < 3:
        return None
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    values: list[float] = []
    for _ in range(draws):
        at_a = rng.choices(range(len(a_groups)), k=len(a_groups))
        at_b = at_a if paired else rng.choices(range(len(b_groups)), k=len(b_groups))
        top = statistic([one for at in at_b for one in b_groups[at]])
        bottom = statistic([one for at in at_a for one in a_groups[at]])
        if top is not None and bottom:
            values.append(top / bottom)
    return _inner(sorted(values), confidence)


def wilson_interval(
    successes: int, n: int, *, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Interval of a rate from counts; None without trials.

    Source:
        Wilson 1927, in the form of Brown, Cai and DasGupta, Statistical Science 16 (2001) 101.
    """
    if n <= 0:
        return None
    z = _normal_quantile(0.5 + confidence / 2)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of a paired pass/fail comparison.

    Args:
        only_a: Cases that only the first passed.
        only_b: Cases that only the second passed.

    Returns:
        1 where both counts are equal or zero.

    Source:
        McNemar 1947; the exact binomial form.
    """
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _inner(ordered: Sequence[float], confidence: float) -> tuple[float, float] | None:
    low = percentile(ordered, (1 - confidence) / 2)
    high = percentile(ordered, (1 + confidence) / 2)
    return None if low is None or high is None else (low, high)


def _normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
