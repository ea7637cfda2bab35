from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autosre_lab.preemption import HOOK_MODULE, hook_file, hook_sha256, hook_text, parse_status
from autosre_lab.recipe import Recipe, build_runtime_env, build_vllm_serve_cmd, lint_recipe
from autosre_lab.recipe.command import HOOK_VERSIONS
from autosre_lab.recipe.schema import PreemptionOptions
from tests.chart.recipes import everything


def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location(HOOK_MODULE, hook_file())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config(**changes: Any) -> SimpleNamespace:
    settings: dict[str, Any] = {
        "scheduler_config": SimpleNamespace(policy="priority", max_num_seqs=4),
        "parallel_config": SimpleNamespace(pipeline_parallel_size=1, data_parallel_size=1),
        "kv_transfer_config": None,
        "lora_config": None,
        "model_config": SimpleNamespace(is_encoder_decoder=False),
        "additional_config": {},
    }
    return SimpleNamespace(**{**settings, **changes})


def preempting(**preemption: Any) -> Recipe:
    scheduler = {"policy": "priority", "preemption": {"mode": "hook", **preemption}}
    return everything(scheduler=scheduler)


def test_the_hook_is_alone_in_its_folder_and_imports_the_standard_library_only() -> None:
    # The folder goes on the engine's PYTHONPATH: whatever lies there hides modules of its own.
    names = {file.name for file in hook_file().parent.glob("*.py")}
    assert names <= {f"{HOOK_MODULE}.py", "autosre_preempt_shim.py"}
    for name in names:
        tree = ast.parse((hook_file().parent / name).read_text(encoding="utf-8"))
        top = {
            alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        top |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert {module.split(".")[0] for module in top} <= set(sys.stdlib_module_names)


def test_the_digest_is_that_of_the_file() -> None:
    assert hook_sha256() == hashlib.sha256(hook_file().read_bytes()).hexdigest()
    assert "def make_scheduler" in hook_text()


def test_the_recipe_knows_the_versions_and_the_options_that_the_hook_knows() -> None:
    module = hook()
    assert tuple(module.KNOWN_SOURCES) == HOOK_VERSIONS
    assert set(PreemptionOptions.model_fields) == set(module.OPTIONS)


def test_the_command_line_names_the_hook_and_its_options() -> None:
    argv = build_vllm_serve_cmd(
        preempting(options={"max_preemptions": 2}), host="127.0.0.1", port=1
    )
    assert argv[argv.index("--scheduler-cls") + 1] == f"{HOOK_MODULE}.make_scheduler"
    given = json.loads(argv[argv.index("--additional-config") + 1])
    assert given == {"autosre_preempt": {"max_preemptions": 2}}
    off = build_vllm_serve_cmd(everything(scheduler={}), host="127.0.0.1", port=1)
    assert "--scheduler-cls" not in off
    plain = build_vllm_serve_cmd(preempting(), host="127.0.0.1", port=1)
    assert "--additional-config" not in plain


def test_options_join_what_the_recipe_configures_otherwise() -> None:
    recipe = everything(
        scheduler={
            "policy": "priority",
            "preemption": {"mode": "hook", "options": {"min_gap": 5}},
        },
        engine={"args": {"additional-config": {"other": 1}}},
    )
    argv = build_vllm_serve_cmd(recipe, host="127.0.0.1", port=1)
    given = json.loads(argv[argv.index("--additional-config") + 1])
    assert given == {"other": 1, "autosre_preempt": {"min_gap": 5}}


def test_the_engine_finds_the_hook_before_its_own_path() -> None:
    assert (
        build_runtime_env(preempting(), secrets={"HF_TOKEN": "x"})["PYTHONPATH"] == "/opt/autosre"
    )
    env = {"set": {"PYTHONPATH": {"value": "/mine", "reason": "mine"}}}
    recipe = everything(env=env, scheduler={"policy": "priority", "preemption": {"mode": "hook"}})
    assert build_runtime_env(recipe, hook_folder="/there")["PYTHONPATH"] == "/there:/mine"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"scheduler": {"preemption": {"mode": "hook"}}}, "scheduler.preemption"),
        ({"engine": {"args": {"scheduler-cls": "a.B"}}}, "engine.args.scheduler-cls"),
    ],
)
def test_lint_tells_what_the_hook_cannot_work_with(changes: Any, key: str) -> None:
    found = [finding for finding in lint_recipe(everything(**changes)) if finding.key == key]
    assert [finding.severity for finding in found] == ["error"]


