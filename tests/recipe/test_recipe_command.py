from __future__ import annotations

import json
import shlex
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from autosre_lab.errors import RecipeError
from autosre_lab.recipe import (
    Recipe,
    build_runtime_env,
    build_vllm_serve_cmd,
    lint_recipe,
    load_flag_table,
    load_recipe,
)
from autosre_lab.recipe.command import model_argument
from autosre_lab.recipe.schema import Scheduler

Make = Callable[..., Recipe]

GOLDEN = {
    "smollm2-135m-cpu": """
        vllm serve HuggingFaceTB/SmolLM2-135M-Instruct --host 127.0.0.1 --port 8010
        --served-model-name smollm2-135m --max-model-len 8192 --scheduling-policy priority
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --enforce-eager
        --override-generation-config '{"temperature":0.0}'
        --tool-call-parser hermes --tool-strict-level parameter
        --scheduler-cls autosre_priority_preempt.make_scheduler
    """,
    "qwen3.6-35b-a3b-nvfp4": """
        vllm serve nvidia/Qwen3.6-35B-A3B-NVFP4 --host 127.0.0.1 --port 8010
        --served-model-name qwen3.6-35b-a3b --max-model-len 262144 --scheduling-policy priority
        --max-num-batched-tokens 8192
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --tool-call-parser qwen3_xml --reasoning-parser qwen3
        --gpu-memory-utilization 0.4 --max-num-seqs 4 --moe-backend marlin
        --attention-backend flashinfer
        --scheduler-cls autosre_priority_preempt.make_scheduler
        --additional-config '{"autosre_preempt":{"max_preemptions":2}}'
    """,
    "qwen3-coder-30b-a3b-fp8": """
        vllm serve Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8 --host 127.0.0.1 --port 8010
        --served-model-name qwen3-coder-30b --max-model-len 131072 --scheduling-policy priority
        --max-num-batched-tokens 8192
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --tool-call-parser qwen3_coder
        --gpu-memory-utilization 0.92 --max-num-seqs 16
    """,
    "qwen3.6-35b-a3b-nvfp4-vllm0.33": """
        vllm serve nvidia/Qwen3.6-35B-A3B-NVFP4 --host 127.0.0.1 --port 8010
        --served-model-name qwen3.6-35b-a3b --max-model-len 262144 --scheduling-policy priority
        --max-num-batched-tokens 8192
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --tool-call-parser qwen3_xml --reasoning-parser qwen3
        --gpu-memory-utilization 0.5 --max-num-seqs 8 --moe-backend marlin
        --attention-backend flashinfer --kv-cache-dtype fp8
    """,
    "qwen3.8-27b-nvfp4": """
        vllm serve unsloth/Qwen3.8-27B-NVFP4 --host 127.0.0.1 --port 8010
        --served-model-name qwen3.8-27b --max-model-len 262144 --scheduling-policy priority
        --max-num-batched-tokens 8192
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --tool-call-parser qwen3_coder --reasoning-parser qwen3
        --gpu-memory-utilization 0.5 --max-num-seqs 4 --kv-cache-dtype fp8
        --attention-backend flashinfer
    """,
    "qwen3-coder-next-fp8": """
        vllm serve Qwen/Qwen3-Coder-Next-FP8 --host 127.0.0.1 --port 8010
        --served-model-name qwen3-coder-next --max-model-len 131072 --scheduling-policy priority
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --tool-call-parser qwen3_coder
        --gpu-memory-utilization 0.7 --kv-cache-dtype fp8 --attention-backend flashinfer
    """,
    "gpt-oss-120b": """
        vllm serve openai/gpt-oss-120b --host 127.0.0.1 --port 8010
        --served-model-name gpt-oss-120b --max-model-len 131072 --scheduling-policy priority
        --max-num-batched-tokens 8192
        --enable-prefix-caching --enable-chunked-prefill --enable-prompt-tokens-details
        --enable-auto-tool-choice --tool-call-parser openai --reasoning-parser openai_gptoss
        --gpu-memory-utilization 0.7 --kv-cache-dtype fp8
    """,
}

PRODUCTION_ENV = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_CACHE": "/data/huggingface/hub",
    "NVIDIA_DISABLE_REQUIRE": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "VLLM_MARLIN_USE_ATOMIC_ADD": "1",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_USE_DEEP_GEMM": "0",
}
HOOKED = {**PRODUCTION_ENV, "PYTHONPATH": "/opt/autosre"}
"""The agreed one, and where vLLM finds the scheduler's hook; without the hook nothing is added."""


