"""Two results side by side: first what differs in how they were made, then the figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from autosre_lab.bench.evidence import ALPHA, LEAST_PAIRS, Evidence, evidence_of
from autosre_lab.bench.result import Conditions, Result
from autosre_lab.bench.statistics import ratio_interval
from autosre_lab.bench.summary import METRICS, samples_by_session
from autosre_lab.errors import NotComparableError

__all__ = ["Comparison", "ComparisonRow", "Difference", "compare_results"]

_COMPARED = ("ttft", "ttfo", "ttfa", "tpot", "e2el", "e2el_scheduled")
_SAME_WORK = ("workload_sha256", "arrivals", "arrivals_seed", "cache", "history", "warmup_s")
_NOT_SHOWN = {"recipe_yaml", "salt", "url", *_SAME_WORK}


class Difference(msgspec.Struct, frozen=True):
    """One condition that the two runs do not share."""

    name: str
    a: str
    b: str


class ComparisonRow(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of both.

    Attributes:
        metric: Its name.
        a: Median of the first, seconds.
        b: Median of the second.
        ratio: b over a.
        interval: 95 % bootstrap interval of the ratio over sessions, drawn in pairs; None where
            there are too few sessions.
    """

    metric: str
    a: float
    b: float
    ratio: float
    interval: tuple[float, float] | None
    p: float | None
    verdict: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two results side by side.

    Attributes:
        a: The first's id.
        b: The second's.
        differences: Conditions that differ; read these first.
        rows: Metric by metric.
        figures: Other figures, a and b: throughput, hit rate, failures, goodput.
        warnings: What makes the comparison doubtful.
    """

    a: str
    b: str
    differences: tuple[Difference, ...]
    rows: tuple[ComparisonRow, ...]
    figures: dict[str, tuple[float | None, float | None]]
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        told = ", ".join(f"{row.metric} {row.verdict}" for row in self.rows[:2])
        return f"<Comparison {self.a} with {self.b}: {told}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.bench.result_card import comparison_card

        return comparison_card(self).mimebundle()


def compare_results(a: Result, b: Result) -> Comparison:
    """Compare two runs of the same work.

    Raises:
        NotComparableError: They are not of the same workload, arrivals and cache state.
    """
    _same_work(a.conditions, b.conditions)
    if a.badge != b.badge:
        raise NotComparableError(
            f"{a.id} was measured on {a.badge}, {b.id} on {b.badge}",
            remedy="measure both on the same kind of engine",
        )
    rows = _rows(a, b)
    names = ("output_tps", "rps", "hit_rate", "error_rate", "good_fraction", "goodput_rps")
    return Comparison(
        a=a.id,
        b=b.id,
        differences=_differences(a, b),
        rows=rows,
        figures={name: (getattr(a.summary, name), getattr(b.summary, name)) for name in names},
        warnings=(*_unsettled(a, b, rows), *_warnings(a, b)),
    )


def _same_work(a: Conditions, b: Conditions) -> None:
    for name in _SAME_WORK:
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            raise NotComparableError(
                f"the results are of different work: {name} is {one} in one, {other} in the other",
                remedy="measure both with the same workload, seed, arrivals and cache state",
            )


def _differences(a: Result, b: Result) -> tuple[Difference, ...]:
    first, second = _flat(a), _flat(b)
    return tuple(
        Difference(name, first.get(name, "n/a"), second.get(name, "n/a"))
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    )


def _flat(result: Result) -> dict[str, str]:
    conditions: dict[str, Any] = msgspec.to_builtins(result.conditions)
    engine = conditions.pop("engine")
    flat = {name: str(value) for name, value in conditions.items() if name not in _NOT_SHOWN}
    flat |= {f"engine.{name}": str(value) for name, value in engine.items()}
    flat |= _recipe_lines(result.conditions.recipe_yaml)
    machine = msgspec.to_builtins(result.machine)
    machine.pop("load")
    flat |= {f"machine.{name}": str(value) for name, value in machine.items()}
    gpu: dict[str, Any] = msgspec.to_builtins(result.gpu) if result.gpu is not None else {}
    gpu.pop("use", None)
    return flat | {f"gpu.{name}": str(value) for name, value in gpu.items()}


def _recipe_lines(text: str | None) -> dict[str, str]:
    """The recipe's leaves by their path, so that a difference names the setting."""
    if text is None:
        return {}
    import yaml

    flat: dict[str, str] = {}

    def walk(path: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{path}.{key}", inner)
        else:
            flat[path] = str(value)

    try:
        walk("recipe", yaml.safe_load(text))
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
    ):  # a result file is data: it may be anything
        return {"recipe": text}
    flat.pop("recipe.name", None)
    return flat


