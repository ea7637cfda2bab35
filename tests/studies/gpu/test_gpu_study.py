"""The study of a GPU, rehearsed where there is none: on the scripted engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autosre_lab.bench.result import load_result
from autosre_lab.errors import EngineError
from autosre_lab.metrics import read_samples
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.recipe.dump import recipe_yaml
from autosre_lab.studies.gpu.command import RECIPES, main, variant
from autosre_lab.studies.gpu.steps import Steps

SCRIPTED = Path(__file__).parents[3] / "binder" / "scripted.yaml"


def test_a_rehearsal_leaves_every_file_and_no_stack(tmp_path: Path) -> None:
    speed = {"SCRIPTED_SPEED": {"value": "20", "reason": "it is a rehearsal"}}
    quicker = load_recipe(SCRIPTED, overrides={"name": "quicker", "env": {"set": speed}})
    (tmp_path / "quicker.yaml").write_text(recipe_yaml(quicker), "utf-8")
    quick = ["--load-seconds", "1", "--streams", "2", "--checks", "2"]
    steps = ["--steps", "facts,energy,check,load,proxy"]
    where = ["--recipe", str(tmp_path / "quicker.yaml"), "--out", str(tmp_path)]
    assert main([*where, *quick, *steps]) == 0
    found = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert list(found) == ["start", "facts", "energy", "check", "load", "proxy"]
    assert not any("error" in one for one in found.values())
    assert found["check"]["of"] == 1
    assert len(found["energy"]["rows"]) == 5
    rows = found["proxy"]["rows"]
    order = ["chat", "messages", "messages", "chat", "chat", "messages"]
    assert [one["protocol"] for one in rows] == order
    assert {one["failed"] for one in rows} == {0}
    assert load_result(tmp_path / "sessions.json.gz").badge == "scripted"
    assert "num_requests_running" in (tmp_path / "metrics.txt").read_text("utf-8")
    assert list(read_samples(tmp_path / "recording.jsonl"))
    assert (tmp_path / "quicker-engine.log").exists()


def out_of_memory() -> None:
    raise EngineError("no memory", remedy="take less")


def test_a_step_that_fails_is_kept_and_the_others_go_on(tmp_path: Path) -> None:
    steps = Steps(tmp_path, 60)
    with steps.step("one"):
        out_of_memory()
    with steps.step("two") as found:
        found["rows"] = [1]
    kept = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert kept["one"]["error"] == "no memory"
    assert kept["two"]["rows"] == [1]
    assert steps.failed == ["one"]
    assert "no memory" in (tmp_path / "one.traceback.txt").read_text("utf-8")


def test_nothing_is_begun_after_the_time(tmp_path: Path) -> None:
    arguments = ["--recipe", str(SCRIPTED), "--out", str(tmp_path), "--seconds", "0"]
    assert main(arguments) == 0
    assert list(json.loads((tmp_path / "results.json").read_text("utf-8"))) == ["start"]


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe(RECIPES / "gpu-smollm2.yaml")


@pytest.mark.parametrize(
    ("kind", "mode", "invariant"),
    [("stock", "off", False), ("hook", "hook", False), ("invariant", "hook", True)],
)
def test_variants_differ_in_what_is_studied_only(
    recipe: Recipe, kind: str, mode: str, invariant: bool
) -> None:
    own = variant(recipe, kind, slots=4, step_tokens=256)
    assert own.name == f"gpu-smollm2-{kind}"
    assert own.scheduler.preemption.mode == mode
    assert own.engine.args["max-num-seqs"] == 4
    assert own.latency.max_step_tokens == 256
    assert ("VLLM_BATCH_INVARIANT" in own.env.set) is invariant
    assert own.model == recipe.model
    assert own.runtime == recipe.runtime


def test_the_mixture_of_experts_has_the_published_shape() -> None:
    from autosre_lab.metrics.roofline import model_shape

    moe = load_recipe(RECIPES / "gpu-moe.yaml")
    assert moe.engine.args["load-format"] == "dummy"
    shape = model_shape(json.loads((RECIPES / "moe.json").read_text("utf-8")))
    assert (shape.experts, shape.experts_per_token, shape.expert_layers) == (128, 8, 48)
