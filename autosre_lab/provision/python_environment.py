"""A virtual environment, made and filled: by uv where it can be had, else by pip."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from autosre_lab.errors import ProvisionError
from autosre_lab.logs import get_logger
from autosre_lab.progress import Step
from autosre_lab.provision.installing import InstallerFailed, installer_environment, run_installer
from autosre_lab.provision.pip_progress import PipProgress, installed_count
from autosre_lab.provision.pip_settings import read_pip_settings, uv_variables
from autosre_lab.provision.uv import UvProgress, fetch_uv, find_uv, uv_environment

__all__ = ["PIP", "Filler", "make_environment", "pip_command", "uv_command"]

PIP = "pip==26.3"
"""A pip that reports its progress in bytes (`--progress-bar raw`)."""

_DISK_FULL = r"No space left on device|ENOSPC|os error 28|Errno 28"

logger = get_logger(__name__)


def make_environment(folder: Path, bar: Step) -> Path | None:
    """Make an environment with a pip, unless there is one, and return the uv that can fill it.

    Args:
        folder: Where.
        bar: Told what happens.

    Returns:
        uv's program; None where it cannot be had, and pip has to do.

    Raises:
        InstallerFailed: The environment cannot be made.
        ProvisionError: Python's own `venv` is not installed.
    """
    environ = installer_environment()
    uv = find_uv(environ)
    python = folder / "bin" / "python"
    if not _has_pip(python, bar):
        shutil.rmtree(folder, ignore_errors=True)
        if uv is None or not _made_by_uv(uv, folder, bar):
            _make_by_venv(folder, bar)
    if uv is None:
        uv = fetch_uv(python, bar, environ)
    _bring_pip(folder, uv, bar)
    return uv


class Filler:
    """Installs requirements into one environment, and shows how far it is.

    Args:
        folder: The environment.
        uv: uv's program; None for pip.
        bar: A step with a total of 100.
        packages: How many packages come in all; None where that has to be found out.
    """

    def __init__(self, folder: Path, uv: Path | None, bar: Step, packages: int | None) -> None:
        self._folder = folder
        self._uv = uv
        self._bar = bar
        self._pip_progress = PipProgress(packages)
        self._uv_progress = UvProgress(packages)

    def install(
        self, file: Path, *, locked_set: bool, hashes: bool, extra_index: str | None = None
    ) -> None:
        """Install what a requirements file names.

        Args:
            file: The file.
            locked_set: It names everything, so nothing else may come in.
            hashes: Every requirement has hashes, and a file with another is refused.
            extra_index: Another index to look at.

        Raises:
            InstallerFailed: It cannot be installed.
        """
        python = self._folder / "bin" / "python"
        options = {"locked_set": locked_set, "hashes": hashes}
        if self._uv is not None:
            variables = uv_variables(
                read_pip_settings(installer_environment()), constrained=not locked_set
            )
            environ = uv_environment(self._folder, {**variables, **installer_environment()})
            if extra_index is not None:
                environ["UV_INDEX"] = f"{environ.get('UV_INDEX', '')} {extra_index}".strip()
            try:
                self._run(uv_command(self._uv, python, file, **options), environ, self._uv_progress)
                return
            except InstallerFailed as error:
                if error.says(_DISK_FULL):
                    raise
                logger.warning(
                    "uv could not install %s, so pip tries: %s", file.name, error.tail[-1:]
                )
        command = pip_command(python, file, **options)
        if extra_index is not None:
            command += ["--extra-index-url", extra_index]
        self._run(command, installer_environment(), self._pip_progress)

    def _run(
        self,
        command: Sequence[str],
        environ: dict[str, str],
        progress: PipProgress | UvProgress,
    ) -> None:
        def silent(bar: Step) -> None:
            progress.unpacked(installed_count(self._folder), bar)

        run_installer(
            command,
            self._bar,
            environ=environ,
            on_line=progress.read,
            on_silence=silent,
        )


def pip_command(python: Path, requirements: Path, *, locked_set: bool, hashes: bool) -> list[str]:
    """Return the pip command that fills an environment; see `Filler.install`."""
    command = [str(python), "-m", "pip", "install", "--progress-bar", "raw", "--no-input"]
    command += ["--requirement", str(requirements)]
    return command + _of_a_lock(locked_set=locked_set, hashes=hashes)


def uv_command(
    uv: Path, python: Path, requirements: Path, *, locked_set: bool, hashes: bool
) -> list[str]:
    """Return the uv command that does the same."""
    command = [str(uv), "pip", "install", "--python", str(python)]
    command += ["--requirements", str(requirements)]
    return command + _of_a_lock(locked_set=locked_set, hashes=hashes)


def _of_a_lock(*, locked_set: bool, hashes: bool) -> list[str]:
    words = {"--no-deps": locked_set, "--require-hashes": hashes}
    return [word for word, wanted in words.items() if wanted]


def _has_pip(python: Path, bar: Step) -> bool:
    if not python.exists():
        return False
    try:
        run_installer([python, "-c", "import pip"], bar, environ=installer_environment())
    except InstallerFailed:
        return False  # it was being made when we were killed
    return True


def _made_by_uv(uv: Path, folder: Path, bar: Step) -> bool:
    command = [str(uv), "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)]
    try:
        run_installer(command, bar, environ=uv_environment(folder, installer_environment()))
    except InstallerFailed as error:
        logger.info("uv made no environment: %s", " / ".join(error.tail[-2:]))
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


def _make_by_venv(folder: Path, bar: Step) -> None:
    try:
        run_installer([sys.executable, "-m", "venv", folder], bar, environ=installer_environment())
    except InstallerFailed as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not error.says("ensurepip|No module named venv"):
            raise
        shown = "".join(f"\n  | {line}" for line in error.tail)
        raise ProvisionError(
            f"{sys.executable} cannot make a virtual environment{shown}",
            remedy="on Debian and Ubuntu: sudo apt-get install python3-venv; then start again",
        ) from error


def _bring_pip(folder: Path, uv: Path | None, bar: Step) -> None:
    """Install the pip that falls back, fetches models and is what people type."""
    python = folder / "bin" / "python"
    name = f"{PIP.replace('==', '-')}.lock"
    lock = resources.files("autosre_lab.provision") / "locks" / name
    with resources.as_file(lock) as file:
        if uv is not None:
            Filler(folder, uv, bar, 1).install(file, locked_set=True, hashes=True)
            return
        command = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes"]
        run_installer([*command, "-r", str(file)], bar, environ=installer_environment())
