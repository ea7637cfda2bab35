"""Windows between scrapes: never a negative rate, never a number across a restart."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.metrics import (
    EngineSample,
    Histogram,
    WindowRates,
    merged_windows,
    rates_of,
    window_between,
    window_rates,
)
from autosre_lab.metrics.engine_sample import COUNTERS, HISTOGRAMS
from tests.metrics.bodies import parsed

BOUNDS = (0.01, 0.1, 1.0)


@dataclasses.dataclass(frozen=True)
class Growth:
    """What happens between two scrapes."""

    duration_ns: int
    counters: dict[str, float]
    histograms: dict[str, tuple[int, int, int, int]]


amounts = st.integers(0, 10**7).map(float)
growths = st.builds(
    Growth,
    duration_ns=st.integers(10**6, 10**11),
    counters=st.fixed_dictionaries(dict.fromkeys(COUNTERS, amounts)),
    histograms=st.fixed_dictionaries(
        dict.fromkeys(HISTOGRAMS, st.tuples(*[st.integers(0, 1000)] * 4))
    ),
)
present = st.sets(st.sampled_from([*COUNTERS, *HISTOGRAMS]))


def scrapes(growth: list[Growth], shown: set[str]) -> list[EngineSample]:
    """Return the scrapes of an engine that exposes only some series."""
    clock_ns = 0
    counters = dict.fromkeys(COUNTERS, 0.0)
    observed = dict.fromkeys(HISTOGRAMS, (0, 0, 0, 0))
    samples = []
    for step in growth:
        clock_ns += step.duration_ns
        counters = {name: counters[name] + step.counters[name] for name in COUNTERS}
        observed = {
            name: tuple(a + b for a, b in zip(observed[name], step.histograms[name], strict=True))  # type: ignore[misc]
            for name in HISTOGRAMS
        }
        fields: dict[str, Any] = {name: counters[name] for name in COUNTERS if name in shown}
        fields |= {name: histogram(observed[name]) for name in HISTOGRAMS if name in shown}
        samples.append(EngineSample(time_s=clock_ns / 1e9, clock_ns=clock_ns, engines=1, **fields))
    return samples


def histogram(counts: tuple[int, int, int, int]) -> Histogram:
    """Return a histogram of values at 0.005, 0.05, 0.5 and 5 seconds."""
    total = sum(count * value for count, value in zip(counts, (0.005, 0.05, 0.5, 5), strict=True))
    below = [sum(counts[: i + 1]) for i in range(3)]
    return Histogram(
        sum=total, count=sum(counts), buckets=tuple(zip(BOUNDS, map(float, below), strict=True))
    )


def numbers(rates: WindowRates) -> dict[str, float]:
    """Return the fields that are numbers."""
    return {
        name: value
        for name, value in msgspec.structs.asdict(rates).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


@given(st.lists(growths, min_size=2, max_size=5), present)
def test_counters_that_grow_give_rates_that_are_not_negative(
    growth: list[Growth], shown: set[str]
) -> None:
    samples = scrapes(growth, shown)
    for before, after in itertools.pairwise(samples):
        rates = window_rates(before, after, step_bytes=1e9, bandwidth_bytes_per_s=273e9)
        assert rates.dropped is None
        assert min(numbers(rates).values()) >= 0


@given(st.lists(growths, min_size=2, max_size=2), present)
def test_a_series_that_is_missing_gives_none_and_never_zero(
    growth: list[Growth], shown: set[str]
) -> None:
    rates = window_rates(*scrapes(growth, shown))
    for counter, rate in [
        ("generation_tokens", rates.gen_tps),
        ("prompt_tokens_computed", rates.prompt_tps_compute),
        ("preemptions", rates.preemptions_per_s),
        ("rejections", rates.rejections_per_s),
        ("iteration_tokens", rates.steps_per_s),
        ("e2e_s", rates.requests_per_s),
    ]:
        assert (rate is None) == (counter not in shown), counter


@given(st.lists(growths, min_size=3, max_size=6), present)
def test_merged_windows_say_what_one_long_window_says(
    growth: list[Growth], shown: set[str]
) -> None:
    samples = scrapes(growth, shown)
    parts = [window_between(a, b) for a, b in itertools.pairwise(samples)]
    long, merged = window_between(samples[0], samples[-1]), merged_windows(parts)
    assert (merged.start_s, merged.end_s) == (long.start_s, long.end_s)
    assert merged.duration_s == pytest.approx(long.duration_s)
    assert numbers(rates_of(merged)) == pytest.approx(numbers(rates_of(long)), abs=1e-6)


@given(
    st.lists(growths, min_size=2, max_size=2),
    st.sampled_from([*COUNTERS, *HISTOGRAMS]),
    st.floats(0, 0.999),
)
def test_whatever_goes_down_drops_the_window_and_says_so(
    growth: list[Growth], name: str, left: float
) -> None:
    before, after = scrapes(growth, {*COUNTERS, *HISTOGRAMS})
    last = getattr(before, name)
    lower: Any
    if isinstance(last, Histogram):
        before = msgspec.structs.replace(before, **{name: Histogram(sum=1.0, count=last.count + 1)})
        lower = Histogram(sum=left, count=float(int(last.count * left)))
    else:
        before = msgspec.structs.replace(before, **{name: last + 1})
        lower = (last + 1) * left
    window = window_between(before, msgspec.structs.replace(after, **{name: lower}))
    assert window.dropped is not None
    assert "restarted" in window.dropped
    assert name in window.dropped
    rates = rates_of(window)
    assert rates.dropped == window.dropped
    assert set(numbers(rates)) == {"start_s", "end_s", "duration_s"}


def test_a_restart_whose_counters_have_overtaken_the_old_ones_is_seen_by_its_start() -> None:
    before = EngineSample(time_s=0, clock_ns=0, engines=1, started_s=100.0, generation_tokens=5)
    after = EngineSample(
        time_s=60, clock_ns=60 * 10**9, engines=1, started_s=130.0, generation_tokens=900
    )
    assert "process started" in str(window_between(before, after).dropped)


def test_a_merge_leaves_a_restart_out_and_counts_it() -> None:
    def at(second: int, tokens: float) -> EngineSample:
        return EngineSample(
            time_s=second, clock_ns=second * 10**9, engines=1, generation_tokens=tokens
        )

    samples = [at(0, 0), at(1, 10), at(2, 20), at(5, 3), at(6, 13)]
    parts = [window_between(a, b) for a, b in itertools.pairwise(samples)]
    merged = merged_windows(parts)
    assert merged.dropped is None
    assert merged.dropped_windows == 1
    assert merged.duration_s == 3
    assert rates_of(merged).gen_tps == 10
    only_bad = merged_windows([parts[2]])
    assert only_bad.dropped is not None
    assert rates_of(only_bad).gen_tps is None
    with pytest.raises(ValueError, match="no windows"):
        merged_windows([])


def test_another_model_or_the_same_moment_is_no_window() -> None:
    one = EngineSample(time_s=0, clock_ns=0, engines=1, model="a")
    two = EngineSample(time_s=1, clock_ns=10**9, engines=1, model="b")
    assert "another engine" in str(window_between(one, two).dropped)
    assert "not later" in str(window_between(one, one).dropped)


def test_the_figures_of_a_real_engine() -> None:
    rates = window_rates(
        parsed("vllm-0.32.0-started", at_s=0), parsed("vllm-0.32.0-after", at_s=10)
    )
    assert rates.gen_tps == pytest.approx(12.6)
    assert rates.finished == {"stop": 1, "length": 3, "abort": 0, "error": 0, "repetition": 0}
    assert rates.prefix_hit == pytest.approx(512 / (271 + 271 + 271 + 32))
    assert rates.prefix_hit == rates.prefix_hit_queries
    assert rates.steps_per_s == pytest.approx(12.6)
    assert rates.queue_share is not None
    assert 0 < rates.queue_share < 0.01
    assert rates.accept_len is None
    assert rates.p95_ttft_s is None, "four requests are too few"


def test_one_token_requests_dilute_the_engines_tpot_but_not_the_time_per_token() -> None:
    whole = parsed("vllm-0.32.0-after", at_s=10)
    empty = EngineSample(
        time_s=0,
        clock_ns=0,
        engines=1,
        model=whole.model,
        tpot_s=Histogram(sum=0, count=0),
        decode_s=Histogram(sum=0, count=0),
        request_generation_tokens=Histogram(sum=0, count=0),
    )
    rates = window_rates(empty, whole)
    assert rates.mean_tpot_s == pytest.approx(0.0397, abs=1e-4)
    assert rates.decode_s_per_token == pytest.approx(7.2375 / 122, abs=1e-4)


def test_speculation_is_told_per_draft_and_per_position() -> None:
    after = parsed("vllm-0.24.0-speculative-dp2", at_s=4)
    before = msgspec.structs.replace(
        after,
        clock_ns=0,
        drafts=0.0,
        draft_tokens=0.0,
        accepted_tokens=0.0,
        accepted_per_position=(0.0, 0.0, 0.0),
    )
    rates = window_rates(before, after)
    assert rates.accept_rate == 0.5
    assert rates.accept_len == 2.5
    assert rates.accept_by_position == (0.75, 0.5, 0.25)


def test_bandwidth_is_told_from_given_bytes_or_from_the_engines_estimate() -> None:
    def at(second: int, steps: int, read: float | None) -> EngineSample:
        return EngineSample(
            time_s=second,
            clock_ns=second * 10**9,
            engines=1,
            read_bytes=read,
            iteration_tokens=Histogram(sum=steps, count=steps),
        )

    given_bytes = window_rates(
        at(0, 0, None), at(1, 100, None), step_bytes=1.365e9, bandwidth_bytes_per_s=273e9
    )
    assert given_bytes.mbu == pytest.approx(0.5)
    assert given_bytes.mbu_source == "step_bytes"
    told = window_rates(at(0, 0, 1e9), at(1, 100, 28.3e9), bandwidth_bytes_per_s=273e9)
    assert told.mbu == pytest.approx(0.1)
    assert told.mbu_source == "engine"
    assert window_rates(at(0, 0, None), at(1, 1, None), step_bytes=1e9).mbu is None


@pytest.mark.parametrize(("requests", "known"), [(19, False), (20, True)])
def test_a_high_quantile_waits_for_twenty_requests(requests: int, known: bool) -> None:
    def at(seconds: int, count: int) -> EngineSample:
        first = Histogram(sum=count * 0.05, count=count, buckets=((0.1, count), (1.0, count)))
        return EngineSample(time_s=seconds, clock_ns=seconds * 10**9, engines=1, ttft_s=first)

    rates = window_rates(at(0, 0), at(1, requests))
    assert (rates.p95_ttft_s is not None) is known
    assert rates.p50_ttft_s == pytest.approx(0.05)
