"""An agent's command line from npm, pinned and locked, in a folder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from autosre_lab.errors import ProvisionError
from autosre_lab.processes.files import locked
from autosre_lab.progress import step
from autosre_lab.provision.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from autosre_lab.settings import paths

__all__ = ["NpmProgram", "check_node"]

MIN_NODE = 18
_SIZE_BYTES = 0.6e9


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmProgram:
    """A program that npm installs.

    Attributes:
        title: Its name, for people.
        name: Of its folder and of its locks.
        package: Its package.
        command: The executable's name.
    """

    title: str
    name: str
    package: str
    command: str

    def executable(self, version: str) -> Path:
        """Return where a version of it is or will be."""
        prefix = paths().data / self.name / version
        return prefix / "node_modules" / ".bin" / self.command

    def install(self, version: str) -> Path:
        """Install a version, unless it is there, and return its executable.

        Raises:
            ProvisionError: Node or npm is missing or too old, or npm failed.
        """
        executable = self.executable(version)
        prefix = executable.parents[2]
        complete = prefix / "autosre-complete"
        if complete.exists() and executable.exists():
            return executable
        with locked(prefix.with_name(prefix.name + ".lock")):
            if complete.exists() and executable.exists():
                return executable
            check_node(self.title)
            what = f"Install {self.title} {version}"
            check_disk(prefix, _SIZE_BYTES, what)
            # npm does not fix what was left half unpacked.
            shutil.rmtree(prefix / "node_modules", ignore_errors=True)
            with step(what) as bar:
                try:
                    run_installer(
                        self._install_command(prefix, version),
                        bar,
                        environ=installer_environment(),
                        cwd=prefix,
                    )
                except InstallerFailed as error:
                    raise error.as_error(what) from error
                self._check_version(executable, version)
                complete.touch()
        return executable

    def _install_command(self, prefix: Path, version: str) -> list[str]:
        """Return npm's command; a version with a lock is installed with nothing but the lock."""
        npm = ["npm", "--prefix", str(prefix), "--no-audit", "--no-fund"]
        lock = resources.files("autosre_lab.provision") / "locks" / f"{self.name}-{version}"
        if not lock.is_dir():
            return [*npm, "install", "--no-save", f"{self.package}@{version}"]
        for name in ("package.json", "package-lock.json"):
            (prefix / name).write_bytes((lock / name).read_bytes())
        return [*npm, "ci"]

    def _check_version(self, executable: Path, version: str) -> None:
        remedy = (
            f"delete {executable.parents[2]} and start again; "
            "npm must be allowed to install optional dependencies"
        )
        try:
            said = subprocess.run(
                [executable, "--version"],
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=False,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProvisionError(
                f"{self.title} was installed but does not run: {error}", remedy=remedy
            ) from error
        if version not in said.stdout:
            raise ProvisionError(
                f"{self.title} says {(said.stdout + said.stderr).strip()[-300:]!r}, not {version}",
                remedy=remedy,
            )


def check_node(title: str) -> None:
    """Make sure that npm can install a program and Node.js run it.

    Args:
        title: The program's name, for people.

    Raises:
        ProvisionError: Node or npm is missing or too old.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise ProvisionError(
                f"{title} needs Node.js, and there is no `{program}` on PATH",
                remedy=f"install Node.js {MIN_NODE} or newer with npm, e.g. "
                "`sudo apt-get install nodejs npm`",
            )
    said = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, encoding="utf-8", check=False
    ).stdout
    found = re.match(r"v(\d+)", said)
    if found is None or int(found[1]) < MIN_NODE:
        raise ProvisionError(
            f"{title} needs Node.js {MIN_NODE} or newer, not {said.strip() or 'a broken one'}",
            remedy="install a newer Node.js and put it first on PATH",
        )
