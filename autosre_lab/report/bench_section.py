"""Result cards as sections of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autosre_lab.badges import BADGES
from autosre_lab.bench.card_text import duration_text
from autosre_lab.bench.result import Result
from autosre_lab.bench.statistics import percentile
from autosre_lab.bench.summary import METRICS, samples_by_session
from autosre_lab.report.page import Figure, PageSection, Table

__all__ = ["bench_overview", "bench_section"]

_POINTS = 400
_SYMBOLS = ("circle", "square", "diamond", "x", "cross")


def bench_overview(results: Sequence[Result]) -> PageSection:
    """Return all results in one table."""
    rows = [
        (
            one.conditions.workload,
            one.conditions.arrivals,
            one.conditions.cache,
            str(one.summary.requests),
            str(one.summary.failed),
            _share(one.summary.hit_rate),
            duration_text(one.summary.value("ttft_p50")),
            duration_text(one.summary.value("tpot_p50")),
            _number(one.summary.output_tps),
            _share(one.roofline.utilisation if one.roofline is not None else None),
        )
        for one in results
    ]
    return PageSection(
        title="Benchmarks at a glance",
        badge=_badges(results),
        text=(
            "Medians. TTFT: time to first token. TPOT: time per output token after the first. "
            "A throughput without its hit rate says nothing: the prefix cache decides.",
        ),
        tables=(
            Table(
                head=(
                    *("workload", "arrivals", "cache", "requests", "failed", "hit rate"),
                    *("TTFT", "TPOT", "output tokens/s", "of the roofline"),
                ),
                rows=tuple(rows),
            ),
        ),
    )


def bench_section(result: Result) -> PageSection:
    """Return one result, with what is needed to repeat it."""
    summary, conditions = result.summary, result.conditions
    latency = Table(
        head=("latency", "n", "p50", "95 % interval", "p90", "p95", "p99", "max", "what it is"),
        rows=tuple(
            (
                name,
                str(found.n),
                duration_text(found.p50),
                "n/a"
                if found.interval is None
                else f"{duration_text(found.interval[0])} to {duration_text(found.interval[1])}",
                *(duration_text(value) for value in (found.p90, found.p95, found.p99)),
                duration_text(found.max),
                meaning,
            )
            for name, meaning in METRICS.items()
            if (found := summary.latency.get(name)) is not None
        ),
        caption="A percentile is shown where ten samples lie beyond it.",
    )
    return PageSection(
        title=f"{conditions.workload}, {conditions.arrivals}, {conditions.cache} cache",
        badge=BADGES[result.badge],
        warnings=result.warnings,
        tables=(latency, _conditions(result)),
        figures=(_by_turn(result), _cumulative(result)),
    )


def _conditions(result: Result) -> Table:
    conditions, ceiling = result.conditions, result.roofline
    parameters = ", ".join(f"{k}={v}" for k, v in conditions.workload_parameters.items())
    rows = {
        "result": f"{result.id}, {result.at}",
        "workload": f"{conditions.workload}, seed {conditions.workload_seed}, {parameters}",
        "its digest": conditions.workload_sha256,
        "salt": conditions.salt,
        "API": f"{conditions.protocol} at {conditions.url}, model {conditions.model}",
        "recipe": f"{conditions.recipe} {(conditions.recipe_sha256 or '')[:12]}",
        "engine": ", ".join(f"{k} {v}" for k, v in conditions.engine.items() if "." not in k),
        "machine": f"{result.machine.cpu}, {result.machine.cores} cores, "
        f"{result.machine.memory_bytes / 2**30:.0f} GiB, {result.machine.system}, "
        f"kernel {result.machine.kernel}, load {result.machine.load:.1f}",
        "client": f"{result.harness.cpu_share:.1%} of a core, late by at most "
        f"{duration_text(result.harness.loop_lag_s)}",
    }
    if ceiling is not None:
        rows["roofline"] = (
            f"{ceiling.ceiling_tps:.0f} tokens/s: {ceiling.bytes_per_step / 1e9:.2f} GB a step at "
            f"{ceiling.bandwidth_bytes_s / 1e9:.0f} GB/s ({ceiling.bandwidth_source})"
        )
    before, after = result.check_before, result.check_after
    if before is not None and after is not None:
        rows["machine check"] = (
            f"{duration_text(before.step_s)} a step before, {after.drift_from(before):+.1%} after"
        )
    return Table(
        head=("made how", ""),
        rows=tuple(rows.items()),
        words=True,
    )


def _by_turn(result: Result) -> Figure:
    turns: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
    for one in result.timings:
        if one.warmup or one.ttft_s is None:
            continue
        turns["x"].append(one.turn + 1)
        turns["y"].append(one.ttft_s)
        cached = "?" if one.cached_tokens is None else one.cached_tokens
        turns["text"].append(f"{one.session}: {cached} of {one.input_tokens} tokens cached")
    fresh = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "TTFT",
            "marker": {"symbol": "circle", "size": 9, "opacity": 0.7},
            **turns,
        }
    ]
    return Figure(
        data=fresh,
        layout={
            "title": {"text": "Time to first token, turn by turn"},
            "xaxis": {"title": {"text": "turn of its session"}},
            "yaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"},
        },
        summary="Each point is a request: when its first token came, by its turn in the session. "
        "A prefix cache that is hit keeps the later turns low.",
    )


def _cumulative(result: Result) -> Figure:
    traces: list[dict[str, Any]] = []
    for at, metric in enumerate(("ttft", "ttfa", "e2el")):
        samples = [one for group in samples_by_session(result.timings, metric) for one in group]
        if not samples:
            continue
        shares = [step / min(_POINTS, 100) for step in range(min(_POINTS, 100) + 1)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": metric,
                "line": {"dash": ("solid", "dash", "dot")[at]},
                "marker": {"symbol": _SYMBOLS[at], "size": 5, "maxdisplayed": 12},
                "x": [percentile(samples, share) for share in shares],
                "y": [share * 100 for share in shares],
            }
        )
    return Figure(
        data=traces,
        layout={
            "title": {"text": "Latency CDF"},
            "xaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"},
            "yaxis": {"title": {"text": "% of requests"}, "range": [0, 101]},
        },
        summary="Share of requests whose first token, first tool call and end had come after so "
        "many seconds.",
    )


def _badges(results: Sequence[Result]) -> str:
    return ", ".join(sorted({BADGES[one.badge] for one in results}))


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"
