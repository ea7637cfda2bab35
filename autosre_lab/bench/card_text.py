"""Results and comparisons as text, for a terminal or a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence

from autosre_lab.badges import BADGES
from autosre_lab.bench.comparison import Comparison
from autosre_lab.bench.gpu_use import MeasuredGpu
from autosre_lab.bench.machine_check import MachineCheck
from autosre_lab.bench.result import Result
from autosre_lab.bench.summary import METRICS, Distribution, Summary

__all__ = [
    "checked",
    "compared_figures",
    "compared_rows",
    "comparison_text",
    "duration_text",
    "figures",
    "footnotes",
    "gpu_text",
    "latency_rows",
    "made_of",
    "result_text",
    "text_table",
]


def duration_text(seconds: float | None) -> str:
    """Return a time with a unit that keeps it readable; n/a for None."""
    if seconds is None:
        return "n/a"
    if abs(seconds) < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if abs(seconds) < 1:
        return f"{seconds * 1e3:.3g} ms" if abs(seconds) < 0.1 else f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s" if abs(seconds) < 600 else f"{seconds / 60:.1f} min"


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns also line up in a terminal."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return "| " + " | ".join(aligned) + " |"

    rule = [
        "-" * widths[0],
        *("-" * (width - 1) + ":" for width in widths[1:]),
    ]
    return "\n".join([line(head), "| " + " | ".join(rule) + " |", *(line(row) for row in rows)])


def result_text(result: Result) -> str:
    """Return a result card."""
    parts = [
        _heading(result),
        "\n".join(f"{name}: {value}" for name, value in figures(result.summary).items()),
        text_table(*latency_rows(result)),
        "\n".join(footnotes(result)),
    ]
    if result.warnings:
        parts.append("\n".join(f"! {warning}" for warning in result.warnings))
    return "\n\n".join(part for part in parts if part)


def comparison_text(comparison: Comparison) -> str:
    """Return a comparison: what differs first, then the figures."""
    differences = [[one.name, one.a, one.b] for one in comparison.differences]
    parts = [
        "Configuration: what differs"
        if differences
        else "Configuration: nothing differs; the ratio shows the noise",
        text_table(["condition", comparison.a, comparison.b], differences) if differences else "",
        text_table(
            ["p50", comparison.a, comparison.b, "ratio", "95 % interval", "said of the second"],
            compared_rows(comparison),
        ),
        text_table(["figure", comparison.a, comparison.b], compared_figures(comparison)),
        "\n".join(f"! {warning}" for warning in comparison.warnings),
    ]
    return "\n\n".join(part for part in parts if part)


def latency_rows(result: Result) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a result's table of latencies."""
    return ["latency", "n", "p50", "95 % interval", "p90", "p95", "p99", "max"], [
        [name, *_cells(result.summary.latency[name])]
        for name in METRICS
        if name in result.summary.latency
    ]


def compared_rows(comparison: Comparison) -> list[list[str]]:
    """Return metric, both medians, their ratio with its interval, and the verdict."""
    return [
        [
            row.metric,
            duration_text(row.a),
            duration_text(row.b),
            f"{row.ratio:.3f}",
            "n/a" if row.interval is None else f"{row.interval[0]:.3f} to {row.interval[1]:.3f}",
            row.verdict,
        ]
        for row in comparison.rows
    ]


def compared_figures(comparison: Comparison) -> list[list[str]]:
    """Return the other figures of both."""
    return [[name, _number(a), _number(b)] for name, (a, b) in comparison.figures.items()]


def made_of(result: Result) -> str:
    """Return how a result was made, in a line."""
    conditions = result.conditions
    made = [
        f"{conditions.workload} (seed {conditions.workload_seed}, "
        f"{conditions.workload_sha256[:12]})",
        f"arrivals {conditions.arrivals}",
        f"cache {conditions.cache}",
        f"{conditions.protocol} API",
        conditions.recipe or conditions.model,
    ]
    return "; ".join(made)


def _heading(result: Result) -> str:
    engine = result.conditions.engine.get("version")
    return (
        f"{result.id}, {result.at}, measured on: {BADGES[result.badge]}"
        + (f", vLLM {engine}" if engine else "")
        + (f", torch {torch}" if (torch := result.conditions.engine.get("torch")) else "")
        + "\n"
        + made_of(result)
    )


