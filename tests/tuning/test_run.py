"""Experiments: every trial is a result, and things are put back whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autosre_lab.errors import (
    AutosreError,
    BenchmarkError,
    ExperimentError,
    NotReadyError,
    RolloutError,
    ServiceCrashedError,
)
from autosre_lab.recipe import load_recipe
from autosre_lab.tuning import (
    Trial,
    experiment_in,
    experiment_text,
    promote,
    run_experiment,
    trial_rows,
)
from tests.tuning.scripted import SLOTS, Engines, Speeds, experiment, failing_at, passing


def crash(*tail: str, exit_code: int = 1, cause: str = "") -> ServiceCrashedError:
    return ServiceCrashedError(
        "the engine ended",
        remedy="x",
        service="engine",
        exit_code=exit_code,
        log_tail=list(tail),
        cause=cause,
    )


def outcomes(trials: list[Trial]) -> dict[object, str]:
    return {trial.values[SLOTS]: trial.outcome for trial in trials}


def same(slots: int) -> float:
    return 1.0


def test_the_faster_one_wins_beyond_doubt_and_things_are_put_back(tmp_path: Path) -> None:
    engines, speeds = Engines(), Speeds(lambda slots: {2: 1.05, 4: 0.8, 8: 0.95}.get(slots, 1.0))
    trials = run_experiment(experiment(), tmp_path, engines, speeds, passing)
    assert [trial.better for trial in trials] == [False, True, False]
    assert trials[1].ratio == pytest.approx(0.8)
    assert engines.restored == 1
    # 8 was measured against the new incumbent.
    assert trials[2].ratio == pytest.approx(0.95 / 0.8)


def test_incumbent_and_candidate_are_measured_in_turns(tmp_path: Path) -> None:
    engines, speeds = Engines(), Speeds(same)
    run_experiment(experiment(), tmp_path, engines, speeds, passing)
    # The incumbent (0: unset) around each candidate; its second measurement is used twice.
    assert engines.served == [0, 2, 0, 4, 0, 8, 0]
    assert [one for one, _ in speeds.measured] == [0, 2, 2, 0, 4, 4, 0, 8, 8, 0]


def test_the_same_speed_is_not_better(tmp_path: Path) -> None:
    trials = run_experiment(experiment(), tmp_path, Engines(), Speeds(same), passing)
    assert not any(trial.better for trial in trials)
    with pytest.raises(ExperimentError, match="beyond doubt"):
        promote(tmp_path)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (crash("RuntimeError: boom"), "crashed"),
        (crash("torch.cuda.OutOfMemoryError: CUDA out of memory"), "out_of_memory"),
        (crash("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (crash(exit_code=-9), "out_of_memory"),
        (
            crash("Engine core failed", cause="the KV cache does not fit into memory"),
            "out_of_memory",
        ),
        (NotReadyError("too slow", remedy="x"), "not_ready"),
        (RolloutError("x", remedy="x", reason="OOMKilled", pod="p", log_tail=[]), "out_of_memory"),
        (RolloutError("x", remedy="x", reason="ImagePull", pod="p", log_tail=[]), "crashed"),
    ],
)
def test_an_engine_that_does_not_start_is_a_result(
    error: AutosreError, outcome: str, tmp_path: Path
) -> None:
    engines = Engines({4: error})
    trials = run_experiment(experiment(), tmp_path, engines, Speeds(same), passing)
    assert outcomes(trials) == {2: "ok", 4: outcome, 8: "ok"}
    assert trials[1].reasons
    assert engines.restored == 1


def test_a_recipe_that_lint_refuses_is_never_started(tmp_path: Path) -> None:
    wrong = experiment(knobs=[{"path": "engine.args.no-such-flag", "values": [1]}])
    engines = Engines()
    trials = run_experiment(wrong, tmp_path, engines, Speeds(same), passing)
    assert trials[0].outcome == "lint_rejected"
    assert trials[0].restarts == 0
    assert engines.served == []


def test_speed_without_right_answers_does_not_count(tmp_path: Path) -> None:
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    trials = run_experiment(experiment(), tmp_path, Engines(), speeds, failing_at(4))
    assert outcomes(trials)[4] == "gate_failed"
    assert trials[1].reasons == ("L1 corrupt",)
    assert 4 not in [slots for slots, _ in speeds.measured]


def test_what_was_not_gated_cannot_be_promoted(tmp_path: Path) -> None:
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    trials = run_experiment(experiment(gate=False), tmp_path, Engines(), speeds, None)
    assert trials[1].better is True
    with pytest.raises(ExperimentError, match="never checked"):
        promote(tmp_path)


def test_a_measurement_that_fails_is_a_result(tmp_path: Path) -> None:
    speeds = Speeds(same, error=BenchmarkError("no answer", remedy="x"))
    trials = run_experiment(experiment(), tmp_path, Engines(), speeds, passing)
    assert outcomes(trials) == {2: "bench_failed", 4: "ok", 8: "ok"}


def test_a_suspect_machine_is_tried_once_more(tmp_path: Path) -> None:
    once = Speeds(same, drifts=[0.0, 0.2])
    trials = run_experiment(experiment(), tmp_path / "a", Engines(), once, passing)
    assert set(outcomes(trials).values()) == {"ok"}
    always = Speeds(lambda slots: 0.5 if slots == 2 else 1.0, drifts=[0.2] * 99)
    trials = run_experiment(experiment(), tmp_path / "b", Engines(), always, passing)
    assert set(outcomes(trials).values()) == {"machine_suspect"}
    assert not any(trial.better for trial in trials)


def test_a_constraint_that_is_broken_is_no_win(tmp_path: Path) -> None:
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    tight = experiment(objective={"figure": "ttft_p50", "constraints": {"tpot_p50": 0.01}})
    trials = run_experiment(tight, tmp_path, Engines(), speeds, passing)
    assert set(outcomes(trials).values()) == {"constraint_broken"}
    assert "tpot_p50 is 0.1 > 0.01" in trials[0].reasons[0]


def test_throughput_wins_only_if_every_block_beats_every_other(tmp_path: Path) -> None:
    wanted = experiment(objective={"figure": "output_tps", "want": "high"})
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    trials = run_experiment(wanted, tmp_path, Engines(), speeds, passing)
    assert [trial.better for trial in trials] == [False, True, False]
    assert trials[1].interval is None


@pytest.mark.parametrize(
    ("budget", "tried", "why"),
    [
        ({"trials": 2}, 2, ""),
        ({"restarts": 5}, 2, "5 restarts would not suffice"),
        ({"minutes": 0.001}, 1, "minutes would not suffice"),
    ],
)
def test_the_budget_is_kept_and_what_was_not_tried_is_said(
    budget: dict[str, float], tried: int, why: str, tmp_path: Path
) -> None:
    ticks = iter(range(0, 10_000, 10))
    trials = run_experiment(
        experiment(budget=budget),
        tmp_path,
        Engines(),
        Speeds(same),
        passing,
        clock=lambda: float(next(ticks)),
    )
    assert len(trials) == tried
    assert why in " ".join(experiment_in(tmp_path)[1].notes())


def test_an_incumbent_that_cannot_be_served_ends_the_experiment(tmp_path: Path) -> None:
    engines = Engines({0: crash("boom")})
    with pytest.raises(ServiceCrashedError):
        run_experiment(experiment(), tmp_path, engines, Speeds(same), passing)
    assert engines.restored == 1


def test_an_interrupt_puts_things_back(tmp_path: Path) -> None:
    class Interrupted(Speeds):
        def __call__(self, *args: object, **more: object) -> object:  # type: ignore[override]
            raise KeyboardInterrupt

    engines = Engines()
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment(), tmp_path, engines, Interrupted(same), passing)  # type: ignore[arg-type]
    assert engines.restored == 1


def test_the_winner_becomes_a_recipe_with_its_evidence(tmp_path: Path) -> None:
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    run_experiment(experiment(), tmp_path, Engines(), speeds, passing)
    target = tmp_path / "smollm2-135m-cpu-tuned.yaml"
    file = promote(tmp_path, target=target)
    recipe = load_recipe(file)
    assert recipe.name == "smollm2-135m-cpu-tuned"
    assert recipe.engine.args["max-num-seqs"] == 4
    assert "0.500 of the incumbent's" in recipe.verified[0].evidence
    assert str(tmp_path) in recipe.verified[0].evidence
    with pytest.raises(ExperimentError, match="exists already"):
        promote(tmp_path, target=target)


def test_trials_are_shown_as_a_table(tmp_path: Path) -> None:
    engines = Engines({8: crash("CUDA out of memory")})
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    trials = run_experiment(experiment(), tmp_path, engines, speeds, passing)
    text = experiment_text(*experiment_in(tmp_path))
    assert "max-num-seqs=4" in text
    assert "3: out of memory" in text
    assert "Best: trial 2" in text
    assert [row["outcome"] for row in trial_rows(trials, "ttft_p50")] == [
        "ok",
        "ok",
        "out_of_memory",
    ]


def test_result_cards_stay_with_the_experiment(tmp_path: Path) -> None:
    trials = run_experiment(experiment(), tmp_path, Engines(), Speeds(same), passing)
    assert len(trials[0].results) == 4
    assert all((tmp_path / name).exists() for name in trials[0].results)


def test_another_experiments_folder_is_refused(tmp_path: Path) -> None:
    run_experiment(experiment(budget={"trials": 1}), tmp_path, Engines(), Speeds(same), passing)
    with pytest.raises(ExperimentError, match="another experiment"):
        run_experiment(experiment(seed=5), tmp_path, Engines(), Speeds(same), passing)
    with pytest.raises(ExperimentError, match="no experiment"):
        experiment_in(tmp_path / "results")


KILLED = """
import sys, time
from pathlib import Path
from tests.tuning.scripted import Engines, Speeds, experiment, passing, slots
from autosre_lab.tuning import run_experiment

