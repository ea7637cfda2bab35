"""When sessions start."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.bench.arrivals import Arrivals, parse_arrivals, start_times
from autosre_lab.errors import ConfigError

FORMS = ["closed:4", "constant:2", "poisson:0.5", "gamma:2:0.5", "ramp:1:4:30", "recorded"]


@pytest.mark.parametrize("text", FORMS)
def test_arrivals_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_arrivals(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "poisson", "closed:0", "closed:x", "poisson:-1", "often:2", "ramp:1:2", "gamma:1:inf"],
)
def test_arrivals_that_say_nothing_are_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ConfigError, match="closed:USERS"):
        parse_arrivals(text)


@given(
    st.sampled_from(["constant", "poisson", "gamma", "ramp"]),
    st.floats(min_value=0.01, max_value=100),
    st.floats(min_value=0.01, max_value=100),
    st.integers(min_value=0, max_value=5),
)
def test_starts_never_go_back(kind: str, rate: float, rate_end: float, seed: int) -> None:
    arrivals = Arrivals(kind=kind, rate=rate, rate_end=rate_end, burstiness=0.3, seed=seed)  # type: ignore[arg-type]
    times = start_times(arrivals, 40)
    assert len(times) == 40
    assert times[0] >= 0
    assert all(one <= later for one, later in itertools.pairwise(times))
    assert times == start_times(arrivals, 40)


@pytest.mark.parametrize(
    ("kind", "burstiness"), [("poisson", 1.0), ("gamma", 0.25), ("gamma", 4.0)]
)
def test_random_arrivals_have_the_rate_and_the_spread_they_name(
    kind: str, burstiness: float
) -> None:
    arrivals = Arrivals(kind=kind, rate=5.0, burstiness=burstiness, seed=1)  # type: ignore[arg-type]
    gaps = [later - one for one, later in itertools.pairwise(start_times(arrivals, 20_000))]
    mean = statistics.fmean(gaps)
    assert mean == pytest.approx(0.2, rel=0.05)
    # Coefficient of variation of a gamma distribution: 1 / sqrt(shape).
    assert statistics.stdev(gaps) / mean == pytest.approx(burstiness**-0.5, rel=0.05)


def test_a_ramp_brings_what_the_area_under_its_rate_is() -> None:
    times = start_times(Arrivals(kind="ramp", rate=1.0, rate_end=3.0, over_s=10.0), 40)
    assert sum(time < 10.0 for time in times) == 20
    assert sum(time < 5.0 for time in times) == 8  # 1 to 2 a second for 5 s: 7.5
    after = [later - one for one, later in itertools.pairwise(times[21:])]
    assert after == pytest.approx([1 / 3] * len(after))


def test_a_closed_loop_has_no_schedule() -> None:
    with pytest.raises(ValueError, match="closed"):
        start_times(Arrivals(), 3)
