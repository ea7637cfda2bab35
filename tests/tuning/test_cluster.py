"""Trials as rollouts: on the cluster, in turns, undone where they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.cluster import options, stack
from autosre_lab.errors import ExperimentError
from autosre_lab.recipe import Recipe
from autosre_lab.recipe.dump import recipe_yaml
from autosre_lab.stack import Stack
from autosre_lab.tuning import LiveOperator, run_experiment
from tests.cluster.fake_api import Behaviour
from tests.cluster.recipes import cpu_recipe
from tests.cluster.test_stack import LiveKube, command, kube, pods
from tests.tuning.scripted import SLOTS, Speeds, experiment, passing, slots

__all__ = ["kube"]


@pytest.fixture
def own_recipe(kube: LiveKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe of the user's, and the cluster that everything goes to."""
    for module in (options, stack):
        monkeypatch.setattr(module, "configured_client", lambda: kube)
    recipe = cpu_recipe()
    file = tmp_path / "config" / "recipes" / "cpu.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(recipe_yaml(recipe), "utf-8")
    return recipe


def served(kube: LiveKube) -> int:
    argv = command(kube)
    return int(argv[argv.index("--max-num-seqs") + 1]) if "--max-num-seqs" in argv else 0


class Operator(LiveOperator):
    """The real one, which keeps what the cluster was told to run."""

    def __init__(self, kube: LiveKube, folder: Path, behaviours: dict[int, Behaviour]) -> None:
        super().__init__(WANTED, folder)
        self.kube, self.behaviours = kube, behaviours
        self.rollouts: list[int] = []

    def serve(self, recipe: Recipe) -> Stack:
        self.kube.cluster.behaviours["vllm"] = self.behaviours.get(slots(recipe), Behaviour())
        try:
            found = super().serve(recipe)
        finally:
            self.kube.cluster.behaviours["vllm"] = Behaviour()
        self.rollouts.append(served(self.kube))
        return found


WANTED = experiment(
    recipe="cpu",
    place="cluster",
    knobs=[{"path": SLOTS, "values": [2, 4, 8]}],
)


def test_trials_are_rollouts_in_turns_and_what_ran_before_runs_again(
    kube: LiveKube, own_recipe: Recipe, tmp_path: Path
) -> None:
    stack.start(own_recipe, client=kube)
    proxy = pods(kube, "proxy")
    speeds = Speeds(lambda number: 0.5 if number == 8 else 1.0)
    operator = Operator(kube, tmp_path / "e", {})
    trials = run_experiment(WANTED, tmp_path / "e", operator, speeds, passing)
    assert [trial.better for trial in trials] == [False, False, True]
    # Incumbent, candidate, incumbent; measured once before, twice, and once after.
    assert operator.rollouts == [0, 2, 0, 4, 0, 8, 0]
    assert [one for one, _ in speeds.measured] == [0, 2, 2, 0, 4, 4, 0, 8, 8, 0]
    assert all(trial.gated for trial in trials)
    assert pods(kube, "proxy") == proxy, "sessions waited at the same proxy"
    status = stack.status(client=kube)
    assert (status.state, status.recipe_name, served(kube)) == ("ready", "cpu", 0)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (Behaviour(ready_s=None, ends_s=1, exit_code=137, reason="OOMKilled"), "out_of_memory"),
        (Behaviour(ready_s=None, ends_s=1, log=["ValueError: boom"]), "crashed"),
        (Behaviour(waits_for=("ErrImagePull", "no such image")), "crashed"),
    ],
)
def test_a_rollout_that_fails_is_a_result_and_is_rolled_back(
    behaviour: Behaviour, outcome: str, kube: LiveKube, own_recipe: Recipe, tmp_path: Path
) -> None:
    operator = Operator(kube, tmp_path / "e", {4: behaviour})
    trials = run_experiment(WANTED, tmp_path / "e", operator, Speeds(lambda _: 1.0), passing)
    assert [trial.outcome for trial in trials] == ["ok", outcome, "ok"], trials
    assert trials[1].reasons
    # Nothing ran before, so nothing runs now.
    assert stack.status(client=kube).state == "stopped"
    assert kube.find("Pod") == []


def test_an_experiment_that_was_killed_still_knows_what_ran_before(
    kube: LiveKube, own_recipe: Recipe, tmp_path: Path
) -> None:
    killed = LiveOperator(WANTED, tmp_path)
    killed.serve(own_recipe)
    assert stack.status(client=kube).state == "ready"
    later = LiveOperator(WANTED, tmp_path)
    later.restore()
    assert stack.status(client=kube).state == "stopped"
    assert not (tmp_path / "before.json").exists()


def test_a_stack_that_could_not_be_put_back_is_not_touched(
    kube: LiveKube, own_recipe: Recipe, tmp_path: Path
) -> None:
    stack.start(cpu_recipe(name="unknown"), client=kube)
    with pytest.raises(ExperimentError, match="unknown"):
        LiveOperator(WANTED, tmp_path)
    assert stack.status(client=kube).recipe_name == "unknown"
