"""No verdict without evidence: two runs of the same are said to differ in at most 5 of 100."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from autosre_lab.bench.evidence import ALPHA, LEAST_PAIRS, Evidence, evidence_of

TRIALS = 300
Draw = Callable[[random.Random], float]
Run = dict[str, list[list[float]]]


def steady(rng: random.Random) -> float:
    return rng.lognormvariate(0, 0.1)


def hiccups(rng: random.Random) -> float:
    return rng.lognormvariate(0, 0.05) * (rng.choice((3, 10)) if rng.random() < 0.15 else 1.0)


def runs(
    rng: random.Random, sessions: int, draw: Draw, *, factor: float = 1.0, turns: int = 3
) -> tuple[Run, Run]:
    """Two runs whose sessions differ tenfold; metrics of one request hang together."""
    found: tuple[Run, Run] = ({}, {})
    levels = [rng.lognormvariate(0, 0.8) for _ in range(sessions)]
    for run, times in zip(found, (1.0, factor), strict=True):
        requests = [[level * draw(rng) * times for _ in range(turns)] for level in levels]
        run["ttft"] = requests
        run["e2el"] = [[2 * one for one in session] for session in requests]
        run["tpot"] = [[level * draw(rng) * times for _ in range(turns)] for level in levels]
    return found


def said(found: dict[str, Evidence]) -> bool:
    """Whether faster or slower would be said of any metric."""
    return any(one.p is not None and one.p <= ALPHA for one in found.values())


@pytest.mark.parametrize("draw", [steady, hiccups])
@pytest.mark.parametrize("sessions", [2, 3, 5, 6, 8, 20])
def test_two_runs_of_the_same_hardly_ever_differ(sessions: int, draw: Draw) -> None:
    rng = random.Random(f"{sessions} {draw.__name__}")
    false = sum(said(evidence_of(*runs(rng, sessions, draw))) for _ in range(TRIALS))
    # 5 % of 300, and two standard deviations of such a count.
    assert false <= 15 + 2 * math.sqrt(TRIALS * 0.05 * 0.95)


def test_runs_of_unlike_sizes_hardly_ever_differ() -> None:
    rng = random.Random(3)
    false = 0
    for _ in range(100):
        first, _unused = runs(rng, 8, steady)
        _unused, second = runs(rng, 11, steady)
        false += said(evidence_of(first, second))
    assert false <= 5 + 2 * math.sqrt(100 * 0.05 * 0.95)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_quarter_is_found_in_twelve_sessions(factor: float) -> None:
    rng = random.Random(5)
    found = [evidence_of(*runs(rng, 12, steady, factor=factor)) for _ in range(40)]
    assert sum(map(said, found)) >= 38
    assert all(
        math.copysign(1, one["ttft"].change or 0) == (-1 if factor < 1 else 1) for one in found
    )


@pytest.mark.parametrize(("sessions", "told"), [(LEAST_PAIRS - 1, False), (LEAST_PAIRS, True)])
def test_six_sessions_are_the_least_that_can_tell(sessions: int, told: bool) -> None:
    rng = random.Random(1)
    first, second = runs(rng, sessions, steady, factor=100.0)
    found = evidence_of(first, second)
    assert {one.p is not None for one in found.values()} == {told}
    assert said(found) is told
    if told:
        assert found["ttft"].p == 2 / 2**LEAST_PAIRS


def test_the_same_numbers_are_no_difference() -> None:
    first, _ = runs(random.Random(1), 8, steady)
    found = evidence_of(first, first)
    assert {one.p for one in found.values()} == {1.0}
    assert {one.change for one in found.values()} == {0.0}


def test_one_session_that_is_far_out_decides_nothing() -> None:
    first = {"ttft": [[1.0 + 0.01 * n] for n in range(10)]}
    second = {"ttft": [[1.001 + 0.01 * n] if n else [50.0] for n in range(10)]}
    assert not said(evidence_of(first, {"ttft": [*second["ttft"][:1], *first["ttft"][1:]]}))


def test_a_metric_that_few_sessions_have_is_judged_by_those() -> None:
    first, second = runs(random.Random(1), 8, steady, factor=2.0)
    first["ttfa"] = [[1.0] if n < 3 else [] for n in range(8)]
    second["ttfa"] = [[2.0] if n < 3 else [] for n in range(8)]
    found = evidence_of(first, second)
    assert (found["ttfa"].p, found["ttfa"].sessions) == (None, 3)
    assert found["ttfa"].change == pytest.approx(math.log(2))
    assert found["ttft"].p == 2 / 2**8


def test_no_sessions_of_both_say_nothing() -> None:
    assert evidence_of({"ttft": []}, {"ttft": [[1.0]]})["ttft"] == Evidence(
        change=None, p=None, sessions=0
    )
    assert evidence_of({}, {}) == {}
