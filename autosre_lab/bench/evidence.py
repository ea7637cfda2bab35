"""Is a difference between two runs more than chance? Exact tests, for however few sessions.

Both runs do the same work, so if nothing changed, a session's two results could as well have been
swapped. All ways to swap are tried (or a thousand, drawn), and each metric's difference is compared
with the largest that any metric shows under them: a false "faster" or "slower" of any metric comes
in at most 5 % of comparisons.

Source:
    Fisher, The Design of Experiments, 1935, section 21; Westfall and Young, Resampling-Based
    Multiple Testing, 1993, chapter 2 (the largest statistic).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from autosre_lab.bench.statistics import mean, median

__all__ = ["ALPHA", "LEAST_PAIRS", "Evidence", "evidence_of"]

ALPHA = 0.05
"""Share of comparisons of two runs of the same that may say faster or slower of anything."""

LEAST_PAIRS = 6
"""Sessions that both runs need: of five, 2 of 32 ways to swap are as far out as can be."""

_DRAWS = 999
_EVERY = 1 << 10
_ROUNDING = 1e-9

Samples = Mapping[str, Sequence[Sequence[float]]]
"""By metric, one list of samples a session; an empty one where a session has none."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What two runs say of one metric.

    Attributes:
        change: Mean logarithm of second over first, by session; None without sessions of both.
        p: How often chance alone shows a difference as large in any metric; None where there are
            too few sessions to tell.
        sessions: That took part.
    """

    change: float | None
    p: float | None
    sessions: int


def evidence_of(a: Samples, b: Samples, *, seed: int = 0) -> dict[str, Evidence]:
    """Return what two runs say, metric by metric.

    Args:
        a: The first's samples.
        b: The second's, with the same metrics; sessions are paired by their place where both runs
            have as many.
        seed: Of the draws, where there are too many ways to swap.
    """
    sessions = {len(groups) for samples in (a, b) for groups in samples.values()}
    if len(sessions) == 1:
        return _paired(a, b, seed)
    return _unpaired(a, b, seed)


def _paired(a: Samples, b: Samples, seed: int) -> dict[str, Evidence]:
    changes: dict[str, list[float]] = {}
    for name in a:
        logs = [(_level(one), _level(other)) for one, other in zip(a[name], b[name], strict=True)]
        changes[name] = [
            0.0 if one is None or other is None else other - one for one, other in logs
        ]
    took_part = {
        name: sum(bool(one and other) for one, other in zip(a[name], b[name], strict=True))
        for name in a
    }
    # Swapping changes signs, and not the sum of squares: what is compared is the sum.
    scales = {name: math.sqrt(math.fsum(x * x for x in xs)) for name, xs in changes.items()}
    shown = {
        name: abs(math.fsum(xs)) / scales[name] if scales[name] else 0.0
        for name, xs in changes.items()
    }
    judged = [name for name in a if took_part[name] >= LEAST_PAIRS]
    farthest = (
        [
            max(
                (
                    abs(sum(map(float.__mul__, signs, changes[name]))) / scales[name]
                    for name in judged
                    if scales[name]
                ),
                default=0.0,
            )
            for signs in _signs(max((len(xs) for xs in changes.values()), default=0), seed)
        ]
        if judged
        else []
    )
    return {
        name: Evidence(
            change=math.fsum(xs) / took_part[name] if took_part[name] else None,
            p=_share(farthest, shown[name]) if name in judged else None,
            sessions=took_part[name],
        )
        for name, xs in changes.items()
    }


def _unpaired(a: Samples, b: Samples, seed: int) -> dict[str, Evidence]:
    return {name: _one_unpaired(a[name], b[name], len(a), seed) for name in a}


def _one_unpaired(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], metrics: int, seed: int
) -> Evidence:
    """Swap sessions between the runs; several metrics share the 5 % (Bonferroni)."""
    first = [level for one in a if (level := _level(one)) is not None]
    second = [level for one in b if (level := _level(one)) is not None]
    fewer = min(len(first), len(second))
    if not fewer:
        return Evidence(change=None, p=None, sessions=0)
    change = math.fsum(second) / len(second) - math.fsum(first) / len(first)
    if fewer < LEAST_PAIRS:
        return Evidence(change=change, p=None, sessions=fewer)
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    pooled = [*first, *second]
    middle = mean(pooled) or 0.0
    shown = abs(math.fsum(second) - len(second) * middle)
    drawn = []
    for _ in range(_DRAWS * 4):
        rng.shuffle(pooled)
        drawn.append(abs(math.fsum(pooled[: len(second)]) - len(second) * middle))
    p = min(
        1.0, metrics * (1 + sum(one >= shown * (1 - _ROUNDING) for one in drawn)) / (1 + len(drawn))
    )
    return Evidence(change=change, p=p, sessions=fewer)


def _signs(count: int, seed: int) -> Iterator[tuple[float, ...]]:
    """All ways to swap, or a thousand of them with the one that was seen."""
    if 1 << count <= _EVERY:
        yield from itertools.product((1.0, -1.0), repeat=count)
        return
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    yield (1.0,) * count
    for _ in range(_DRAWS):
        bits = rng.getrandbits(count)
        yield tuple(1.0 if bits >> at & 1 else -1.0 for at in range(count))


def _share(farthest: Sequence[float], shown: float) -> float:
    return sum(one >= shown * (1 - _ROUNDING) for one in farthest) / len(farthest)


def _level(samples: Sequence[float]) -> float | None:
    """Logarithm of a session's median; None without one."""
    middle = median(samples)
    return math.log(middle) if middle is not None and middle > 0 else None
