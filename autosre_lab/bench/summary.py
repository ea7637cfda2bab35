"""A run in figures: pure, from the raw times of its requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from autosre_lab.bench.slo import is_good
from autosre_lab.bench.statistics import (
    bootstrap_interval,
    mean,
    median,
    supported_percentile,
)
from autosre_lab.bench.timing import RequestTiming

__all__ = ["METRICS", "Distribution", "Summary", "samples_by_session", "summarise"]

METRICS: dict[str, str] = {
    "ttfe": "time to first event",
    "ttft": "time to first token",
    "ttfo": "time to first output (not thinking)",
    "ttfa": "time to first action (a complete tool call)",
    "tpot": "time per output token after the first",
    "ntpot": "end-to-end latency per output token",
    "icl": "latency between chunks",
    "e2el": "end-to-end latency",
    "e2el_scheduled": "end-to-end latency from when it was due",
    "dispatch_delay": "from when it was due until it was sent",
}
"""Metrics of requests, in seconds, by the name that `RequestTiming` has with ``_s``."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Of one metric, in its unit.

    Attributes:
        n: Samples.
        mean: Their mean.
        p50: Their median.
        p90: None below 100 samples; ten must lie beyond a percentile.
        p95: None below 200.
        p99: None below 1000.
        max: The largest.
        interval: 95 % bootstrap interval of the median over sessions; None below three sessions.
    """

    n: int
    mean: float
    p50: float
    max: float
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    interval: tuple[float, float] | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run's figures, warm-up left out.

    Attributes:
        requests: Sent and measured.
        failed: Of them, those without a whole answer.
        unsent: Turns not sent, since one before them failed.
        cut: Turns not sent, since the time was over; neither good nor bad.
        warmup: Requests left out.
        sessions: Sessions measured.
        duration_s: From the first sending to the last end.
        input_tokens: Prompt tokens in all.
        cached_tokens: Those from the prefix cache; None where the server did not say of all.
        output_tokens: Generated in all.
        hit_rate: Cached over prompt tokens; None where unknown.
        output_tps: Output tokens a second.
        total_tps: Prompt and output tokens a second.
        rps: Whole answers a second.
        error_rate: Failed over sent.
        concurrency: Mean requests under way (Little's law).
        decoding: Mean requests between their first and last token: what decode steps carried.
        decoded_tps: Tokens after the first, a second; of the time in which something decoded where
            that is less than the run.
        good_fraction: Share of requests, failed and unsent ones included, that kept every limit;
            turns that the clock cut off are not among them. None without limits.
        goodput_rps: Good requests a second; None without limits.
        session_s: Median of whole sessions, from their first due time to their last end.
        turns_per_hour: Whole answers an hour and session.
        prefill_tps: Fresh prompt tokens over TTFT, median; true at one request at a time, else
            queueing is in it. None where cached tokens are unknown.
        decode_tps: 1 / median TPOT.
        tokens_per_chunk: Median.
        latency: Distribution by metric, seconds; a metric without samples is not there.
    """

    requests: int
    failed: int
    unsent: int
    warmup: int
    sessions: int
    duration_s: float
    input_tokens: int
    cached_tokens: int | None
    output_tokens: int
    hit_rate: float | None
    output_tps: float | None
    total_tps: float | None
    rps: float | None
    error_rate: float | None
    concurrency: float | None
    good_fraction: float | None
    goodput_rps: float | None
    session_s: float | None
    turns_per_hour: float | None
    prefill_tps: float | None
    decode_tps: float | None
    tokens_per_chunk: float | None
    latency: dict[str, Distribution]
    cut: int = 0
    decoding: float | None = None
    decoded_tps: float | None = None

    def value(self, metric: str) -> float | None:
        """Return a figure by its name: a field's, or ``ttft_p50`` for a distribution's.

        Raises:
            KeyError: There is no such figure.
        """
        if metric in self.__struct_fields__ and metric != "latency":
            found: float | None = getattr(self, metric)
            return found
        name, _, which = metric.rpartition("_")
        if name not in METRICS or which not in ("mean", "p50", "p90", "p95", "p99", "max"):
            raise KeyError(metric)
        distribution = self.latency.get(name)
        value: float | None = getattr(distribution, which) if distribution is not None else None
        return value


def samples_by_session(timings: Sequence[RequestTiming], metric: str) -> list[list[float]]:
    """Return a metric's samples, one list a session, in the order of the sessions' names.

    Args:
        timings: Requests; warm-up is left out.
        metric: A name of `METRICS`.
    """
    groups: dict[str, list[float]] = {}
    for timing in sorted(timings, key=lambda one: (one.session, one.turn)):
        if timing.warmup:
            continue
        value = getattr(timing, f"{metric}_s")
        samples = value if isinstance(value, list) else [] if value is None else [value]
        groups.setdefault(timing.session, []).extend(samples)
    return list(groups.values())


