"""A recipe's image in a container of this machine: the command lines, and what runs in it.

Podman, Docker and nerdctl take the same words but for the GPU. The container is the supervised
service's child as a process is: its client stays in the foreground, so its lines are the log, its
exit code is the service's, and a signal to it is one to the engine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.engine.guard import guard_folder
from autosre_lab.preemption import hook_file
from autosre_lab.settings import Paths, load_settings

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = [
    "TOOLS",
    "container_command",
    "container_environ",
    "container_name",
    "container_runs",
    "container_tool",
    "image_reference",
    "remove_container",
    "serve_in_container",
    "variables_in_container",
]

TOOLS = ("podman", "docker", "nerdctl")
"""What can run an image here, in the order in which `auto` looks for them."""

GUARD_FOLDER = "/opt/autosre-guard"
"""Where a container has what guards vLLM's other routes."""

CACHE_FOLDER = "/root/.cache"

_KEPT = (
    # What the tools themselves need; nothing of it reaches the container.
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR"),
    *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST"),
    *("DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST", "CONTAINERS_CONF", "REGISTRY_AUTH_FILE"),
    *("CONTAINERS_STORAGE_CONF", "CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_ASK_TIMEOUT_S = 30.0


def container_tool(recipe: Recipe) -> str | None:
    """Return what runs the recipe's image here; None where a process serves it.

    The setting ``container`` decides: off, auto for the first that is there, or one of them.
    """
    setting = load_settings().container
    if recipe.image is None or setting == "off":
        return None
    if setting != "auto":
        return setting
    return next((one for one in TOOLS if shutil.which(one)), None)


def container_name(state: Path) -> str:
    """Return the name of the one engine container that belongs to a state folder."""
    return f"autosre-engine-{hashlib.sha256(os.fsencode(state)).hexdigest()[:10]}"


def image_reference(recipe: Recipe) -> str:
    """Return the image's whole name: by its digest where it has one, else by its tag."""
    assert recipe.image is not None  # noqa: S101 - `container_tool` saw to it
    ref, digest = recipe.image.ref, recipe.image.digest
    first = ref.partition("/")[0]
    if "/" not in ref or not ("." in first or ":" in first or first == "localhost"):
        ref = f"docker.io/{ref}" if "/" in ref else f"docker.io/library/{ref}"
    if digest is None:
        return ref
    head, colon, tag = ref.rpartition(":")
    return f"{head if colon and '/' not in tag else ref}@{digest}"


def serve_in_container(recipe: Recipe, *, port: int) -> list[str]:
    """Return vLLM's own argument list in the container."""
    from autosre_lab.local.commands import ENGINE_GUARD, is_guarded
    from autosre_lab.recipe import build_vllm_serve_cmd

    built = build_vllm_serve_cmd(recipe, host="127.0.0.1", port=port)
    return [*built, "--middleware", ENGINE_GUARD] if is_guarded(recipe) else built


def variables_in_container(recipe: Recipe) -> dict[str, str]:
    """Return the variables that are set in the container, without the secrets' values."""
    from autosre_lab.local.commands import ENGINE_KEY, is_guarded
    from autosre_lab.recipe import build_runtime_env

    stand_ins = dict.fromkeys(recipe.env.secret, "-")
    found = {"PYTHONUNBUFFERED": "1", "VLLM_NO_USAGE_STATS": "1"}
    found |= build_runtime_env(recipe, secrets=stand_ins)
    if is_guarded(recipe):
        found["PYTHONPATH"] = ":".join(filter(None, [found.get("PYTHONPATH"), GUARD_FOLDER]))
    hidden = (ENGINE_KEY, *recipe.env.secret)
    return {name: value for name, value in found.items() if name not in hidden}


def container_command(
    recipe: Recipe, folders: Paths, *, tool: str, port: int, environ: Mapping[str, str]
) -> list[str]:
    """Return the argument list that serves a recipe's image on loopback of this machine.

    No secret is on it: their names are, and the tool takes their values from its environment.

    Args:
        recipe: What to serve; it has an image.
        folders: Where our caches are.
        tool: One of `TOOLS`.
        port: Where the engine listens, on the host's loopback.
        environ: The operator's environment.
    """
    name = container_name(folders.state)
    program, *words = serve_in_container(recipe, port=port)
    run = [tool, "run", "--rm", "--name", name, "--network=host", "--pull=missing"]
    # Root in the container writes into a person's caches; nothing else of what root may.
    run += ["--cap-drop=ALL", "--cap-add=DAC_OVERRIDE", "--security-opt=no-new-privileges"]
    if recipe.resources.gpu is not None:
        run += ["--device=nvidia.com/gpu=all"] if tool == "podman" else ["--gpus=all"]
    run += _limits(recipe)
    for host, mount, read_only in _mounts(recipe, folders, environ):
        run += ["--volume", f"{host}:{mount}" + ":ro" * read_only]
    for variable, value in variables_in_container(recipe).items():
        run += ["--env", f"{variable}={value}"]
    for variable in _secrets(recipe, environ):
        run += ["--env", variable]
    if tool == "podman":
        run += [f"--unsetenv={variable}" for variable in recipe.env.unset]
    run += ["--entrypoint", program, image_reference(recipe), *words]
    return [sys.executable, "-m", "autosre_lab.local.in_container", tool, name, *run]


def container_environ(
    recipe: Recipe, environ: Mapping[str, str], *, key: str | None
) -> dict[str, str]:
    """Return the tool's environment, with the values of the secrets that the container gets."""
    from autosre_lab.local.commands import ENGINE_KEY

    kept = {name: environ[name] for name in _KEPT if name in environ}
    kept |= {name: environ[name] for name in recipe.env.secret if environ.get(name)}
    return kept | ({} if key is None else {ENGINE_KEY: key})


def _secrets(recipe: Recipe, environ: Mapping[str, str]) -> list[str]:
    from autosre_lab.local.commands import ENGINE_KEY

    given = [name for name in recipe.env.secret if environ.get(name) and name != ENGINE_KEY]
    return given if ENGINE_KEY in recipe.env.unset else [ENGINE_KEY, *given]


def _limits(recipe: Recipe) -> list[str]:
    words, resources = list[str](), recipe.resources
    if resources.shm is not None:
        words.append(f"--shm-size={_bytes(resources.shm)}")
    if resources.memory is not None and resources.memory.limit is not None:
        words.append(f"--memory={_bytes(resources.memory.limit)}")
    if recipe.security.run_as_user is not None:
        group = recipe.security.run_as_group
        user = str(recipe.security.run_as_user)
        words.append(f"--user={user}" if group is None else f"--user={user}:{group}")
    if recipe.security.read_only_root:
        words += ["--read-only", "--tmpfs=/tmp"]
    return words


def _bytes(quantity: str) -> str:
    """Return Kubernetes' quantity as bytes, which every tool reads."""
    number = re.match(r"[0-9.]+", quantity)
    assert number is not None  # noqa: S101 - the recipe's schema saw to it
    unit = quantity[number.end() :]
    powers = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    powers |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
    return str(int(float(number[0]) * powers[unit]))


def _mounts(
    recipe: Recipe, folders: Paths, environ: Mapping[str, str]
) -> list[tuple[str, str, bool]]:
    storage = recipe.storage
    found = list[tuple[str, str, bool]]()
    if storage.hf_cache is not None:
        weights = storage.hf_cache
        found.append((weights.host_path, weights.mount, weights.read_only))
    else:
        home = environ.get("HF_HOME") or str(folders.cache / "huggingface")
        found.append((home, f"{CACHE_FOLDER}/huggingface", False))
    if storage.compile_cache is not None:
        found.append((storage.compile_cache.host_path, storage.compile_cache.mount, False))
    else:
        found.append((str(folders.cache / "vllm"), f"{CACHE_FOLDER}/vllm", False))
    found += [(one.host_path, one.mount, one.read_only) for one in storage.mounts]
    if recipe.model.source.kind == "local":
        found.append((recipe.model.source.path, recipe.model.source.path, True))
    if recipe.scheduler.preemption.mode == "hook":
        from autosre_lab.recipe.command import HOOK_FOLDER

        found.append((str(hook_file().parent), HOOK_FOLDER, True))
    return [*found, (str(guard_folder()), GUARD_FOLDER, True)]


def container_runs(tool: str, name: str) -> bool:
    """Whether a container runs now."""
    return _ask(tool, "inspect", "--format", "{{.State.Running}}", name) == "true"


def remove_container(tool: str, name: str) -> None:
    """End and delete a container, if there is one: a client that was killed may leave it."""
    _ask(tool, "rm", "--force", name)


def _ask(*command: str) -> str:
    """Return what a tool prints; nothing where it cannot be asked."""
    try:
        done = _run(command)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=_ASK_TIMEOUT_S,
        check=False,
    )
