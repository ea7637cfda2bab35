"""A vLLM that somebody else has installed is used as it is, or told why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.errors import ProvisionError
from autosre_lab.local.commands import engine_command, engine_environ
from autosre_lab.local.preflight import preflight
from autosre_lab.provision.engine_environment import engine_python, provision_engine
from autosre_lab.provision.installed_engine import check_installed_engine, installed_python
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe
from autosre_lab.settings import paths
from tests.support.programs import calls, program


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))


def with_python(python: Path | str | None, **runtime: str) -> Recipe:
    tree = load_recipe("smollm2-135m-cpu").model_dump(by_alias=True, exclude={"verified"})
    tree["runtime"] |= {"python": None if python is None else str(python), **runtime}
    return parse_recipe(tree)


def says(tmp_path: Path, said: str, code: int = 0) -> Path:
    return program(tmp_path / "env" / "bin" / "python", f"echo '{said}'; exit {code}")


@pytest.mark.parametrize("version", ["0.32.0", "0.32.0+cpu", "0.32.0+nv26.10"])
def test_the_version_is_checked_and_nothing_installed(tmp_path: Path, version: str) -> None:
    python = says(tmp_path, f'{{"vllm": "{version}"}}')
    recipe = with_python(python)
    assert provision_engine(recipe) == engine_python(recipe) == python
    assert all("pip" not in call for call in calls(python))
    assert not (paths().data / "engines").exists()
    report = preflight(recipe)
    assert f"vLLM {version} of {python}" in report.as_text()


def test_the_machine_s_setting_counts_more_than_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = says(tmp_path, '{"vllm": "0.32.0"}')
    monkeypatch.setenv("AUTOSRE_ENGINE_PYTHON", str(python))
    assert installed_python(with_python("/recipe/python")) == python
    assert installed_python(with_python(None)) == python
    monkeypatch.setenv("AUTOSRE_ENGINE_PYTHON", "python3")
    monkeypatch.setenv("PATH", str(python.parent))
    (python.parent / "python3").symlink_to(python)
    assert installed_python(with_python(None)) == python.parent / "python3"
    monkeypatch.delenv("AUTOSRE_ENGINE_PYTHON")
    assert installed_python(with_python(None)) is None


@pytest.mark.parametrize(
    ("said", "code", "message", "remedy"),
    [
        ('{"vllm": "0.24.0"}', 0, "has vLLM 0.24.0, and recipe", "version: 0.24.0"),
        ("{}", 0, "has no vLLM", "-m pip install vllm==0.32.0"),
        ("no JSON", 0, "cannot be used", "name the Python"),
        ("", 0, "cannot be used", "name the Python"),
        ("boom", 3, "cannot be used", "name the Python"),
    ],
)
def test_what_does_not_fit_is_told_and_never_to_be_deleted(
    tmp_path: Path, said: str, code: int, message: str, remedy: str
) -> None:
    recipe = with_python(says(tmp_path, said, code))
    with pytest.raises(ProvisionError, match=message) as told:
        provision_engine(recipe)
    assert remedy in told.value.remedy
    assert "delete" not in told.value.remedy
    report = preflight(recipe)
    assert not report.passed
    assert message in report.as_text()


@pytest.mark.parametrize("kind", ["absent", "folder", "not executable"])
def test_a_path_that_is_no_python_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "python"
    if kind == "folder":
        path.mkdir()
    elif kind == "not executable":
        path.write_text("", encoding="utf-8")
    with pytest.raises(ProvisionError, match="cannot be used"):
        check_installed_engine(with_python(path), path)


def test_without_a_vllm_command_beside_it_the_module_is_run(tmp_path: Path) -> None:
    python = says(tmp_path, '{"vllm": "0.32.0"}')
    recipe = with_python(python)
    command = engine_command(recipe, python=python, model=Path("/m"), port=1)
    assert command[:4] == [str(python), "-m", "vllm.entrypoints.cli.main", "serve"]
    program(python.with_name("vllm"), "")
    command = engine_command(recipe, python=python, model=Path("/m"), port=1)
    assert command[:2] == [str(python.with_name("vllm")), "serve"]


@pytest.mark.parametrize(
    "packages", ["lib/python3.12/site-packages", "local/lib/python3.12/dist-packages"]
)
def test_the_sampler_is_told_where_its_package_is_missing(tmp_path: Path, packages: str) -> None:
    python = says(tmp_path, '{"vllm": "0.32.0"}')
    cuda = with_python(python, device="cuda", distribution="vllm")
    folders, name = paths(), "VLLM_USE_FLASHINFER_SAMPLER"
    assert engine_environ(cuda, folders, python=python, environ={})[name] == "0"
    assert name not in engine_environ(with_python(python), folders, python=python, environ={})
    (python.parents[1] / packages / "flashinfer").mkdir(parents=True)
    assert name not in engine_environ(cuda, folders, python=python, environ={})
    tree = cuda.model_dump(by_alias=True)
    tree["env"]["set"][name] = {"value": "1", "reason": "the recipe has the last word"}
    set_by_recipe = parse_recipe(tree)
    assert (
        engine_environ(set_by_recipe, folders, python=Path("/x/bin/python"), environ={})[name]
        == "1"
    )
