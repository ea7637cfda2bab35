"""Puts the hook into a Python that runs vLLM, where its command line cannot be changed.

A `.pth` file is read in site directories only, and which these are differs: Debian's and vLLM's
images use dist-packages, others site-packages, a virtual environment its own. A file in the wrong
one is never read and nobody says so. Therefore that Python is asked, and afterwards tried.
`sitecustomize` is not used: there is one only, and distributions have theirs.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autosre_lab.errors import ConfigError, ProvisionError
from autosre_lab.preemption.delivery import HOOK_MODULE, hook_file

__all__ = ["SHIM_MODULE", "SWITCH", "ShimState", "install_shim", "shim_state", "uninstall_shim"]

SHIM_MODULE = "autosre_preempt_shim"
SWITCH = "AUTOSRE_PREEMPT"
"""The variable that turns it on; without it nothing is imported."""

_PTH = "autosre_preempt.pth"
_LINE = f"import os; os.environ.get('{SWITCH}') == '1' and __import__('{SHIM_MODULE}').arm()\n"
_ASK = (
    "import json, os, site, sys; "
    "print(json.dumps([d for d in site.getsitepackages() if d in sys.path and os.path.isdir(d)]))"
)
_TRY = f"import sys; print(any(type(f).__module__ == '{SHIM_MODULE}' for f in sys.meta_path))"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShimState:
    """Whether a Python has the shim.

    Attributes:
        state: ``armed``: tried, and it waits for vLLM; ``outdated``: another version's files.
        folder: The site directory with the files, or the one they would go into.
    """

    state: Literal["armed", "outdated", "absent"]
    folder: Path


def install_shim(python: Path) -> ShimState:
    """Put hook and shim where a Python reads them, and try that it does.

    Args:
        python: The interpreter that runs vLLM.

    Raises:
        ConfigError: It is no Python, or reads no site directory.
        ProvisionError: The directory cannot be written, or the shim is not read all the same.
    """
    folder = _site_directory(python)
    try:
        for source in _sources():
            _write(folder / source.name, source.read_text(encoding="utf-8"))
        _write(folder / _PTH, _LINE)
    except OSError as error:
        uninstall_shim(python)
        raise ProvisionError(
            f"{folder} cannot be written: {error.strerror}",
            remedy="run this as the user that owns it, or build it into the image",
        ) from error
    if not _is_armed(python):
        uninstall_shim(python)
        raise ProvisionError(
            f"{python} does not read {folder / _PTH}",
            remedy="see whether it is started with -S or -I; otherwise use --scheduler-cls "
            f"{HOOK_MODULE}.make_scheduler with PYTHONPATH",
        )
    return shim_state(python)


def uninstall_shim(python: Path) -> list[Path]:
    """Take away exactly what `install_shim` wrote; returns what that was.

    Raises:
        ConfigError: It is no Python.
    """
    folder = _site_directory(python)
    removed = []
    for file in (folder / _PTH, *(folder / source.name for source in _sources())):
        if file.is_file():
            file.unlink()
            removed.append(file)
    return removed


def shim_state(python: Path) -> ShimState:
    """Return whether a Python has the shim, by trying it.

    Raises:
        ConfigError: It is no Python.
    """
    folder = _site_directory(python)
    if not (folder / _PTH).is_file():
        return ShimState(state="absent", folder=folder)
    current = all(
        (folder / source.name).is_file()
        and (folder / source.name).read_bytes() == source.read_bytes()
        for source in _sources()
    )
    armed = current and _is_armed(python)
    return ShimState(state="armed" if armed else "outdated", folder=folder)


def _sources() -> tuple[Path, Path]:
    return hook_file(), hook_file().with_name(f"{SHIM_MODULE}.py")


def _site_directory(python: Path) -> Path:
    said = _run(python, _ASK, {})
    try:
        folders = json.loads(said)
    except ValueError:
        folders = []
    if not folders:
        raise ConfigError(
            f"{python} reads no site directory", remedy="give the Python that runs vLLM"
        )
    return Path(folders[0])


def _is_armed(python: Path) -> bool:
    return _run(python, _TRY, {SWITCH: "1"}).strip() == "True"


def _run(python: Path, code: str, environ: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            [str(python), "-c", code],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environ},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            f"{python} cannot be run: {error}", remedy="give the path of the Python that runs vLLM"
        ) from error
    return done.stdout


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
