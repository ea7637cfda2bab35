"""What this machine lacks for a recipe, found before anything is installed.

A finding is never raised: whatever cannot be looked at becomes a finding itself.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from autosre_lab.errors import ProvisionError
from autosre_lab.local.container import container_tool
from autosre_lab.provision.engine_environment import engine_is_installed, engine_size_bytes
from autosre_lab.provision.installed_engine import check_installed_engine, installed_python
from autosre_lab.provision.model_folder import model_folder, model_size_bytes
from autosre_lab.settings import paths
from autosre_lab.stack.preflight import (
    Check,
    PreflightReport,
    fail,
    ok,
    recipe_checks,
    unknown,
    warn,
)

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.recipe.schema import Runtime

__all__ = ["preflight"]

MIN_DRIVER = 580
"""The oldest NVIDIA driver for CUDA 13, which vLLM's wheels on PyPI are built with."""

MIN_NODE = 18
_CPUINFO = Path("/proc/cpuinfo")
_MACHINES = ("x86_64", "aarch64")
_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")


class GpuHere(NamedTuple):
    """One GPU as ``nvidia-smi`` tells it.

    Attributes:
        name: For example ``NVIDIA H100 80GB HBM3``.
        driver: The driver's version.
        memory_mib: None with unified memory.
    """

    name: str
    driver: str
    memory_mib: int | None


def preflight(recipe: Recipe) -> PreflightReport:
    """Look at everything that a start of the recipe as local processes needs; changes nothing."""
    return PreflightReport(recipe=recipe.name, checks=tuple(_checks(recipe)))


def _checks(recipe: Recipe) -> Iterator[Check]:
    yield from recipe_checks(recipe)
    runtime = recipe.runtime
    if tool := container_tool(recipe):
        yield from _container(recipe, tool)
        yield from _secrets(recipe)
        yield _node()
        return
    if runtime is None:
        yield fail(
            "runtime",
            "the recipe has no `runtime:` section",
            f"start it in a cluster: autosre start {recipe.name} --place cluster; or run its image "
            "here: export AUTOSRE_CONTAINER=podman (or docker, nerdctl)",
        )
        return
    if runtime.device != "scripted":
        yield _system()
        yield from _device(recipe, runtime)
        yield from _space(recipe)
    yield from _secrets(recipe)
    yield _node()


def _system() -> Check:
    machine = platform.machine()
    if sys.platform != "linux":
        return fail(
            "system",
            f"engines run as local processes on Linux only, this is {sys.platform}",
            "run this inside a Linux machine, a virtual one or WSL2",
        )
    if machine not in _MACHINES:
        return fail(
            "system",
            f"vLLM is built for {' and '.join(_MACHINES)}, this is {machine}",
            "use another machine, or an engine elsewhere",
        )
    return ok("system", f"Linux on {machine}")


def _device(recipe: Recipe, runtime: Runtime) -> Iterator[Check]:
    if runtime.device == "cpu":
        yield _processor()
        return
    found = find_gpus()
    if isinstance(found, Check):
        yield found
        return
    first = found[0]
    yield ok("GPU", ", ".join(gpu.name for gpu in found))
    major = re.match(r"\d+", first.driver)
    if installed_python(recipe) is not None:
        yield ok("driver", f"{first.driver}; the installed vLLM knows what it needs")
    elif major is not None and int(major[0]) < MIN_DRIVER:
        yield fail(
            "driver",
            f"NVIDIA driver {first.driver} is too old for CUDA 13, which vLLM "
            f"{runtime.version} is built with",
            f"install driver {MIN_DRIVER} or newer",
        )
    else:
        yield ok("driver", first.driver)
    weights = recipe.model.weights_bytes
    count = recipe.resources.gpu.count if recipe.resources.gpu is not None else 1
    memory = sum((gpu.memory_mib or 0) << 20 for gpu in found[:count])
    if weights and memory and weights > memory:
        yield fail(
            "GPU memory",
            f"the weights take {weights / 1e9:.1f} GB, the GPU has {memory / 1e9:.1f} GB",
            "choose a smaller model or a quantized one, or a larger GPU",
        )


