"""Is the candidate better than the incumbent, beyond the noise?"""

from __future__ import annotations

from collections.abc import Sequence

from autosre_lab.bench.result import Result
from autosre_lab.bench.statistics import mean, percentile, ratio_interval
from autosre_lab.bench.summary import METRICS, samples_by_session
from autosre_lab.tuning.experiment import Objective

__all__ = ["Verdict", "compare_blocks"]

Verdict = tuple[float | None, tuple[float, float] | None, bool]
"""The objective's ratio, its interval, and whether the candidate is better beyond doubt."""

_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def compare_blocks(
    objective: Objective, incumbent: Sequence[Result], candidate: Sequence[Result]
) -> Verdict:
    """Compare measurements of two configurations taken in turns.

    A latency is judged by the bootstrap interval of the ratio over sessions of all blocks: it must
    exclude 1. Any other figure has one value a block: each of the candidate's must beat each of the
    incumbent's, of at least two each.

    Args:
        objective: What is to be better.
        incumbent: Its blocks.
        candidate: Its blocks.
    """
    ours = [one.summary.value(objective.figure) for one in incumbent]
    theirs = [one.summary.value(objective.figure) for one in candidate]
    known = [one for one in ours if one is not None], [one for one in theirs if one is not None]
    low, high = mean(known[0]), mean(known[1])
    if not low or high is None:
        return None, None, False
    ratio = high / low
    name, _, which = objective.figure.rpartition("_")
    if name not in METRICS or which not in (*_SHARES, "mean"):
        apart = min(len(known[0]), len(known[1])) >= 2 and all(
            objective.better(b / a) for b in known[1] for a in known[0] if a
        )
        return ratio, None, apart
    interval = ratio_interval(
        _groups(incumbent, name),
        _groups(candidate, name),
        mean if which == "mean" else lambda samples: percentile(samples, _SHARES[which]),
    )
    if interval is None:
        return ratio, None, False
    return ratio, interval, objective.better(interval[0]) and objective.better(interval[1])


def _groups(blocks: Sequence[Result], metric: str) -> list[list[float]]:
    return [group for one in blocks for group in samples_by_session(one.timings, metric)]
