"""Two results side by side."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.bench.card_text import comparison_text, duration_text, result_text
from autosre_lab.bench.comparison import compare_results
from autosre_lab.bench.machine import Machine
from autosre_lab.bench.machine_check import MachineCheck
from autosre_lab.bench.result import (
    Conditions,
    Harness,
    Result,
    load_result,
    save_result,
)
from autosre_lab.bench.summary import summarise
from autosre_lab.errors import BenchmarkError, NotComparableError
from autosre_lab.metrics.roofline import Roofline
from tests.bench.timings import request
from tests.support.h100 import card

CONDITIONS = Conditions(
    workload="w",
    workload_sha256="a" * 64,
    workload_seed=0,
    workload_parameters={"turns": 3},
    history="live",
    arrivals="closed:1",
    arrivals_seed=0,
    cache="cold",
    salt="x",
    warmup_s=0.0,
    duration_s=None,
    limits={},
    url="http://127.0.0.1:1",
    protocol="messages",
    model="m",
    recipe="r",
    recipe_yaml="engine: {args: {max-num-seqs: 4}}\nname: r\n",
    engine={"version": "0.32.0"},
)
MACHINE = Machine(cpu="c", cores=2, memory_bytes=1, kernel="6", system="s", load=0.1, python="3.11")
CHECK = MachineCheck(
    at="t", tokens=256, ttft_s=0.1, tpot_s=0.05, step_s=0.05, passes=(0.05,) * 5, answer_sha256="b"
)


def result(name: str, *, factor: float = 1.0, sessions: int = 12, **more: Any) -> Result:
    rng = random.Random(4)
    timings = [
        request(str(n), ttft=rng.uniform(0.1, 5) * factor, tpot=0.1 * factor)
        for n in range(sessions)
    ]
    conditions = msgspec.structs.replace(CONDITIONS, **more.pop("conditions", {}))
    return Result(
        id=name,
        at="2026-01-01T00:00:00+00:00",
        badge=more.pop("badge", "cpu-engine"),
        conditions=conditions,
        summary=summarise(timings),
        machine=MACHINE,
        harness=Harness(cpu_s=1, cpu_share=0.1, loop_lag_s=0.001, versions={}),
        timings=timings,
        **more,
    )


def test_a_difference_is_found_though_sessions_differ_far_more() -> None:
    rows = {row.metric: row for row in compare_results(result("a"), result("b", factor=1.1)).rows}
    assert rows["ttft"].verdict == "slower"
    assert rows["ttft"].ratio == pytest.approx(1.1)
    assert {row.verdict for row in compare_results(result("a"), result("b", factor=0.9)).rows} == {
        "faster"
    }


def test_the_same_again_shows_no_difference() -> None:
    comparison = compare_results(result("a"), result("b"))
    assert {row.verdict for row in comparison.rows} == {"no difference shown"}
    assert comparison.differences == ()
    assert "nothing differs" in comparison_text(comparison)


def test_two_sessions_are_too_few_to_say() -> None:
    comparison = compare_results(result("a", sessions=2), result("b", factor=3, sessions=2))
    rows = comparison.rows
    assert any("with 6 or more" in one for one in comparison.warnings)
    assert {row.verdict for row in rows} == {"inconclusive"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("workload_sha256", "c" * 64), ("arrivals", "closed:2"), ("cache", "warm"), ("history", "x")],
)
def test_different_work_is_not_compared(name: str, value: str) -> None:
    with pytest.raises(NotComparableError, match=name):
        compare_results(result("a"), result("b", conditions={name: value}))


def test_a_cpu_is_not_compared_with_a_gpu() -> None:
    with pytest.raises(NotComparableError, match="gpu"):
        compare_results(result("a"), result("b", badge="gpu"))


def test_what_differs_is_named_by_the_recipes_setting() -> None:
    other = result(
        "b", conditions={"recipe_yaml": "engine: {args: {max-num-seqs: 8}}\nname: other\n"}
    )
    text = comparison_text(compare_results(result("a"), other))
    assert text.index("recipe.engine.args.max-num-seqs") < text.index("ttft")
    assert "recipe.name" not in text


def test_a_machine_that_changed_between_two_runs_is_told() -> None:
    slow = msgspec.structs.replace(CHECK, step_s=0.06)
    comparison = compare_results(result("a", check_before=CHECK), result("b", check_before=slow))
    assert any("20% slower" in warning for warning in comparison.warnings)


def test_a_machine_that_changed_during_a_run_is_suspect() -> None:
    faster = msgspec.structs.replace(CHECK, step_s=0.047)
    near = msgspec.structs.replace(CHECK, step_s=0.052)
    assert result("a", check_before=CHECK, check_after=faster).machine_suspect
    assert not result("a", check_before=CHECK, check_after=near).machine_suspect
    assert not result("a", check_before=CHECK).machine_suspect


@pytest.mark.parametrize("name", ["card.json", "deep/card.json.gz"])
def test_a_card_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    written = result("a", check_before=CHECK, check_after=CHECK)
    assert load_result(save_result(written, tmp_path / name)) == written


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x1f\x8b"])
def test_another_file_is_no_card(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(BenchmarkError, match="is not a result"):
        load_result(file)
    with pytest.raises(BenchmarkError, match="autosre bench run"):
        load_result(tmp_path / "missing.json")


def test_a_card_of_another_version_says_so(tmp_path: Path) -> None:
    newer = msgspec.structs.replace(result("a"), schema="autosre.result/v9")
    with pytest.raises(BenchmarkError, match="v9"):
        load_result(save_result(newer, tmp_path / "x.json"))


def test_a_card_says_what_produced_it_and_what_is_doubtful() -> None:
    ceiling = Roofline(
        bytes_per_step=1e9, bandwidth_bytes_s=1e10, bandwidth_source="x", ceiling_tps=10
    )
    text = result_text(result("a", roofline=ceiling, warnings=("above roofline",)))
    assert "measured on: CPU engine" in text
    assert "! above roofline" in text
    assert "80.0% from the prefix cache" in text
    assert "n/a" in text.split("ttft")[1].split("\n")[0]  # no p90 of twelve requests


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "n/a"), (5e-5, "50 µs"), (0.0123, "12.3 ms"), (0.5, "500 ms"), (2, "2.00 s")],
)
def test_times_have_the_unit_that_reads_well(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_table_has_one_row_a_request() -> None:
    rows = result("a").table()
    assert len(rows) == 12
    assert rows[0]["tpot_s"] == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["cc", "decode", "moe-hook-4"])
def test_a_card_of_the_first_schema_is_read_by_todays_names(name: str, tmp_path: Path) -> None:
    old = card(name)
    assert old.schema == "autosre.result/v2"
    assert old.check_before is not None
    assert old.gpu is None
    assert load_result(save_result(old, tmp_path / "new.json")) == old
    assert "its own spread is not known" in result_text(old)


def test_a_card_that_was_cut_short_is_told(tmp_path: Path) -> None:
    whole = save_result(result("a"), tmp_path / "a.json.gz").read_bytes()
    for broken in (whole[:-20], whole[:40] + b"\0\0\0\0" + whole[44:], b"[" * 100_000):
        file = tmp_path / ("b.json.gz" if broken[:1] != b"[" else "b.json")
        file.write_bytes(broken)
        with pytest.raises(BenchmarkError, match="is not a result"):
            load_result(file)


def test_a_suspect_machine_settles_nothing() -> None:
    changed = msgspec.structs.replace(CHECK, step_s=0.06)
    comparison = compare_results(
        result("a", check_before=CHECK, check_after=changed), result("b", factor=1.5)
    )
    assert {row.verdict for row in comparison.rows} == {"inconclusive"}
    assert any("the machine changed during a" in one for one in comparison.warnings)


@pytest.mark.parametrize(("factor", "verdict"), [(1.15, "inconclusive"), (1.3, "slower")])
def test_a_difference_as_large_as_the_machines_own_is_none(factor: float, verdict: str) -> None:
    slow = msgspec.structs.replace(CHECK, step_s=0.06)
    comparison = compare_results(
        result("a", check_before=CHECK), result("b", factor=factor, check_before=slow)
    )
    assert {row.verdict for row in comparison.rows} == {verdict}
    told = any("in turns" in one for one in comparison.warnings)
    assert told is (verdict == "inconclusive")


def test_a_result_is_a_dataframe_of_its_requests() -> None:
    one = result("a", sessions=3)
    frame = one.to_dataframe()
    assert frame.to_dict("records")[0]["session"] == one.table()[0]["session"]
    assert len(frame) == len(one.timings)
    assert frame["ttft_s"].gt(0).all()