def line(recipe: Recipe, **given: object) -> list[str]:
    return build_vllm_serve_cmd(recipe, host="h", port=1, **given)  # type: ignore[arg-type]


def flags(make: Make, **args: object) -> list[str]:
    argv = line(make(engine={"args": args}))
    return argv[argv.index("--scheduling-policy") + 2 :]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_command_line_of_a_shipped_recipe_is_what_was_reviewed(name: str) -> None:
    argv = build_vllm_serve_cmd(load_recipe(name), host="127.0.0.1", port=8010)
    assert argv == shlex.split(GOLDEN[name])


def test_the_production_environment_is_exactly_the_agreed_one() -> None:
    recipe = load_recipe("qwen3.6-35b-a3b-nvfp4")
    assert build_runtime_env(recipe) == HOOKED
    off = recipe.model_copy(update={"scheduler": Scheduler(policy="priority")})
    assert build_runtime_env(off) == PRODUCTION_ENV
    assert all(len(entry.reason) > 15 for entry in recipe.env.set.values())


def test_production_keeps_cuda_graphs_and_does_not_speculate() -> None:
    argv = line(load_recipe("qwen3.6-35b-a3b-nvfp4"))
    assert "--enforce-eager" not in argv
    assert not [word for word in argv if word.startswith("--spec")]


@pytest.mark.parametrize(
    "name",
    [
        "qwen3.6-35b-a3b-nvfp4-vllm0.33",
        "qwen3.8-27b-nvfp4",
        "qwen3-coder-next-fp8",
        "gpt-oss-120b",
    ],
)
def test_a_recipe_that_follows_published_settings_names_them_and_fits_current_vllm(
    name: str,
) -> None:
    recipe = load_recipe(name)
    assert len(recipe.meta.sources) >= 2
    assert recipe.vllm_version == "0.33.0"
    assert load_flag_table("0.33.0") is not None
    assert [one for one in lint_recipe(recipe) if one.severity == "error"] == []
    assert not [word for word in line(recipe) if word.startswith("--spec")]


def test_a_source_is_an_address(recipe: Make) -> None:
    with pytest.raises(RecipeError, match=r"meta\.sources"):
        recipe(meta={"description": "x", "sources": ["somebody's blog"]})


def test_a_token_is_set_only_if_the_operator_has_one() -> None:
    recipe = load_recipe("qwen3.6-35b-a3b-nvfp4")
    assert build_runtime_env(recipe, secrets={"HF_TOKEN": "t"}) == {
        **HOOKED,
        "HF_TOKEN": "t",
    }
    assert build_runtime_env(recipe, secrets={"HF_TOKEN": ""}) == HOOKED


def test_a_secret_that_the_recipe_does_not_declare_is_not_passed_on() -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    given_none = build_runtime_env(recipe)
    assert build_runtime_env(recipe, secrets={"HF_TOKEN": "t", "AWS_SECRET": "s"}) == given_none


def test_a_required_secret_that_is_not_there_is_told(recipe: Make) -> None:
    needy = recipe(env={"secret": {"HF_TOKEN": {"reason": "gated weights", "required": True}}})
    with pytest.raises(RecipeError, match=r"HF_TOKEN: gated weights") as caught:
        build_runtime_env(needy, secrets={})
    assert "set HF_TOKEN" in caught.value.remedy
    assert build_runtime_env(needy, secrets={"HF_TOKEN": "t"}) == {"HF_TOKEN": "t"}


def test_true_false_null_map_list_and_number_are_rendered_as_vllm_reads_them(recipe: Make) -> None:
    assert flags(recipe, **{"enforce-eager": True}) == ["--enforce-eager"]
    assert flags(recipe, **{"enable-prefix-caching": False}) == ["--no-enable-prefix-caching"]
    assert flags(recipe, **{"enforce-eager": None}) == []
    assert flags(recipe, **{"compilation-config": {"mode": 3, "backend": "x"}}) == [
        "--compilation-config",
        '{"backend":"x","mode":3}',
    ]
    assert flags(recipe, **{"cudagraph-capture-sizes": [1, 2, 4]}) == [
        *("--cudagraph-capture-sizes", "1", "2", "4")
    ]
    assert flags(recipe, **{"gpu-memory-utilization": 0.5, "seed": 3}) == [
        *("--gpu-memory-utilization", "0.5", "--seed", "3")
    ]