@pytest.mark.parametrize(("required", "severity"), [(True, "error"), (False, "warning")])
def test_lint_tells_of_a_vllm_that_the_hook_will_refuse(required: bool, severity: str) -> None:
    image = {"ref": "org/i:v0.33.0", "vllm_version": "0.33.0", "arch": "amd64"}
    scheduler = {"policy": "priority", "preemption": {"mode": "hook", "required": required}}
    found = lint_recipe(everything(image=image, scheduler=scheduler))
    (finding,) = [finding for finding in found if finding.key == "scheduler.preemption"]
    assert finding.severity == severity
    assert "0.33.0" in finding.message
    assert "0.24.0, 0.32.0" in finding.message


def test_a_status_is_read_and_nonsense_is_none() -> None:
    status = parse_status('{"status": "refused", "reasons": ["why"], "vllm": "0.99.0"}')
    assert status is not None
    assert (status.state, status.reasons, status.vllm) == ("refused", ("why",), "0.99.0")
    active = parse_status('{"status": "active", "options": {"min_gap": 1}}')
    assert active is not None
    assert active.options == {"min_gap": 1}
    for text in ("", "[]", "{", '{"status": "maybe"}', '{"status": "off", "reasons": 3}'):
        assert parse_status(text) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scheduler_config": SimpleNamespace(policy="fcfs")}, "--scheduling-policy is fcfs"),
        (
            {"parallel_config": SimpleNamespace(pipeline_parallel_size=2, data_parallel_size=1)},
            "parallelism",
        ),
        (
            {"parallel_config": SimpleNamespace(pipeline_parallel_size=1, data_parallel_size=2)},
            "parallelism",
        ),
        ({"kv_transfer_config": object()}, "KV connectors"),
        ({"lora_config": object()}, "LoRA"),
        ({"model_config": SimpleNamespace(is_encoder_decoder=True)}, "encoder-decoder"),
        (
            {"model_config": SimpleNamespace(is_encoder_decoder=False, is_diffusion=True)},
            "diffusion",
        ),
        ({"additional_config": {"autosre_preempt": {"max_evictions": 1}}}, "no option"),
        ({"additional_config": {"autosre_preempt": {"min_gap": "1"}}}, "not usable"),
        ({"additional_config": {"autosre_preempt": {"min_gap": True}}}, "not usable"),
        ({"additional_config": {"autosre_preempt": {"yield_until_first_token": 1}}}, "not usable"),
        ({"additional_config": {"autosre_preempt": 5}}, "not a map"),
        ({"additional_config": {"autosre_preempt": {"reserve_slots": 4}}}, "leaves no slot"),
        ({"additional_config": {"autosre_preempt": {"reserve_slots": -1}}}, "not usable"),
    ],
)
def test_what_the_hook_was_not_written_for_is_refused_by_name(changes: Any, reason: str) -> None:
    (said,) = hook()._unsuitable(config(**changes))
    assert reason in said


def test_a_suitable_engine_has_nothing_to_refuse() -> None:
    module = hook()
    options = {"min_gap": 3, "reserve_slots": 3, "reserve_priority": -10}
    given = config(additional_config={"autosre_preempt": options})
    assert module._unsuitable(given) == []
    assert module.options_of(given) == {**module.OPTIONS, **options}
    assert module._unsuitable(config(additional_config=None)) == []


def test_a_method_whose_source_cannot_be_read_has_no_digest() -> None:
    class Empty:
        pass

    digests = hook().source_digests(Empty, Empty, Empty)
    assert digests["Scheduler.schedule"] == "missing"
