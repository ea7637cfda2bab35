"""The hook on vLLM's real schedulers, and proof that the simulator would see it go wrong."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from autosre_lab.preemption import hook_sha256, parse_status
from tests.preemption.real_vllm import VERSIONS, simulate

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

SEEDS = 12
RUNNERS = [
    {"asynchronous": asynchronous, "v2": v2, "spec": spec}
    for asynchronous in (False, True)
    for v2 in (False, True)
    for spec in (0, 3)
]
ASYNC_V2: dict[str, Any] = {"asynchronous": True, "v2": True}
ASYNC_V1_SPEC: dict[str, Any] = {"asynchronous": True, "v2": False, "spec": 3}

Case = dict[str, Any]

# [step, name, prompt, priority, output]; 10 matters less than 0.
SLOTS: Case = {
    "setup": {"slots": 2, "blocks": 400},
    "requests": [[0, "a", 64, 10, 60], [0, "b", 64, 10, 60], [10, "high", 64, 0, 10]],
}
BLOCKS: Case = {
    "setup": {"slots": 8, "blocks": 41},
    "requests": [*([0, f"low{n}", 100, 10, 60] for n in range(4)), [10, "high", 400, 0, 10]],
}
BUDGET: Case = {
    "setup": {"slots": 8, "blocks": 400, "budget": 256},
    "requests": [[0, "low", 3000, 10, 5], [2, "high", 100, 0, 5]],
}
STARVING: Case = {
    "setup": {"slots": 1, "blocks": 400, "options": {"max_preemptions": 3}},
    "requests": [[0, "low", 64, 10, 40], *([4 + 6 * n, f"high{n}", 32, 0, 4] for n in range(30))],
}
# One that matters more in every step, and a prefill of 12 steps among them.
STANDING_ASIDE: Case = {
    "setup": {"slots": 8, "blocks": 400, "budget": 256, "options": {"max_consecutive_yields": 3}},
    "requests": [[0, "low", 3000, 10, 2], *([1 + n, f"high{n}", 32, 0, 2] for n in range(100))],
}


CONTESTED = {"slots": SLOTS, "blocks": BLOCKS, "budget": BUDGET}


def case(kind: str, described: Case, **setup: Any) -> Case:
    return {**described, "kind": kind, "setup": {**described["setup"], **setup}}


EQUAL: Case = {
    "setup": {"slots": 2, "blocks": 400},
    "requests": [[0, "a", 64, 5, 30], [0, "b", 64, 5, 30], [8, "c", 64, 5, 10]],
}
CHEAPEST: Case = {
    "setup": {"slots": 2, "blocks": 400},
    "requests": [[0, "long", 900, 10, 40], [4, "short", 16, 10, 40], [10, "high", 64, 0, 5]],
}

RESERVE = {"reserve_slots": 1, "reserve_priority": 0}
RESERVED: Case = {
    "setup": {"slots": 3, "blocks": 400, "options": RESERVE},
    "requests": [
        *([0, f"low{n}", 64, 10, 60] for n in range(4)),
        [10, "high", 64, 0, 10],
        [30, "mid", 64, 5, 5],
    ],
}
REFUSED: dict[str, tuple[Case, str]] = {
    "unknown": ({"kind": "unknown", "setup": {}}, "vLLM 0.99.0 is unknown to it"),
    "changed": ({"kind": "changed", "setup": {}}, "the source of Scheduler._preempt_request is"),
    "fcfs": ({"kind": "hook", "setup": {"policy": "fcfs"}}, "--scheduling-policy is fcfs"),
    "option": ({"kind": "hook", "setup": {"options": {"max": 1}}}, "there is no option 'max'"),
    "reserve": (
        {"kind": "hook", "setup": {"options": {"reserve_slots": 4}}},
        "reserve_slots 4 leaves no slot for the others",
    ),
}

CASES: dict[str, Case] = {
    **{f"fuzz {setup}": {"kind": "hook", "setup": setup, "seeds": SEEDS} for setup in RUNNERS},
    **{
        f"reserving {setup}": {
            "kind": "hook",
            "setup": {**setup, "options": RESERVE},
            "seeds": SEEDS,
        }
        for setup in (RUNNERS[0], RUNNERS[-1])
    },
    **{
        f"{kind} {name}": case(kind, one)
        for kind in ("stock", "hook")
        for name, one in CONTESTED.items()
    },
    **{f"async {name}": case("hook", one, **ASYNC_V2) for name, one in CONTESTED.items()},
    "capped": case("hook", STARVING),
    "uncapped": case("hook", STARVING, options={"max_preemptions": 1000}),
    "asides capped": case("hook", STANDING_ASIDE),
    "asides uncapped": case("hook", STANDING_ASIDE, options={"max_consecutive_yields": 1000}),
    "equal": case("hook", EQUAL),
    "cheapest": case("hook", CHEAPEST),
    "broken": case("broken", SLOTS),
    "reserved": case("hook", RESERVED),
    "reserved async": case("hook", RESERVED, **ASYNC_V2),
    **{
        f"refused {name}": {**one, "setup": {"slots": 4, "blocks": 400, **one["setup"]}}
        for name, (one, _) in REFUSED.items()
    },
}
NEGATIVE_CONTROLS: dict[str, Case] = {
    "naive": {"kind": "naive", "setup": ASYNC_V2, "seeds": SEEDS},
    "without parking": {"kind": "without_parking", "setup": ASYNC_V1_SPEC, "seeds": 25},
}


@functools.cache
def results_of(version: str) -> dict[str, Any]:
    """Run every case in one process: most of its time goes into importing vLLM."""
    cases = {**CASES, **(NEGATIVE_CONTROLS if version == "0.24.0" else {})}
    return dict(zip(cases, simulate(version, list(cases.values())), strict=True))


@pytest.fixture(params=VERSIONS)
def results(request: pytest.FixtureRequest) -> dict[str, Any]:
    version: str = request.param
    return results_of(version)


def test_no_token_is_lost_doubled_or_reordered_in_any_runner(results: dict[str, Any]) -> None:
    runs = [result for name, result in results.items() if name.startswith("fuzz")]
    assert [run["failures"] for run in runs] == [{}] * len(RUNNERS)
    # It must have been put to the test: evictions and yields in every configuration.
    assert all(run["actions"] > 50 for run in runs)
    assert all(run["preemptions"] > 10 for run in runs)


def test_the_simulator_sees_what_kills_vllm_0_24() -> None:
    results = results_of("0.24.0")
    naive, parking = (results[name]["failures"] for name in NEGATIVE_CONTROLS)
    assert any("No free indices" in failure for failure in naive)
    assert any("all_token_ids" in failure for failure in parking)


def test_who_matters_more_waits_for_no_slot_no_blocks_and_no_budget(
    results: dict[str, Any],
) -> None:
    def first(kind: str) -> list[int]:
        return [results[f"{kind} {name}"]["first"]["high"] for name in CONTESTED]

    assert first("stock") == [60, 60, 12]
    # A lack of blocks shows only after a step: one later.
    assert first("hook") == [10, 11, 2]
    assert first("async") == [11, 12, 3]
    slots, blocks, budget = (results[f"hook {name}"] for name in CONTESTED)
    assert slots["counts"] == {"evicted_for_slot": 1, "evicted_for_blocks": 0, "yielded": 0}
    assert blocks["counts"]["evicted_for_slot"] == 0
    assert blocks["counts"]["evicted_for_blocks"] >= 1
    # A long prefill stands aside and loses nothing.
    assert budget["counts"]["yielded"] >= 1
    assert budget["preempted"] == {"low": 0, "high": 0}


def test_nobody_starves_the_number_of_evictions_is_capped(results: dict[str, Any]) -> None:
    capped, free = results["capped"], results["uncapped"]
    assert capped["preempted"]["low"] == 3
    assert free["preempted"]["low"] > 3
    assert capped["done"]["low"] < free["done"]["low"]


def test_a_prefill_does_not_stand_aside_for_ever(results: dict[str, Any]) -> None:
    capped, free = results["asides capped"], results["asides uncapped"]
    # One step of four is its own, until its 12 are done; else only what comes after the others.
    assert capped["first"]["low"] < 60
    assert free["first"]["low"] > 100
    highs = [name for name in capped["first"] if name != "low"]
    assert all(capped["first"][name] <= 2 + int(name[4:]) for name in highs)


def test_of_equal_ones_nobody_gives_way(results: dict[str, Any]) -> None:
    assert sum(results["equal"]["preempted"].values()) == 0


def test_of_victims_the_cheapest_to_compute_again_goes(results: dict[str, Any]) -> None:
    assert results["cheapest"]["preempted"] == {"long": 0, "short": 1, "high": 0}


def test_a_hook_that_fails_switches_itself_off_and_loses_nothing(results: dict[str, Any]) -> None:
    # As with vLLM's own scheduler from then on; every token was checked.
    assert not results["broken"]["active"]
    assert results["broken"]["first"]["high"] == 60
    status = parse_status(json.dumps(results["broken"]["status"]))
    assert status is not None
    assert status.state == "off"
    assert "ZeroDivisionError" in status.reasons[0]


def test_an_active_hook_says_so_with_its_own_digest_and_options(results: dict[str, Any]) -> None:
    status = parse_status(json.dumps(results["reserved"]["status"]))
    assert status is not None
    assert (status.state, status.reasons, status.sha256) == ("active", (), hook_sha256())
    assert (status.base, status.options["reserve_slots"]) == ("Scheduler", 1)
    assert results["reserved async"]["status"]["base"] == "AsyncScheduler"


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_know_gets_vllms_own_scheduler_and_a_reason(
    results: dict[str, Any], name: str
) -> None:
    found = results[f"refused {name}"]
    status = parse_status(json.dumps(found["status"]))
    assert status is not None
    assert (found["made"], status.state) == ("Scheduler", "refused")
    assert REFUSED[name][1] in status.reasons[0]
    assert found["strict"] == "; ".join(status.reasons)


@pytest.mark.parametrize(("kind", "later"), [("reserved", 0), ("reserved async", 1)])
def test_a_reserved_slot_needs_no_eviction_and_is_nobody_elses(
    results: dict[str, Any], kind: str, later: int
) -> None:
    found = results[kind]
    assert found["first"]["high"] == 10 + later
    # The one between them gets its slot from a low one, while the reserved one stays free.
    assert found["first"]["mid"] == 30 + later
    assert found["counts"] == {"evicted_for_slot": 1, "evicted_for_blocks": 0, "yielded": 0}
    assert found["preempted"]["high"] == found["preempted"]["mid"] == 0


def test_no_token_is_lost_where_slots_are_reserved(results: dict[str, Any]) -> None:
    # In every step the simulator also counts who holds the slots.
    runs = [result for name, result in results.items() if name.startswith("reserving")]
    assert [run["failures"] for run in runs] == [{}, {}]
    assert all(run["actions"] > 50 for run in runs)