def _rows(a: Result, b: Result) -> tuple[ComparisonRow, ...]:
    medians = {}
    for metric in _COMPARED:
        one, other = a.summary.latency.get(metric), b.summary.latency.get(metric)
        if one is not None and other is not None and one.p50:
            medians[metric] = (one.p50, other.p50)
    samples = [
        {metric: samples_by_session(one.timings, metric) for metric in medians} for one in (a, b)
    ]
    found = evidence_of(*samples)
    drift = _machine_drift(a, b)
    return tuple(
        ComparisonRow(
            metric=metric,
            a=one,
            b=other,
            ratio=other / one,
            interval=ratio_interval(samples[0][metric], samples[1][metric]),
            p=found[metric].p,
            verdict=_verdict(found[metric], drift),
        )
        for metric, (one, other) in medians.items()
    )


def _verdict(found: Evidence, drift: float | None) -> str:
    if found.p is None or found.change is None or drift is None:
        return "inconclusive"
    if found.p > ALPHA:
        return "no difference shown"
    if abs(found.change) <= math.log1p(drift):
        # The machine alone differed by as much.
        return "inconclusive"
    return "faster" if found.change < 0 else "slower"


def _machine_drift(a: Result, b: Result) -> float | None:
    """How much the machine's own pace differed among the checks of both runs.

    0 without checks, and where they are steady; None where the machine changed during a run, which
    makes nothing comparable.
    """
    if a.machine_suspect or b.machine_suspect:
        return None
    before, after = a.check_before, b.check_before
    if before is None or after is None:
        return 0.0
    return abs(after.drift_from(before)) if after.suspect_after(before) else 0.0


def _unsettled(a: Result, b: Result, rows: Sequence[ComparisonRow]) -> tuple[str, ...]:
    """What would settle the rows that are inconclusive."""
    open_rows = [row for row in rows if row.verdict == "inconclusive"]
    if not open_rows:
        return ()
    found = []
    if any(row.p is None for row in open_rows):
        found.append(
            f"inconclusive: {min(a.summary.sessions, b.summary.sessions)} sessions; measure both "
            f"again with {LEAST_PAIRS} or more"
        )
    if a.machine_suspect or b.machine_suspect:
        name = a.id if a.machine_suspect else b.id
        found.append(f"inconclusive: the machine changed during {name}; measure it again")
    elif any(row.p is not None for row in open_rows):
        found.append(
            "inconclusive: the machine's own pace differed by as much; measure both again in turns"
        )
    return tuple(found)


def _warnings(a: Result, b: Result) -> tuple[str, ...]:
    found = [f"{one.id}: {text}" for one in (a, b) for text in one.warnings]
    before, after = a.check_before, b.check_before
    if before is not None and after is not None and after.suspect_after(before):
        found.append(
            f"the machine itself was {abs(after.drift_from(before)):.0%} "
            f"{'slower' if after.drift_from(before) > 0 else 'faster'} in {b.id} than in {a.id}"
        )
    rates = a.summary.hit_rate, b.summary.hit_rate
    if None not in rates and abs((rates[0] or 0) - (rates[1] or 0)) > 0.05:
        found.append(f"the prefix cache was hit at {rates[0]:.0%} and {rates[1]:.0%}")
    return tuple(found)


assert set(_COMPARED) <= set(METRICS)  # noqa: S101 - names of the same table
