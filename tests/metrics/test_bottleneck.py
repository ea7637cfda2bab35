"""Each label is given for its reason, and none for what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from autosre_lab.metrics import EngineSample, WindowRates, find_bottleneck

STEADY: dict[str, Any] = {"steps_per_s": 20.0, "gen_tps": 40.0, "preemptions_per_s": 0.0}


def sample(**fields: Any) -> EngineSample:
    defaults: dict[str, Any] = {"running": 2.0, "waiting": 0.0, "kv_usage": 0.3}
    return EngineSample(time_s=1, clock_ns=1, engines=1, **(defaults | fields))


def rates(**fields: Any) -> WindowRates:
    return WindowRates(start_s=0, end_s=1, duration_s=1, **(STEADY | fields))


@pytest.mark.parametrize(
    ("label", "engine", "window"),
    [
        ("KV_PRESSURE", {"waiting": 3.0, "waiting_capacity": 3.0, "kv_usage": 0.97}, {}),
        ("SEQ_CAP", {"waiting": 1.0, "waiting_capacity": 1.0, "running": 8.0}, {}),
        ("TOKEN_BUDGET", {"waiting": 1.0, "waiting_capacity": 1.0}, {"tokens_per_step": 2000.0}),
        ("DEFERRED", {"waiting": 1.0, "waiting_capacity": 0.0, "waiting_deferred": 1.0}, {}),
        ("PREEMPTING", {}, {"preemptions_per_s": 0.5}),
        ("QUEUED", {"waiting": 1.0, "waiting_capacity": 1.0}, {}),
        ("IDLE", {"running": 0.0}, {"steps_per_s": 0.0, "gen_tps": 0.0}),
        ("NO_STEPS", {}, {"steps_per_s": 0.0, "gen_tps": 0.0}),
        ("CACHE_MISS", {}, {"prefix_hit": 0.1}),
        ("CACHE_MISS", {}, {"prefix_hit": 0.49, "frontend_cpu": 0.79}),
        ("UNDERLOADED", {}, {"prefix_hit": 0.5, "frontend_cpu": 0.79, "mbu": 0.79}),
        ("FRONTEND_BOUND", {}, {"frontend_cpu": 0.8, "prefix_hit": 0.9}),
        ("FRONTEND_BOUND", {}, {"frontend_cpu": 1.3, "prefix_hit": 0.9, "mbu": 0.07}),
        ("BANDWIDTH_BOUND", {}, {"mbu": 0.8, "prefix_hit": 0.9}),
        ("UNDERLOADED", {"kv_usage": 0.97}, {"prefix_hit": 0.9}),
        ("QUEUED", {"waiting": 1.0, "waiting_capacity": 1.0, "kv_usage": 0.95}, {}),
        ("QUEUED", {"waiting": 1.0, "waiting_capacity": 1.0, "running": 7.0}, {}),
        ("TOKEN_BUDGET", {"waiting": 1.0, "waiting_capacity": 1.0}, {"tokens_per_step": 1844.0}),
        ("QUEUED", {"waiting": 1.0, "waiting_capacity": 1.0}, {"tokens_per_step": 1843.0}),
        ("KV_PRESSURE", {"waiting": 1.0, "kv_usage": 0.96}, {}),
        ("BANDWIDTH_BOUND", {}, {"mbu": 0.9, "prefix_hit": 0.9}),
        ("UNDERLOADED", {}, {"mbu": 0.2, "prefix_hit": 0.9}),
    ],
)
def test_a_label_has_its_reason(label: str, engine: dict[str, Any], window: dict[str, Any]) -> None:
    found = find_bottleneck(
        sample(**engine), rates(**window), max_num_seqs=8, max_num_batched_tokens=2048
    )
    assert found.label == label
    assert found.reason


def test_limits_that_are_not_known_are_not_judged_and_named() -> None:
    queue = sample(waiting=1.0, waiting_capacity=1.0, running=8.0)
    found = find_bottleneck(queue, rates(tokens_per_step=2048.0))
    assert found.label == "QUEUED"
    assert {"SEQ_CAP", "TOKEN_BUDGET", "FRONTEND_BOUND", "BANDWIDTH_BOUND"} <= set(found.not_judged)


def test_a_load_of_single_turns_misses_nothing() -> None:
    found = find_bottleneck(sample(), rates(prefix_hit=0.0), multi_turn=False)
    assert found.label == "UNDERLOADED"


@pytest.mark.parametrize(
    ("engine", "window", "reason"),
    [
        (None, rates(), "queue"),
        (EngineSample(time_s=1, clock_ns=1), rates(), "queue"),
        (sample(), None, "one scrape"),
        (sample(), rates(dropped="the engine was restarted: x went down"), "restarted"),
    ],
)
def test_nothing_is_guessed(
    engine: EngineSample | None, window: WindowRates | None, reason: str
) -> None:
    found = find_bottleneck(engine, window)
    assert found.label == "UNKNOWN"
    assert reason in found.reason
