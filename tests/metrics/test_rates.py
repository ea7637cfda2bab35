"""Each rate from one window whose every number is another, so that none can stand for another."""

from __future__ import annotations

from typing import Any

import pytest

from autosre_lab.metrics.engine_sample import EngineSample, Histogram
from autosre_lab.metrics.rates import WindowRates, rates_of, window_rates
from autosre_lab.metrics.windows import EngineWindow

COUNTERS = {
    "generation_tokens": 60.0,
    "prompt_tokens": 700.0,
    "prompt_tokens_computed": 210.0,
    "prompt_tokens_hit": 490.0,
    "prefix_hits_tokens": 30.0,
    "prefix_queries_tokens": 120.0,
    "accepted_tokens": 45.0,
    "draft_tokens": 90.0,
    "drafts": 18.0,
    "preemptions": 4.0,
    "rejections": 6.0,
    "cpu_s": 1.5,
    "read_bytes": 8e9,
}
HISTOGRAMS = {
    "iteration_tokens": Histogram(sum=770.0, count=40.0),
    "e2e_s": Histogram(sum=32.0, count=8.0),
    "ttft_s": Histogram(sum=6.0, count=20.0, buckets=((0.5, 10.0), (1.0, 20.0))),
    "tpot_s": Histogram(sum=0.9, count=9.0),
    "itl_s": Histogram(sum=2.2, count=11.0),
    "queue_s": Histogram(sum=4.0, count=16.0),
    "prefill_s": Histogram(sum=5.0, count=2.0),
    "decode_s": Histogram(sum=26.0, count=8.0),
    "request_generation_tokens": Histogram(sum=60.0, count=8.0),
}


def window(**given: Any) -> EngineWindow:
    whole: dict[str, Any] = {
        "start_s": 100.0,
        "end_s": 103.0,
        "duration_s": 2.0,
        "counters": COUNTERS,
        "histograms": HISTOGRAMS,
        "finished": {"stop": 8.0},
        "accepted_per_position": (18.0, 9.0),
    }
    return EngineWindow(**{**whole, **given})


def without(*names: str) -> WindowRates:
    counters = {name: one for name, one in COUNTERS.items() if name not in names}
    histograms = {name: one for name, one in HISTOGRAMS.items() if name not in names}
    return rates_of(window(counters=counters, histograms=histograms), bandwidth_bytes_per_s=16e9)


def test_every_rate() -> None:
    assert rates_of(window(), step_bytes=1e9, bandwidth_bytes_per_s=50e9) == WindowRates(
        start_s=100.0,
        end_s=103.0,
        duration_s=2.0,
        gen_tps=30.0,
        prompt_tps=350.0,
        prompt_tps_compute=105.0,
        prefix_hit=0.7,
        prefix_hit_queries=0.25,
        requests_per_s=4.0,
        finished={"stop": 8.0},
        mean_ttft_s=0.3,
        p50_ttft_s=0.5,
        p95_ttft_s=0.95,
        mean_tpot_s=0.1,
        decode_s_per_token=0.5,
        mean_step_s=0.2,
        mean_e2e_s=4.0,
        mean_queue_s=0.25,
        mean_prefill_s=2.5,
        queue_share=0.125,
        accept_rate=0.5,
        accept_len=3.5,
        accept_by_position=(1.0, 0.5),
        steps_per_s=20.0,
        tokens_per_step=19.25,
        preemptions_per_s=2.0,
        rejections_per_s=3.0,
        mbu=0.4,
        mbu_source="step_bytes",
        frontend_cpu=0.75,
    )


def test_a_dropped_window_says_why_and_nothing_else() -> None:
    assert rates_of(window(dropped="restarted")) == WindowRates(
        start_s=100.0, end_s=103.0, duration_s=2.0, dropped="restarted"
    )


def test_an_empty_window_has_no_rates() -> None:
    empty = window(
        counters={}, histograms={}, finished=None, accepted_per_position=None, duration_s=0.0
    )
    assert rates_of(empty, bandwidth_bytes_per_s=1e9) == WindowRates(
        start_s=100.0, end_s=103.0, duration_s=0.0
    )
    still = rates_of(window(duration_s=0.0))
    assert (still.gen_tps, still.steps_per_s, still.mean_e2e_s) == (None, None, 4.0)
    assert rates_of(window(duration_s=0.5)).gen_tps == 120.0


@pytest.mark.parametrize(
    ("part", "whole", "figure"),
    [
        ("prompt_tokens_hit", "prompt_tokens", "prefix_hit"),
        ("prefix_hits_tokens", "prefix_queries_tokens", "prefix_hit_queries"),
        ("queue_s", "e2e_s", "queue_share"),
        ("accepted_tokens", "draft_tokens", "accept_rate"),
        ("accepted_tokens", "drafts", "accept_len"),
        ("decode_s", "request_generation_tokens", "decode_s_per_token"),
    ],
)
def test_a_share_wants_both_its_parts(part: str, whole: str, figure: str) -> None:
    for gone in (part, whole):
        assert getattr(without(gone), figure) is None
    nothing = {**COUNTERS, whole: 0.0}
    none = {**HISTOGRAMS, whole: Histogram(sum=0.0, count=0.0)}
    assert getattr(rates_of(window(counters=nothing, histograms=none)), figure) is None


def test_a_share_of_less_than_one_is_told() -> None:
    counters = {**COUNTERS, "prompt_tokens": 0.5, "prompt_tokens_hit": 0.25}
    assert rates_of(window(counters=counters)).prefix_hit == 0.5


def test_rounding_below_nothing_is_nothing() -> None:
    below = Histogram(sum=-1e-9, count=2.0)
    found = rates_of(window(histograms={**HISTOGRAMS, "queue_s": below}))
    assert (found.mean_queue_s, found.queue_share) == (0.0, 0.0)
    half = Histogram(sum=0.5, count=1.0)
    found = rates_of(window(histograms={**HISTOGRAMS, "queue_s": half}))
    assert (found.mean_queue_s, found.queue_share) == (0.5, 0.015625)


def test_positions_need_drafts() -> None:
    assert without("drafts").accept_by_position is None
    assert rates_of(window(accepted_per_position=None)).accept_by_position is None
    assert rates_of(window(counters={**COUNTERS, "drafts": 0.0})).accept_by_position is None


def test_bandwidth_by_what_is_known() -> None:
    told = rates_of(window(), bandwidth_bytes_per_s=16e9)
    assert (told.mbu, told.mbu_source) == (0.25, "engine")
    nothing = rates_of(window(), step_bytes=1e9)
    assert (nothing.mbu, nothing.mbu_source) == (None, "")
    no_steps = rates_of(window(histograms={}), step_bytes=1e9, bandwidth_bytes_per_s=16e9)
    assert (no_steps.mbu, no_steps.mbu_source) == (0.25, "engine")
    assert (without("read_bytes").mbu, without("read_bytes").mbu_source) == (None, "")


def test_two_scrapes_are_a_window() -> None:
    before, after = (
        EngineSample(
            time_s=second,
            clock_ns=second * 10**9,
            engines=1,
            generation_tokens=20.0 * second,
            iteration_tokens=Histogram(sum=second, count=10 * second),
        )
        for second in (1, 3)
    )
    rates = window_rates(before, after, step_bytes=1e9, bandwidth_bytes_per_s=50e9)
    assert (rates.start_s, rates.end_s, rates.gen_tps, rates.mbu) == (1, 3, 20.0, 0.2)
    assert rates.mbu_source == "step_bytes"
