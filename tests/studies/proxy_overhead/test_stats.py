from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.studies.proxy_overhead.stats import (
    added_latency,
    median,
    median_interval,
    peak_overlap,
    per_chunk_us,
    percentile,
    ratio,
)


def test_percentiles_interpolate_between_samples() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile([10.0, 20.0], 0.25) == 12.5
    assert percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(("samples", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_a_percentile_of_nothing_or_beyond_everything_is_refused(
    samples: list[float], share: float
) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(samples, share)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_the_interval_of_the_median_holds_the_median(samples: list[float]) -> None:
    low, high = median_interval(samples)

    assert min(samples) <= low <= median(samples) <= high <= max(samples)


def test_the_interval_narrows_with_more_samples() -> None:
    low, high = median_interval([float(number) for number in range(1000)])

    assert 460 < low < 500 < high < 540


def test_added_latency_pairs_each_round_with_its_own_direct_time() -> None:
    # Round 3 was slow for both: the machine's doing, not the proxy's.
    added = added_latency([3.0, 4.0, 103.0], [1.0, 2.0, 101.0])

    assert (added.n, added.p50_ms, added.max_ms) == (3, 2.0, 2.0)


def test_added_latency_refuses_lists_that_do_not_pair() -> None:
    with pytest.raises(ValueError, match="zip"):
        added_latency([1.0, 2.0], [1.0])


def test_a_p99_needs_ten_samples_beyond_it() -> None:
    zeros = [0.0] * 1000
    counted = [float(number) for number in range(1000)]

    assert added_latency(counted[:999], zeros[:999]).p99_ms is None
    assert added_latency(counted, zeros).p99_ms == pytest.approx(989.01)


def test_time_per_chunk_is_pooled_over_rounds() -> None:
    # Single rounds are rounded to ticks; their sum is right.
    assert per_chunk_us([0.01, 0.0, 0.02], [1000, 1000, 1000]) == pytest.approx(10.0)


def test_time_per_chunk_of_no_chunks_is_refused() -> None:
    with pytest.raises(ValueError, match="no chunks"):
        per_chunk_us([0.1], [0])


@pytest.mark.parametrize(
    ("rival", "ours", "times"),
    [(30.0, 2.0, 15.0), (1.0, 2.0, 0.5), (None, 2.0, None), (3.0, None, None), (3.0, -0.1, None)],
)
def test_a_ratio_is_given_only_where_it_says_something(
    rival: float | None, ours: float | None, times: float | None
) -> None:
    assert ratio(rival, ours) == times


def test_peak_overlap_counts_the_spans_open_at_once() -> None:
    assert peak_overlap([(0, 10), (5, 15), (9, 12), (20, 30)]) == 3


def test_spans_that_touch_do_not_overlap() -> None:
    assert peak_overlap([(0, 10), (10, 20)]) == 1
    assert peak_overlap([]) == 0
