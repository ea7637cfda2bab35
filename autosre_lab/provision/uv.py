"""uv, where it can be had: it fills an environment in a fraction of pip's time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from autosre_lab.logs import get_logger
from autosre_lab.processes.files import locked
from autosre_lab.progress import Step
from autosre_lab.provision.installing import InstallerFailed, run_installer
from autosre_lab.settings import load_settings, paths

__all__ = ["UV_VERSION", "UvProgress", "fetch_uv", "find_uv", "uv_environment", "work_folder"]

UV_VERSION = "0.13.9"
"""The one that is fetched where none is on PATH."""

_OLDEST = (0, 5)
"""The oldest that knows the variables we set."""

_BEGUN = re.compile(r"Downloading (\S+) \(([\d.]+)\s*([KMG]?i?B)\)")
_FETCHED = re.compile(r"Downloaded (\S+)$")
_PREPARED = re.compile(r"Prepared (\d+) package")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1e3, "MB": 1e6, "GB": 1e9}
_FETCHED_SHARE = 80.0
"""Of a hundred; placing what was fetched takes uv seconds."""

logger = get_logger(__name__)


def find_uv(environ: Mapping[str, str]) -> Path | None:
    """Return a uv of this machine; None where there is none, or the setting `installer` is pip."""
    if load_settings(environ).installer == "pip":
        return None
    beside = Path(sys.executable).with_name("uv")
    found = (shutil.which("uv", path=environ.get("PATH")), beside, _fetched())
    return next((Path(one) for one in found if one is not None and _works(Path(one))), None)


def fetch_uv(pip: Path, bar: Step, environ: Mapping[str, str]) -> Path | None:
    """Fetch uv from the package index, by its hash; None where it cannot be had.

    Args:
        pip: A Python that has pip.
        bar: Told about it.
        environ: pip's environment.
    """
    if load_settings(environ).installer == "pip":
        return None
    folder = _fetched().parents[1]
    lock = resources.files("autosre_lab.provision") / "locks" / f"uv-{UV_VERSION}.lock"
    bar.note(f"fetch uv {UV_VERSION}")
    with locked(folder.with_name(folder.name + ".lock")), resources.as_file(lock) as file:
        if _works(_fetched()):
            return _fetched()
        shutil.rmtree(folder, ignore_errors=True)
        command = [str(pip), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--target", str(folder), "-r", str(file)]
        try:
            run_installer(command, bar, environ=environ)
        except InstallerFailed as error:
            logger.info("uv cannot be had, so pip installs: %s", " / ".join(error.tail[-2:]))
            return None
    return _fetched() if _works(_fetched()) else None


def uv_environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a uv that fills a folder; what the user has set stays.

    What is fetched lies beside the folder until it is whole, so that an installation that is cut
    off goes on from there, and files need not be copied from another disk.
    """
    return {
        "UV_CACHE_DIR": str(work_folder(folder)),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        **environ,
    }


def work_folder(folder: Path) -> Path:
    """Return where what was fetched lies until a folder is whole."""
    return folder.with_name(folder.name + ".work")


class UvProgress:
    """Turns uv's lines into a share of a hundred.

    Args:
        packages: How many there are in all; None where uv has to find out.
    """

    def __init__(self, packages: int | None) -> None:
        self._packages = packages
        self._sizes: dict[str, float] = {}
        self._there: set[str] = set()
        self._placing = False

    def read(self, line: str, bar: Step) -> None:
        """Take one line of output."""
        if found := _BEGUN.search(line):
            self._sizes[found[1]] = float(found[2]) * _UNITS.get(found[3], 1)
        elif found := _FETCHED.search(line):
            self._there.add(found[1])
        elif found := _PREPARED.search(line):
            self._placing = True
            self._packages = self._packages or int(found[1])
            self._there |= set(self._sizes)
        else:
            return
        done = sum(self._sizes.get(name, 0.0) for name in self._there)
        total = sum(self._sizes.values())
        if total:
            missing = [name for name in self._sizes if name not in self._there]
            largest = max(missing, key=lambda name: self._sizes[name], default="")
            bar.note(f"{done / 1e6:.0f} of {total / 1e6:.0f} MB fetched {largest}".rstrip())
            bar.reach(_FETCHED_SHARE * done / total)

    def unpacked(self, count: int, bar: Step) -> None:
        """Take how many packages are in place."""
        if self._packages and self._placing:
            bar.note(f"{count} of {self._packages} packages placed")
            share = min(count / self._packages, 1.0)
            bar.reach(_FETCHED_SHARE + (100.0 - _FETCHED_SHARE) * share)


def _fetched() -> Path:
    return paths().data / "tools" / f"uv-{UV_VERSION}" / "bin" / "uv"


def _works(program: Path) -> bool:
    if not os.access(program, os.X_OK):
        return False
    try:
        said = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.match(r"uv (\d+)\.(\d+)", said.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST
