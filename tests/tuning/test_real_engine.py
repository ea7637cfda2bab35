"""An experiment on the real CPU engine: a crash, no memory, a win; killed, resumed, promoted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from autosre_lab.cli.main import main
from autosre_lab.lifecycle import status
from autosre_lab.recipe import load_recipe
from autosre_lab.recipe.dump import recipe_yaml
from autosre_lab.tuning import apply_knobs, experiment_in
from tests.support.waiting import until

CACHE = "engine.args.enable-prefix-caching"
MEMORY = "env.set.VLLM_CPU_KVCACHE_SPACE.value"


def tune(*arguments: str) -> str:
    shown = CliRunner().invoke(main, ["tune", *arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.mark.engine
@pytest.mark.timeout(600)
def test_every_value_is_a_result_a_kill_loses_one_trial_and_the_winner_becomes_a_recipe(
    tmp_path: Path,
) -> None:
    # An incumbent without a prefix cache: what wins against it is known.
    slow = apply_knobs(load_recipe("smollm2-135m-cpu"), {CACHE: False}, name="without-cache")
    recipe = tmp_path / "without-cache.yaml"
    recipe.write_text(recipe_yaml(slow), "utf-8")
    sizes = {"sessions": 4, "turns": 3, "scale": 0.03, "context": 8192, "waits": 0.0}
    wanted = {
        "schema": "autosre.experiment/v1",
        "recipe": str(recipe),
        "knobs": [
            {"path": CACHE, "values": [True]},
            {"path": MEMORY, "values": ["lots", "4000", "1"]},
        ],
        "workload": {"name": "cc-session", "parameters": sizes},
        "objective": {"figure": "ttft_p50"},
        "abba": False,
        "check_tokens": 0,
    }
    file, folder = tmp_path / "experiment.yaml", tmp_path / "experiment"
    file.write_text(json.dumps(wanted))

    journal = folder / "journal.jsonl"
    killed = subprocess.Popen([sys.executable, "-m", "autosre_lab", "tune", "run", str(file)])
    try:
        until(
            lambda: journal.exists() and '"begun","number":2' in journal.read_text(),
            "the second trial",
            timeout_s=240,
        )
        os.kill(killed.pid, signal.SIGKILL)
    finally:
        killed.terminate()  # where the wait failed: it puts back what ran before
        killed.wait()

    shown = tune("run", str(file))
    trials = experiment_in(folder)[1].trials
    assert [trial.outcome for trial in trials] == ["crashed", "out_of_memory", "ok"], shown
    assert "lots" in trials[0].reasons[0]
    assert trials[2].gated is True
    assert trials[2].better is True, trials[2]
    assert "Best: trial 3" in shown
    # Nothing ran before, nothing runs after.
    assert status().state == "stopped"

    promoted = load_recipe(Path(tune("promote", str(folder), "--name", "with-cache").strip()))
    assert promoted.engine.args["enable-prefix-caching"] is True
    assert "gate passed" in promoted.verified[0].evidence
