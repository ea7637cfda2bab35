"""What samples allow to be said."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.bench.statistics import (
    bootstrap_interval,
    enough_for,
    mcnemar_p,
    mean,
    median,
    percentile,
    ratio_interval,
    supported_percentile,
    wilson_interval,
)

numbers = st.floats(min_value=0, max_value=1e6, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=60), st.floats(min_value=0, max_value=1))
def test_percentiles_are_numpys(samples: list[float], p: float) -> None:
    expected = float(np.percentile(samples, p * 100, method="linear"))
    assert percentile(samples, p) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("p", "samples", "enough"),
    [(0.5, 1, True), (0.9, 99, False), (0.9, 100, True), (0.95, 200, True), (0.99, 999, False)],
)
def test_a_percentile_needs_ten_samples_beyond_it(p: float, samples: int, enough: bool) -> None:
    assert enough_for(p, samples) is enough
    assert (supported_percentile([1.0] * samples, p) is not None) is enough


def test_nothing_is_said_of_no_samples() -> None:
    assert percentile([], 0.5) is None
    assert median([]) is None
    assert mean([]) is None
    assert wilson_interval(0, 0) is None


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(7)
    covered = 0
    for trial in range(100):
        groups = [[rng.gauss(10, 2) for _ in range(3)] for _ in range(30)]
        interval = bootstrap_interval(groups, mean, seed=trial, draws=300)
        assert interval is not None
        covered += interval[0] <= 10 <= interval[1]
    assert 85 <= covered <= 99


def test_sessions_whose_turns_are_alike_widen_the_interval() -> None:
    rng = random.Random(3)
    centres = [rng.gauss(10, 3) for _ in range(10)]
    clustered = [[centre + rng.gauss(0, 0.1) for _ in range(20)] for centre in centres]
    alone = [[one] for group in clustered for one in group]
    by_session = bootstrap_interval(clustered, mean)
    by_request = bootstrap_interval(alone, mean)
    assert by_session is not None
    assert by_request is not None
    assert by_session[1] - by_session[0] > 2 * (by_request[1] - by_request[0])


def test_two_sessions_show_no_spread() -> None:
    assert bootstrap_interval([[1.0], [2.0]]) is None
    assert ratio_interval([[1.0], [2.0]], [[1.0], [2.0]]) is None


def test_a_paired_ratio_is_not_blurred_by_how_sessions_differ() -> None:
    rng = random.Random(5)
    a = [[rng.uniform(1, 100)] for _ in range(20)]
    b = [[one[0] * 1.1] for one in a]
    paired = ratio_interval(a, b, mean)
    unpaired = ratio_interval(a, [*b, [50.0]], mean)
    assert paired is not None
    assert unpaired is not None
    assert paired == pytest.approx((1.1, 1.1))
    assert unpaired[1] - unpaired[0] > 0.2


def test_wilson_is_the_published_interval() -> None:
    # Brown, Cai and DasGupta's form; 8 of 10 at 95 %.
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(1, 1) == pytest.approx((0.2065, 1.0), abs=1e-4)


def test_a_rate_is_at_most_one() -> None:
    assert max(high for n in range(1, 200) for _, high in [wilson_interval(n, n) or (0, 9)]) == 1


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 0.03125), (10, 2, 0.03857)]
)
def test_mcnemar_is_exact(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_p(only_a, only_b) == pytest.approx(p, abs=1e-5)


def test_three_sessions_show_their_spread() -> None:
    three = [[1.0], [2.0], [3.0]]
    assert bootstrap_interval(three) == (1.0, 3.0)
    assert ratio_interval(three, three) == (1.0, 1.0)
    assert ratio_interval(three, [*three, [4.0]]) is not None
    assert ratio_interval([[1.0], [2.0], []], three) is None


def test_the_same_samples_give_the_same_interval() -> None:
    rng = random.Random(2)
    groups = [[rng.uniform(1, 9)] for _ in range(8)]
    assert bootstrap_interval(groups, mean) == bootstrap_interval(groups, mean, seed=0, draws=2000)
    assert bootstrap_interval(groups, mean) != bootstrap_interval(groups, mean, seed=1)
    assert ratio_interval(groups, groups[::-1], mean) == ratio_interval(
        groups, groups[::-1], mean, seed=0, draws=2000
    )


def test_the_interval_is_as_wide_as_a_normal_distribution_wants() -> None:
    rng = random.Random(11)
    samples = [rng.gauss(10, 2) for _ in range(200)]
    error = float(np.std(samples)) / len(samples) ** 0.5
    groups = [[one] for one in samples]
    for confidence, z in ((0.95, 1.96), (0.5, 0.674)):
        low, high = bootstrap_interval(groups, mean, confidence=confidence) or (0, 0)
        right = (float(np.mean(samples)) - z * error, float(np.mean(samples)) + z * error)
        assert (low, high) == pytest.approx(right, abs=0.15 * error)


@pytest.mark.parametrize("more", [0, 1])
def test_a_ratio_draws_as_many_sessions_as_there_are(more: int) -> None:
    rng = random.Random(13)
    a, b = ([[rng.gauss(10, 2)] for _ in range(50 + extra)] for extra in (0, more))
    low, high = ratio_interval(a, b, mean) or (0, 0)
    assert 0.85 < low < 1 < high < 1.15


def test_there_is_no_ratio_to_nothing() -> None:
    nothing = [[0.0]] * 3
    assert ratio_interval(nothing, [[1.0]] * 3) is None
    assert ratio_interval([[1.0]] * 3, nothing) == (0.0, 0.0)
