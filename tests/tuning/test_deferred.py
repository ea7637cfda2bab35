"""Knobs that no recipe turns yet: why, and the experiments that try them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from autosre_lab.cli.main import main
from autosre_lab.errors import ConfigError
from autosre_lab.evaluation import GateResult
from autosre_lab.recipe import Recipe, build_vllm_serve_cmd, load_recipe
from autosre_lab.stack import Stack
from autosre_lab.tuning import (
    DEFERRED,
    Experiment,
    apply_knobs,
    deferred_experiment,
    deferred_rows,
    run_experiment,
)
from autosre_lab.tuning.knobs import lint_faults
from tests.tuning.scripted import Engines, Speeds

HYBRID = "qwen3.8-27b-nvfp4"
CACHE = "engine.args.enable-prefix-caching"


def test_every_deferred_knob_says_why_and_where_that_is_reported() -> None:
    assert [one.name for one in DEFERRED] == [
        *("mtp", "dflash", "moe-flashinfer", "moe-cutlass", "auto-round"),
    ]
    for row in deferred_rows():
        assert len(row["reason"]) > 40
        assert row["sources"]
        assert "prefix cache" in row["gate"]


def test_drafts_on_a_hybrid_model_are_tried_without_the_cache_and_refused_with_it() -> None:
    rows = {one["name"]: one for one in deferred_rows(HYBRID)}
    assert rows["mtp"]["trials"] == 3
    assert len(rows["mtp"]["refused"]) == 3
    assert all("'engine.args.enable-prefix-caching': True" in one for one in rows["mtp"]["refused"])
    assert all("corrupts the recurrent state" in why for why in rows["mtp"]["refused"].values())
    assert rows["dflash"]["trials"] == 1


def test_the_experiment_is_one_that_runs_the_gate_and_reaches_the_command_line() -> None:
    tree = deferred_experiment("dflash", HYBRID)
    experiment = Experiment.model_validate(tree)
    assert experiment.gate
    assert "deferred" in experiment.notes
    assert "vllm-project/vllm/issues/53912" in experiment.notes
    values = {one.path: one.values[-1] for one in experiment.knobs}
    turned = apply_knobs(load_recipe(HYBRID), values)
    assert lint_faults(turned) == []
    argv = build_vllm_serve_cmd(turned)
    assert json.loads(argv[argv.index("--speculative-config") + 1]) == {
        "method": "dflash",
        "model": "incoai/Qwen3.8-27B-DFlash2",
        "num_speculative_tokens": 7,
    }
    assert "--no-enable-prefix-caching" in argv


@pytest.mark.parametrize(
    ("name", "recipe", "values"),
    [
        ("moe-flashinfer", "qwen3.6-35b-a3b-nvfp4", ("flashinfer_cutlass", "flashinfer_trtllm")),
        ("moe-cutlass", "gpt-oss-120b", ("cutlass",)),
    ],
)
def test_a_kernel_for_experts_is_tried(name: str, recipe: str, values: tuple[str, ...]) -> None:
    experiment = Experiment.model_validate(deferred_experiment(name, recipe))
    assert experiment.knobs[0].values == values
    for value in values:
        turned = apply_knobs(load_recipe(recipe), {experiment.knobs[0].path: value})
        assert lint_faults(turned) == []


def test_auto_round_needs_weights_that_were_made_so() -> None:
    with pytest.raises(ConfigError, match="the weights are nvfp4"):
        deferred_experiment("auto-round", HYBRID)
    base = load_recipe("qwen3-coder-next-fp8")
    model = {"repo": "Intel/Qwen3-Coder-Next-int4-AutoRound", "quant": "int4 auto-round"}
    made = load_recipe("qwen3-coder-next-fp8", overrides={"name": base.name, "model": model})
    experiment = Experiment.model_validate(deferred_experiment("auto-round", made))
    argv = build_vllm_serve_cmd(apply_knobs(made, {experiment.knobs[0].path: "auto_round"}))
    assert argv[argv.index("--quantization") + 1] == "auto_round"


@pytest.mark.parametrize(
    ("name", "recipe", "said"),
    [
        ("moe-cutlass", "smollm2-135m-cpu", "not dense"),
        ("dflash", "smollm2-135m-cpu", "no drafter is known"),
        ("warp", HYBRID, "mtp, dflash"),
    ],
)
def test_what_does_not_fit_is_told(name: str, recipe: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        deferred_experiment(name, recipe)
    assert said in str(caught.value)


def test_a_run_never_serves_what_lint_refuses_and_gates_the_rest(tmp_path: Path) -> None:
    """The whole experiment, on engines and a gate that do what the test says."""
    tree = deferred_experiment("mtp", HYBRID) | {"abba": False}
    served: list[tuple[object, object]] = []

    class Noting(Engines):
        def serve(self, recipe: Recipe) -> Stack:
            drafts = recipe.engine.args.get("speculative-config")
            served.append((drafts and drafts["num_speculative_tokens"], _cached(recipe)))  # type: ignore[index, call-overload]
            return super().serve(recipe)

    def gate(stack: Stack, recipe: Recipe) -> GateResult:
        wrong = "'num_speculative_tokens': 3" in str(recipe.engine.args.get("speculative-config"))
        reasons = ("L1: a tool call out of the cache is malformed",) if wrong else ()
        return GateResult(passed=not wrong, reasons=reasons, checks=(), seconds=1)

    experiment = Experiment.model_validate(tree)
    trials = run_experiment(experiment, tmp_path / "x", Noting(), Speeds(lambda _: 1.0), gate)
    assert [one.outcome for one in trials] == [
        *("lint_rejected", "ok", "lint_rejected", "ok", "lint_rejected", "gate_failed"),
    ]
    assert "corrupts" in trials[0].reasons[0]
    assert all(not cached for drafts, cached in served if drafts)
    assert not any(one.better for one in trials if one.outcome != "ok")
    shown = CliRunner().invoke(main, ["tune", "show", str(tmp_path / "x")])
    assert "mtp is deferred" in shown.output
    assert "malformed" in shown.output


def _cached(recipe: Recipe) -> bool:
    return recipe.engine.args.get("enable-prefix-caching") is not False


def test_the_commands_say_why_and_print_an_experiment(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["tune", "deferred", HYBRID])
    assert shown.exit_code == 0, shown.output
    assert "why not yet: on hybrid models" in shown.output
    assert f"autosre tune suggest {HYBRID} --deferred mtp" in shown.output
    assert f"not with {HYBRID}: the weights are nvfp4" in shown.output
    assert "trials" not in CliRunner().invoke(main, ["tune", "deferred"]).output
    printed = CliRunner().invoke(main, ["tune", "suggest", HYBRID, "--deferred", "mtp"])
    file = tmp_path / "experiment.yaml"
    file.write_text(printed.output)
    from autosre_lab.tuning import load_experiment

    assert load_experiment(file).knobs[0].path == "engine.args.speculative-config.method"
    refused = CliRunner().invoke(main, ["tune", "suggest", HYBRID, "--deferred", "auto-round"])
    assert refused.exit_code != 0
    assert "what to do" in refused.output