def figures(summary: Summary) -> dict[str, str]:
    """Return a run's figures in words."""
    found = {
        "requests": f"{summary.requests}, {summary.failed} failed, {summary.unsent} not sent, "
        + (f"{summary.cut} past the time, " if summary.cut else "")
        + f"{summary.warmup} of the warm-up left out; {summary.sessions} sessions",
        "duration": duration_text(summary.duration_s),
        "tokens": f"{summary.input_tokens} in ({_share(summary.hit_rate)} from the prefix cache), "
        f"{summary.output_tokens} out",
        "throughput": f"{_number(summary.output_tps)} output tokens/s, "
        f"{_number(summary.rps)} requests/s, {_number(summary.concurrency)} under way, "
        f"{_number(summary.decoding)} decoding",
        "one request": f"{_number(summary.decode_tps)} tokens/s decode, "
        f"{_number(summary.prefill_tps)} fresh tokens/s until the first token",
        "session": f"{duration_text(summary.session_s)}, "
        f"{_number(summary.turns_per_hour)} turns an hour",
    }
    if summary.good_fraction is not None:
        found["good"] = (
            f"{_share(summary.good_fraction)} of requests, {_number(summary.goodput_rps)} a second"
        )
    return found


def _cells(distribution: Distribution) -> list[str]:
    low_high = distribution.interval
    interval = (
        "n/a"
        if low_high is None
        else f"{duration_text(low_high[0])} to {duration_text(low_high[1])}"
    )
    return [
        str(distribution.n),
        duration_text(distribution.p50),
        interval,
        *(duration_text(one) for one in (distribution.p90, distribution.p95, distribution.p99)),
        duration_text(distribution.max),
    ]


def footnotes(result: Result) -> list[str]:
    """Return what a result says of the machine and of the client, a line each."""
    lines: list[str] = []
    if (ceiling := result.roofline) is not None:
        lines.append(
            f"roofline: {ceiling.ceiling_tps:.0f} tokens/s "
            f"({ceiling.bytes_per_step / 1e9:.2f} GB a step, "
            f"{ceiling.bandwidth_bytes_s / 1e9:.0f} GB/s, {ceiling.bandwidth_source}); "
            f"{_share(ceiling.utilisation)} of it"
        )
    if result.check_before is not None and result.check_after is not None:
        lines.append(f"machine check: {checked(result.check_before, result.check_after)}")
    if result.gpu is not None:
        lines.append(f"GPU: {gpu_text(result.gpu)}")
    harness = result.harness
    lines.append(
        f"client: {harness.cpu_share:.1%} of a core, late by "
        f"{duration_text(harness.loop_lag_s)} at most"
    )
    return lines


def checked(before: MachineCheck, after: MachineCheck) -> str:
    """Return two machine checks as a phrase: a step's time, its change, its own spread."""
    limit = after.limit_with(before)
    spread = "its own spread is not known" if limit is None else f"its own spread {limit:.0%}"
    change = f"{after.drift_from(before):+.1%} after"
    return f"{duration_text(before.step_s)} a step before, {change}; {spread}"


def gpu_text(gpu: MeasuredGpu) -> str:
    """Return what the GPUs are and what they did, as a phrase; what is not told is left out."""
    use, energy = gpu.use, gpu.use.energy
    parts = [
        gpu.name if gpu.count == 1 else f"{gpu.count} x {gpu.name}",
        gpu.driver and f"driver {gpu.driver}",
        gpu.memory_bytes and f"{gpu.memory_bytes / 2**30:.1f} GiB",
        use.memory_used_bytes and f"{use.memory_used_bytes / 2**30:.1f} GiB in use",
        gpu.power_limit_w and f"limit {gpu.power_limit_w:.0f} W",
        use.sm_clock_mhz
        and f"SM clock {use.sm_clock_mhz[0]} to {use.sm_clock_mhz[1]} MHz"
        + (f" of {gpu.sm_clock_max_mhz}" if gpu.sm_clock_max_mhz else ""),
        gpu.memory_clock_mhz and f"memory clock {gpu.memory_clock_mhz} MHz",
        use.temperature_c and f"{use.temperature_c} °C at most",
        f"slowed by {', '.join(use.slowed_by)}" if use.slowed_by else "not slowed",
        energy and f"{energy.joules:.0f} J, {energy.mean_w:.0f} W on average",
        use.joules_per_token and f"{use.joules_per_token:.3g} J a token",
    ]
    return ", ".join(part for part in parts if part)


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