def summarise(
    timings: Sequence[RequestTiming],
    *,
    unsent: int = 0,
    cut: int = 0,
    limits: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Summary:
    """Return a run's figures.

    Args:
        timings: Every request.
        unsent: Turns that were not sent, since one before them failed.
        cut: Turns that were not sent, since the time was over.
        limits: Seconds by name; see `parse_slo`.
        seed: Of the bootstrap.
    """
    measured = [one for one in timings if not one.warmup]
    whole = [one for one in measured if not one.failed]
    ends = [one.ended_ns for one in measured if one.ended_ns is not None]
    starts = [one.sent_ns for one in measured]
    duration_s = (max(ends) - min(starts)) / 1e9 if ends and starts else 0.0
    input_tokens = sum(one.input_tokens or 0 for one in whole)
    output_tokens = sum(one.output_tokens or 0 for one in measured)
    known = bool(whole) and all(one.cached_tokens is not None for one in whole)
    cached = sum(one.cached_tokens or 0 for one in whole) if known else None
    good = sum(is_good(one, limits) for one in measured) if limits else None
    asked = len(measured) + unsent
    decoding_s = sum(one.decoding_s for one in measured)
    sessions = _sessions(measured)
    tpot = _pooled(measured, "tpot")
    return Summary(
        requests=len(measured),
        failed=len(measured) - len(whole),
        unsent=unsent,
        cut=cut,
        warmup=len(timings) - len(measured),
        sessions=len(sessions),
        duration_s=duration_s,
        input_tokens=input_tokens,
        cached_tokens=cached,
        output_tokens=output_tokens,
        hit_rate=_over(cached, input_tokens),
        output_tps=_over(output_tokens, duration_s),
        total_tps=_over(input_tokens + output_tokens, duration_s),
        rps=_over(len(whole), duration_s),
        error_rate=_over(len(measured) - len(whole), len(measured)),
        concurrency=_over(sum(one.e2el_s or 0.0 for one in whole), duration_s),
        decoding=_over(decoding_s, duration_s),
        decoded_tps=_over(_later_tokens(measured), min(decoding_s, duration_s)),
        good_fraction=_over(good, asked),
        goodput_rps=_over(good, duration_s),
        session_s=median(sessions),
        turns_per_hour=_over(3600 * len(whole), sum(sessions)),
        prefill_tps=median(_each(whole, _prefill_tps)),
        decode_tps=_over(1.0, median(tpot)),
        tokens_per_chunk=median(_each(whole, lambda one: one.tokens_per_chunk)),
        latency={
            name: distribution
            for name in METRICS
            if (distribution := _distribution(samples_by_session(measured, name), seed))
        },
    )


def _distribution(groups: Sequence[Sequence[float]], seed: int) -> Distribution | None:
    samples = [one for group in groups for one in group]
    middle, average = median(samples), mean(samples)
    if middle is None or average is None:
        return None
    return Distribution(
        n=len(samples),
        mean=average,
        p50=middle,
        max=max(samples),
        p90=supported_percentile(samples, 0.9),
        p95=supported_percentile(samples, 0.95),
        p99=supported_percentile(samples, 0.99),
        # Chunks are many and each session's are alike: the interval would cost much, and say
        # little.
        interval=bootstrap_interval(groups, seed=seed) if len(samples) <= 5000 else None,
    )


def _sessions(timings: Sequence[RequestTiming]) -> list[float]:
    spans: dict[str, tuple[int, int]] = {}
    for one in timings:
        if one.failed or one.ended_ns is None:
            continue
        first, last = spans.get(one.session, (one.scheduled_ns, one.ended_ns))
        spans[one.session] = (min(first, one.scheduled_ns), max(last, one.ended_ns))
    return [(last - first) / 1e9 for first, last in spans.values()]


def _pooled(timings: Sequence[RequestTiming], metric: str) -> list[float]:
    return [one for group in samples_by_session(timings, metric) for one in group]


def _prefill_tps(timing: RequestTiming) -> float | None:
    fresh, ttft = timing.fresh_tokens, timing.ttft_s
    return fresh / ttft if fresh and ttft else None


def _later_tokens(timings: Sequence[RequestTiming]) -> int:
    """Tokens after each request's first chunk; where that hides a call's opening, after one."""
    return sum(
        max(0, (one.output_tokens or 0) - (one.first_chunk_tokens or 1))
        for one in timings
        if one.decoding_s > 0
    )


def _each(
    timings: Sequence[RequestTiming], figure: Callable[[RequestTiming], float | None]
) -> list[float]:
    return [value for one in timings if (value := figure(one)) is not None]


def _over(top: float | None, bottom: float | None) -> float | None:
    return top / bottom if top is not None and bottom else None
