"""Workloads, made from a seed."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.bench.synthetic import (
    describe_workloads,
    load_workload,
    make_workload,
    save_workload,
    workload_names,
)
from autosre_lab.bench.synthetic.text import content_of, lognormal
from autosre_lab.bench.workload import Workload
from autosre_lab.errors import BenchmarkError, ConfigError
from tests.bench.synthetic.counting import approximate_tokens


@pytest.mark.parametrize("name", workload_names())
def test_a_workload_is_the_same_in_every_process(name: str) -> None:
    script = f"from autosre_lab.bench.synthetic import *; print(make_workload({name!r}).sha256)"
    elsewhere = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert make_workload(name).sha256 == elsewhere


@pytest.mark.parametrize("name", [one for one in workload_names() if one != "smoke"])
def test_another_seed_is_another_workload(name: str) -> None:
    assert make_workload(name, seed=1).sha256 != make_workload(name, seed=2).sha256


@pytest.mark.parametrize("name", workload_names())
def test_a_workload_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    workload = make_workload(name)
    assert load_workload(save_workload(workload, tmp_path / "deep" / "w.json")) == workload


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("speed", {}, "smoke, decode"),
        ("decode", {"size": 3}, "input_tokens"),
        ("decode", {"requests": "many"}, "default is 8"),
        ("decode", {"requests": -1}, "default is 8"),
        ("decode", {"content": "poems"}, "prose, code or json"),
        ("smoke", {"requests": 2}, "it has none"),
        ("cc-session", {"scale": 2.0}, "at most 1"),
        ("cc-session", {"context": 2000}, "smaller scale"),
        ("cc-session", {"history": "none"}, "live or scripted"),
        ("prefill-curve", {"context": 100}, "640"),
        ("decode", {"requests": 0}, "at least 1"),
        ("prefill-curve", {"repeats": 0}, "at least 1"),
        ("depth", {"context": 100}, "smaller output_tokens"),
        ("cc-session", {"context": 20_000, "subagents": 1}, "smaller scale"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(
    name: str, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        make_workload(name, **parameters)


def test_another_file_is_no_workload(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"schema": "autosre.result/v1"}')
    with pytest.raises(BenchmarkError, match="is not a workload"):
        load_workload(file)


def test_every_workload_is_described_with_its_parameters() -> None:
    text = describe_workloads()
    assert all(name in text for name in workload_names())
    assert "output_tokens=512" in text


@pytest.mark.parametrize("content", ["prose", "code", "json"])
def test_texts_have_about_the_size_they_are_asked_for(content: str) -> None:
    text = content_of(content, 2000, random.Random(1))  # type: ignore[arg-type]
    assert approximate_tokens(text) == pytest.approx(2000, rel=0.3)


def test_sizes_have_the_mean_and_spread_they_are_drawn_with() -> None:
    rng = random.Random(2)
    drawn = [lognormal(rng, mean=100, deviation=50, least=0, most=1e9) for _ in range(20_000)]
    assert statistics.fmean(drawn) == pytest.approx(100, rel=0.03)
    assert statistics.stdev(drawn) == pytest.approx(50, rel=0.06)


@given(
    st.integers(min_value=0, max_value=50),
    st.floats(min_value=0.02, max_value=1.0),
    st.integers(min_value=8_000, max_value=200_000),
)
def test_no_session_outgrows_its_window(seed: int, scale: float, context: int) -> None:
    prefix = 10_000
    try:
        workload = make_workload(
            "cc-session", seed=seed, scale=scale, context=context, prefix_tokens=prefix, sessions=2
        )
    except ConfigError:
        first_turn = (24_000 * 1.15 + 3_600) * scale + 16
        assert prefix * scale * 1.1 + 64 + first_turn > context
        return
    for session in workload.sessions:
        words = len(session.system.split()) + sum(
            len(tool["description"].split()) for tool in session.tools
        )
        asked = words + sum(len(turn.text.split()) + turn.max_tokens for turn in session.turns)
        assert asked < context


def test_a_session_is_claude_codes() -> None:
    workload = make_workload("cc-session", sessions=40, context=10_000_000)
    turns = [len(one.turns) for one in workload.sessions]
    assert min(turns) >= 25
    assert max(turns) <= 57
    assert statistics.fmean(turns) == pytest.approx(38, rel=0.1)
    outs = [turn.max_tokens for one in workload.sessions for turn in one.turns]
    assert statistics.fmean(outs) == pytest.approx(585, rel=0.1)
    assert {one.system for one in workload.sessions} == {workload.sessions[0].system}
    assert {tool["name"] for tool in workload.sessions[0].tools} >= {"Read", "Bash", "Edit"}
    assert all(one.turns[0].wait_s == 0 for one in workload.sessions)


def test_a_scripted_session_says_the_same_on_every_run_and_calls_tools() -> None:
    workload = make_workload("cc-session", history="scripted", sessions=1, scale=0.05)
    assert workload.history == "scripted"
    names = {tool["name"] for tool in workload.sessions[0].tools}
    assert all(turn.answer and turn.tool in names for turn in workload.sessions[0].turns)


def test_tools_are_called_as_often_as_claude_code_calls_them() -> None:
    workload = make_workload("cc-session", history="scripted", sessions=20, context=10_000_000)
    called = [turn.tool for one in workload.sessions for turn in one.turns]
    assert called.count("Read") / len(called) == pytest.approx(0.30, abs=0.05)
    assert called.count("Glob") / len(called) == pytest.approx(0.05, abs=0.03)


def test_subagents_have_a_prefix_of_their_own_and_start_in_their_parents_session() -> None:
    workload = make_workload("cc-session", sessions=1, subagents=2, turns=8, scale=0.1)
    main, *agents = workload.sessions
    assert [one.parent for one in agents] == [main.id, main.id]
    assert len({one.system for one in workload.sessions}) == 3
    assert all(0 < one.after_turn < len(main.turns) for one in agents)


def by_prefix(workload: Workload) -> list[int]:
    return sorted({int(one.id.split("-")[1]) for one in workload.sessions})


def test_what_does_not_fit_into_the_window_is_left_out() -> None:
    assert by_prefix(make_workload("prefill-curve", context=8192)) == [512, 1024, 2048, 4096]
    assert by_prefix(make_workload("depth", context=32_768)) == [0, 8192, 13862]
    assert by_prefix(make_workload("depth", context=262_144))[-1] == 200_000