def _container(recipe: Recipe, tool: str) -> Iterator[Check]:
    """Look at what a container of the recipe's image needs."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    assert recipe.image is not None  # noqa: S101 - `container_tool` saw to it
    if recipe.image.arch != machine:
        yield fail(
            "image",
            f"{recipe.image.ref} is built for {recipe.image.arch}, this machine is {machine}",
            f"choose an image for {machine}: image.ref and image.arch of the recipe",
        )
    yield _tool(tool)
    if recipe.resources.gpu is not None:
        found = find_gpus()
        yield (
            found
            if isinstance(found, Check)
            else ok("GPU", ", ".join(f"{gpu.name}, driver {gpu.driver}" for gpu in found))
        )
    storage = recipe.storage
    for mount in (storage.hf_cache, storage.compile_cache, *storage.mounts):
        if mount is not None and not Path(mount.host_path).is_dir():
            yield fail(
                "folder",
                f"{mount.host_path}, which the container is to see, is not there",
                f"make it (sudo mkdir -p {mount.host_path}), or name another in `storage:`",
            )


def _tool(tool: str) -> Check:
    remedy = f"install and start it (sudo apt-get install {_PACKAGES[tool]}), or name another: "
    remedy += "AUTOSRE_CONTAINER=podman, docker or nerdctl"
    try:
        said = subprocess.run(
            [tool, "info"], capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        return fail("container", f"there is no `{tool}`", remedy)
    except (OSError, subprocess.TimeoutExpired) as error:
        return fail("container", f"`{tool} info` does not work: {error}", remedy)
    if said.returncode != 0:
        why = (said.stderr or said.stdout).strip().splitlines() or ["no message"]
        return fail("container", f"`{tool} info` fails: {why[-1][:200]}", remedy)
    return ok("container", tool)


_PACKAGES = {"podman": "podman", "docker": "docker.io", "nerdctl": "containerd"}


def _processor() -> Check:
    if platform.machine() == "x86_64":
        try:
            flags = _CPUINFO.read_text(encoding="utf-8")
        except OSError as error:
            return unknown("processor", f"{_CPUINFO}: {error.strerror}", "make it readable")
        if "avx2" not in flags.split():
            return fail(
                "processor",
                "this processor has no AVX2, which vLLM's builds for CPUs need",
                "use a machine with AVX2 or newer",
            )
    return ok("processor", f"{os.cpu_count()} cores")


def find_gpus() -> list[GpuHere] | Check:
    """Return the GPUs of this machine, or the finding that there is none."""
    remedy = (
        "on a machine with an NVIDIA GPU install its driver, so that `nvidia-smi` works; without "
        "a GPU use a recipe with runtime.device: cpu, e.g. smollm2-135m-cpu"
    )
    try:
        said = subprocess.run(
            _SMI, capture_output=True, text=True, encoding="utf-8", timeout=30, check=False
        )
    except FileNotFoundError:
        return fail("GPU", "there is no NVIDIA GPU with a driver: no `nvidia-smi`", remedy)
    except (OSError, subprocess.TimeoutExpired) as error:
        return fail("GPU", f"`nvidia-smi` does not work: {error}", remedy)
    gpus = [_gpu(line) for line in said.stdout.splitlines() if line.count(",") >= 2]
    if said.returncode != 0 or not gpus:
        words = (said.stdout + said.stderr).strip().splitlines() or ["no GPU was found"]
        return fail("GPU", f"`nvidia-smi` shows no GPU: {words[0][:200]}", remedy)
    return gpus


def _gpu(line: str) -> GpuHere:
    name, driver, memory = (part.strip() for part in line.rsplit(",", 2))
    number = re.match(r"\d+", memory)
    return GpuHere(name, driver, int(number[0]) if number else None)


def _space(recipe: Recipe) -> Iterator[Check]:
    folder = paths().data
    needed = 0.0
    theirs = installed_python(recipe)
    if theirs is not None:
        try:
            yield ok("engine", f"vLLM {check_installed_engine(recipe, theirs)} of {theirs}")
        except ProvisionError as error:
            yield fail("engine", error.message, error.remedy)
    elif engine_is_installed(recipe):
        yield ok("engine", "installed")
    else:
        needed += engine_size_bytes(recipe)
        yield ok("engine", f"will be installed ({engine_size_bytes(recipe) / 1e9:.0f} GB)")
    if recipe.model.source.kind == "local" or (model_folder(recipe) / "config.json").exists():
        yield ok("model", str(model_folder(recipe)))
    else:
        needed += model_size_bytes(recipe)
        size = model_size_bytes(recipe)
        yield ok("model", f"will be fetched ({size / 1e9:.1f} GB)" if size else "will be fetched")
    if needed:
        free = shutil.disk_usage(_existing(folder)).free
        if free < needed:
            yield fail(
                "disk",
                f"{needed / 1e9:.1f} GB are needed, {folder} has {free / 1e9:.1f} GB free",
                "free some disk space, or put the data elsewhere: AUTOSRE_DATA_DIR=/other/disk",
            )
        else:
            yield ok("disk", f"{free / 1e9:.0f} GB free at {folder}")


def _existing(folder: Path) -> Path:
    """Return the nearest folder above that exists."""
    return next(one for one in (folder, *folder.parents) if one.exists())


def _secrets(recipe: Recipe) -> Iterator[Check]:
    for name, secret in recipe.env.secret.items():
        if secret.required and not os.environ.get(name):
            yield fail("secret", f"{name} is not set: {secret.reason}", f"export {name}=…")


def _node() -> Check:
    """Look for what Claude Code needs; the stack itself starts without."""
    remedy = f"install Node.js {MIN_NODE} or newer with npm, e.g. `sudo apt-get install nodejs npm`"
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return warn("Node.js", f"no `{program}` on PATH: Claude Code cannot be run", remedy)
    return ok("Node.js", str(shutil.which("node")))
