"""A machine is suspect where it changed by more than it varies."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import msgspec
import pytest

from autosre_lab.bench.machine_check import (
    PASSES,
    MachineCheck,
    check_tokens_for,
    run_machine_check,
)
from autosre_lab.bench.statistics import median
from autosre_lab.errors import BenchmarkError
from autosre_lab.scripted.chat_engine import ReceivedRequest, Turn
from tests.bench.sessions import target_at
from tests.bench.test_measure import scripted
from tests.support.h100 import card, facts

IDLE_MS: list[float] = facts()["idle_step_ms"]


def check(passes: Sequence[float]) -> MachineCheck:
    return MachineCheck(
        at="t",
        tokens=256,
        ttft_s=0.1,
        tpot_s=None,
        step_s=median(passes) or 0.0,
        passes=tuple(passes),
        answer_sha256="a",
    )


def bearer(request: ReceivedRequest) -> str:
    return {name.lower(): value for name, value in request.headers.items()}["authorization"]


def test_an_idle_h100_is_not_suspect() -> None:
    # A limit of 5 % said so of nearly every run with a small model; the machine was idle.
    assert len(IDLE_MS) == 12
    assert max(IDLE_MS) / min(IDLE_MS) > 1.4
    in_turn = [check(IDLE_MS[at : at + PASSES]) for at in range(len(IDLE_MS) - PASSES + 1)]
    assert not any(b.suspect_after(a) for a, b in itertools.product(in_turn, in_turn))


def test_any_halves_of_the_idle_runs_are_hardly_ever_suspect() -> None:
    told = []
    for first in itertools.combinations(range(12), PASSES):
        rest = [at for at in range(12) if at not in first]
        for second in itertools.combinations(rest, PASSES):
            before, after = (check([IDLE_MS[at] for at in half]) for half in (first, second))
            told.append(after.suspect_after(before))
    assert len(told) == 16_632
    assert sum(told) / len(told) < 0.01


def test_a_machine_that_stays_the_same_is_hardly_ever_suspect_whatever_its_noise() -> None:
    rng = random.Random(1)
    for noise in (0.002, 0.02, 0.12):
        told = [
            check([rng.lognormvariate(0, noise) for _ in range(PASSES)]).suspect_after(
                check([rng.lognormvariate(0, noise) for _ in range(PASSES)])
            )
            for _ in range(2000)
        ]
        assert sum(told) <= 20, noise


def test_a_slow_state_is_told() -> None:
    # As published of a GB10: 63 and 94 ms a step, each steady.
    fast = check([0.0628, 0.063, 0.0631, 0.0633, 0.0629])
    slow = check([0.0938, 0.094, 0.0941, 0.0939, 0.0944])
    assert slow.suspect_after(fast)
    assert fast.suspect_after(slow)
    assert slow.drift_from(fast) == pytest.approx(0.49, abs=0.01)


@pytest.mark.parametrize(("share", "suspect"), [(1.049, False), (1.051, True), (0.949, True)])
def test_a_steady_machine_has_five_per_cent(share: float, suspect: bool) -> None:
    steady = [0.05, 0.0501, 0.0499, 0.05, 0.05]
    assert check([one * share for one in steady]).suspect_after(check(steady)) is suspect


@pytest.mark.parametrize(("high", "suspect"), [(1.2, False), (1.18, True)])
def test_the_larger_spread_of_the_two_is_the_limit(high: float, suspect: bool) -> None:
    restless = check([1.0, 1.0, 1.0, 1.1, high])
    steady = check([1.19, 1.19, 1.19, 1.19, 1.19])
    assert restless.limit_with(steady) == pytest.approx(high - 1.0)
    assert steady.suspect_after(restless) is suspect
    assert restless.suspect_after(steady) is (high - 1.0 < 1 - 1 / 1.19)


def test_one_pass_alone_tells_no_spread_and_nothing_is_judged_by_it() -> None:
    old = card("cc")
    assert old.check_before is not None
    assert old.check_after is not None
    assert old.check_after.drift_from(old.check_before) == pytest.approx(0.288, abs=0.001)
    assert old.check_before.spread is None
    assert not old.machine_suspect


def test_the_work_is_done_several_times_and_is_the_same_each_time() -> None:
    with scripted(Turn(text="one two three four", chunk_interval_s=0.01)) as upstream:
        done = run_machine_check(target_at(upstream.url), tokens=20)
    assert len(upstream.chats) == len(done.passes) == PASSES
    assert len({one.raw for one in upstream.chats}) == 1
    assert done.step_s == median(done.passes)
    assert upstream.chats[0].body["max_completion_tokens"] == 4


def test_an_answer_in_one_piece_times_no_step_and_costs_no_check() -> None:
    slow = Turn(text="one two three four", chunk_interval_s=0.01)
    with scripted(Turn(text="one"), slow, slow, Turn(text="one"), slow) as upstream:
        done = run_machine_check(target_at(upstream.url), tokens=20)
    assert (len(upstream.chats), len(done.passes)) == (PASSES, 3)
    with (
        scripted(Turn(text="one")) as upstream,
        pytest.raises(BenchmarkError, match="in one piece"),
    ):
        run_machine_check(target_at(upstream.url))


def test_no_answer_is_an_error() -> None:
    with (
        scripted(Turn(text="")) as upstream,
        pytest.raises(BenchmarkError, match="machine check"),
    ):
        run_machine_check(target_at(upstream.url))


def test_the_engines_key_goes_to_the_engine() -> None:
    with scripted(Turn(text="one two three", chunk_interval_s=0.01)) as upstream:
        proxy = msgspec.structs.replace(
            target_at("http://127.0.0.1:9", "messages"),
            token="the proxy's",
            engine_url=upstream.url,
            engine_key="the engine's",
        )
        run_machine_check(proxy, tokens=20)
    assert {bearer(one) for one in upstream.chats} == {"Bearer the engine's"}
    assert "the engine's" not in repr(proxy)


def test_a_check_is_shorter_where_a_step_takes_long() -> None:
    assert [check_tokens_for(one) for one in ("gpu", "unknown", "cpu-engine", "scripted")] == [
        256,
        256,
        32,
        32,
    ]