def test_a_list_is_one_json_text_or_a_repeated_flag_where_vllm_wants_that(recipe: Make) -> None:
    assert flags(recipe, **{"allowed-origins": ["a", "b"]}) == ["--allowed-origins", '["a","b"]']
    assert flags(recipe, middleware=["a.b", "c.d"]) == [
        *("--middleware", "a.b", "--middleware", "c.d")
    ]


def test_a_text_that_looks_like_an_option_is_bound_to_its_flag(recipe: Make) -> None:
    assert flags(recipe, **{"response-role": "-x"}) == ["--response-role=-x"]


def test_a_negative_that_vllm_does_not_have_is_refused(recipe: Make) -> None:
    with pytest.raises(RecipeError, match="has no --no-headless"):
        line(recipe(engine={"args": {"headless": False}}))


def test_extra_arguments_come_last_and_word_by_word(recipe: Make) -> None:
    extra = [
        {"argv": ["--seed", "1"], "reason": "r"},
        {"argv": ["--compilation-config.mode", "3"], "reason": "r"},
    ]
    argv = line(recipe(engine={"args": {"dtype": "half"}, "extra_args": extra}))
    assert argv[-6:] == ["--dtype", "half", "--seed", "1", "--compilation-config.mode", "3"]


def test_a_vllm_without_a_flag_table_is_served_all_the_same(recipe: Make) -> None:
    old = recipe(
        runtime={"device": "cuda", "distribution": "vllm", "version": "0.1.0"},
        engine={"args": {"some-flag": False, "names": ["a", "b"]}},
    )
    assert line(old)[-4:] == ["--no-some-flag", "--names", "a", "b"]


def test_a_local_folder_takes_the_models_place_and_has_no_revision(recipe: Make) -> None:
    made = recipe()
    assert line(made)[2] == "org/model"
    assert "--revision" in line(made)
    argv = line(made, model_path="/models/here")
    assert argv[2] == "/models/here"
    assert "--revision" not in argv


def test_the_model_of_a_local_recipe_is_its_folder(recipe: Make) -> None:
    local = {"repo": "org/model", "source": {"kind": "local", "path": "/m"}, "context": 4096,
             "served_names": ["mine", "other"], "revision": "0" * 40}  # fmt: skip
    made = recipe(model=local)
    assert model_argument(made) == "/m"
    assert "--revision" not in line(made)
    argv = line(made)
    at = argv.index("--served-model-name")
    assert argv[at : at + 3] == ["--served-model-name", "mine", "other"]


def test_whoever_runs_it_chooses_the_executable(recipe: Make) -> None:
    assert line(recipe(), executable=("/env/bin/python", "-m", "x"))[:4] == [
        *("/env/bin/python", "-m", "x", "org/model")
    ]
    image = {"ref": "i:v0.32.0", "vllm_version": "0.32.0", "arch": "amd64", "entrypoint": ["run"]}
    assert line(recipe(image=image, runtime=None))[0] == "run"


texts = st.text(min_size=1, max_size=8).filter(lambda t: not t.startswith("-"))
values: st.SearchStrategy[JsonValue] = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.dictionaries(texts, st.one_of(st.integers(), texts), min_size=1, max_size=3),
)


@given(st.dictionaries(st.from_regex(r"\Ax[a-z0-9]{1,8}\Z"), values, max_size=5))
def test_every_value_can_be_read_back_from_the_command_line(args: dict[str, JsonValue]) -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    engine = recipe.engine.model_copy(update={"args": args})
    plain = {"engine": engine, "scheduler": Scheduler(policy="priority")}
    argv = line(recipe.model_copy(update=plain))
    assert all(isinstance(word, str) for word in argv)
    rest = argv[argv.index("--scheduling-policy") + 2 :]
    for name, value in args.items():
        word = rest.pop(0)
        if isinstance(value, bool):
            assert word == (f"--{name}" if value else f"--no-{name}")
            continue
        if word == f"--{name}":
            word = f"{word}={rest.pop(0)}"
        option, _, text = word.partition("=")
        assert option == f"--{name}"
        assert text == value if isinstance(value, str) else json.loads(text) == value
    assert rest == []