class Hanging(Speeds):
    def __call__(self, stack, recipe, *, share):
        if slots(recipe) == 4:
            print("hanging", flush=True)
            time.sleep(600)
        return super().__call__(stack, recipe, share=share)

run_experiment(experiment(), Path(sys.argv[1]), Engines(), Hanging(lambda n: 1.0), passing)
"""


def test_an_experiment_that_was_killed_goes_on_without_repeating(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"hanging\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"kind": "ended", "tri')

    assert experiment_in(tmp_path)[1].interrupted == [2]
    engines, speeds = Engines(), Speeds(same)
    started = time.monotonic()
    trials = run_experiment(experiment(), tmp_path, engines, speeds, passing)
    assert time.monotonic() - started < 60
    assert [trial.number for trial in trials] == [1, 2, 3]
    assert 2 not in [slots for slots, _ in speeds.measured]
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    assert [one["number"] for one in whole if one["kind"] == "ended"] == [1, 2, 3]


TOLD = """
import sys, time
from autosre_lab import tuning
from autosre_lab.cli import main
from tests.tuning.scripted import Engines, passing

class Told(Engines):
    def restore(self):
        print("restored", flush=True)

def hang(*args, **more):
    print("hanging", flush=True)
    time.sleep(600)

tuning.LiveOperator = lambda *_: Told()
tuning.LiveBench = lambda *_: hang
tuning.live_gate = passing
main(["tune", "run", sys.argv[1]])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whoever_ends_it_what_ran_before_is_put_back(
    number: signal.Signals, tmp_path: Path
) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(experiment().model_dump_json(by_alias=True))
    process = subprocess.Popen(
        [sys.executable, "-c", TOLD, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"hanging\n"
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert said == b"restored\n"
    assert process.returncode != 0
