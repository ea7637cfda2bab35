"""What this machine lacks is told before anything is installed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.errors import ProvisionError
from autosre_lab.lifecycle import start
from autosre_lab.local import preflight as module
from autosre_lab.local.preflight import preflight
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.settings import paths
from tests.support.programs import program


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def gpu_recipe() -> Recipe:
    return load_recipe("qwen3-coder-30b-a3b-fp8")


def failed(recipe: Recipe) -> dict[str, str]:
    return {one.name: one.message for one in preflight(recipe).checks if one.state == "fail"}


def with_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program(tmp_path / "smi" / "nvidia-smi", body)
    monkeypatch.setenv("PATH", f"{tmp_path / 'smi'}{os.pathsep}{os.environ['PATH']}")


def test_a_gpu_recipe_without_a_gpu_installs_nothing(
    gpu_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_smi(tmp_path, monkeypatch, "echo 'No devices were found'; exit 6")
    with pytest.raises(ProvisionError, match="No devices were found") as told:
        start(gpu_recipe, place="local")
    assert "runtime.device: cpu" in told.value.remedy
    assert not paths().data.exists()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("NVIDIA H100 80GB HBM3, 580.159.04, 81559 MiB", set()),
        ("NVIDIA GB10, 580.95.05, [N/A]", set()),
        ("NVIDIA A100, with a comma, 550.54.15, 81920 MiB", {"driver"}),
        ("NVIDIA T4, 580.1, 15360 MiB", {"GPU memory"}),
    ],
)
def test_driver_and_memory_are_read(
    gpu_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, names: set[str]
) -> None:
    with_smi(tmp_path, monkeypatch, f"echo '{line}'")
    model = gpu_recipe.model.model_copy(update={"weights_bytes": 31 * 10**9})
    monkeypatch.setattr(module, "_space", lambda _: iter(()))
    assert set(failed(gpu_recipe.model_copy(update={"model": model}))) == names


def test_what_does_not_fit_on_the_disk_is_told_in_one_sum(gpu_recipe: Recipe) -> None:
    model = gpu_recipe.model.model_copy(update={"weights_bytes": 10**15})
    told = failed(gpu_recipe.model_copy(update={"model": model}))
    assert "GB are needed" in told["disk"]


def test_another_architecture_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "riscv64" in failed(load_recipe("smollm2-135m-cpu"))["system"]


def test_without_node_the_stack_starts_and_claude_code_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    report = preflight(load_recipe("smollm2-135m-cpu"))
    (node,) = [one for one in report.checks if one.name == "Node.js"]
    assert node.state == "warn"
    assert "nodejs" in node.remedy


@pytest.mark.parametrize("command", ["status", "start"])
def test_a_user_without_a_home_is_told_what_to_set(command: str) -> None:
    done = subprocess.run(
        ["unshare", "-U", "--map-user=54321", sys.executable, "-m", "autosre_lab", command],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "export HOME=" in done.stderr
    assert "Traceback" not in done.stderr
