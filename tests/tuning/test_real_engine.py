"""An experiment on the real CPU engine: one value that is too much, one that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.lifecycle import status
from autosre_lab.tuning import LiveBench, LiveOperator, live_gate, run_experiment
from tests.tuning.scripted import experiment


@pytest.mark.engine
def test_an_engine_without_memory_is_a_result_and_the_next_one_is_measured(tmp_path: Path) -> None:
    wanted = experiment(
        knobs=[{"path": "env.set.VLLM_CPU_KVCACHE_SPACE.value", "values": ["4000", "2"]}],
        workload={"name": "smoke"},
        abba=False,
        canary_tokens=0,
    )
    trials = run_experiment(wanted, tmp_path, LiveOperator(wanted), LiveBench(wanted), live_gate)
    assert [trial.outcome for trial in trials] == ["out_of_memory", "ok"], trials
    assert trials[1].gated is True
    assert trials[1].ratio is not None
    assert trials[1].figures["ttft_p50"]
    # Nothing ran before, nothing runs after.
    assert status().state == "stopped"
