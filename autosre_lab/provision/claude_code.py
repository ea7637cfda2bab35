"""The pinned Claude Code, from npm into a folder of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
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

__all__ = [
    "CLAUDE_CODE_VERSION",
    "CLAUDE_CODE_VERSIONS",
    "claude_code_executable",
    "provision_claude_code",
]

CLAUDE_CODE_VERSIONS = ("2.1.332", "2.1.197")
"""The versions whose requests and reactions the proxy and the launcher are tested against, the
newest first."""

CLAUDE_CODE_VERSION = CLAUDE_CODE_VERSIONS[0]
"""The version that is installed."""

MIN_NODE = 18
_SIZE_BYTES = 0.6e9


def claude_code_executable(version: str = CLAUDE_CODE_VERSION) -> Path:
    """Return where a Claude Code of ours is or will be."""
    prefix = paths().data / "claude-code" / version
    return prefix / "node_modules" / ".bin" / "claude"


def provision_claude_code(version: str = CLAUDE_CODE_VERSION) -> Path:
    """Install Claude Code, unless it is there.

    Args:
        version: Which one; the pinned one when not given.

    Returns:
        The executable.

    Raises:
        ProvisionError: Node or npm is missing or too old, or npm failed.
    """
    executable = claude_code_executable(version)
    prefix = executable.parents[2]
    complete = prefix / "autosre-complete"
    if complete.exists() and executable.exists():
        return executable
    with locked(prefix.with_name(prefix.name + ".lock")):
        if complete.exists() and executable.exists():
            return executable
        _check_node()
        what = f"Install Claude Code {version}"
        check_disk(prefix, _SIZE_BYTES, what)
        # npm does not fix what was left half unpacked.
        shutil.rmtree(prefix / "node_modules", ignore_errors=True)
        with step(what) as bar:
            try:
                run_installer(
                    _install_command(prefix, version),
                    bar,
                    environ=installer_environment(),
                    cwd=prefix,
                )
            except InstallerFailed as error:
                raise error.as_error(what) from error
            _check_version(executable, version)
            complete.touch()
    return executable


def _install_command(prefix: Path, version: str) -> list[str]:
    """Return npm's command; a version with a lock is installed with nothing but the lock."""
    npm = ["npm", "--prefix", str(prefix), "--no-audit", "--no-fund"]
    lock = resources.files("autosre_lab.provision") / "locks" / f"claude-code-{version}"
    if not lock.is_dir():
        return [*npm, "install", "--no-save", f"@anthropic-ai/claude-code@{version}"]
    for name in ("package.json", "package-lock.json"):
        (prefix / name).write_bytes((lock / name).read_bytes())
    return [*npm, "ci"]


def _check_node() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise ProvisionError(
                f"Claude Code needs Node.js, and there is no `{program}` on PATH",
                remedy=f"install Node.js {MIN_NODE} or newer with npm, e.g. "
                "`sudo apt-get install nodejs npm`",
            )
    said = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, encoding="utf-8", check=False
    ).stdout
    found = re.match(r"v(\d+)", said)
    if found is None or int(found[1]) < MIN_NODE:
        raise ProvisionError(
            f"Claude Code needs Node.js {MIN_NODE} or newer, not {said.strip() or 'a broken one'}",
            remedy="install a newer Node.js and put it first on PATH",
        )


def _check_version(executable: Path, version: str) -> None:
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
            f"Claude Code was installed but does not run: {error}",
            remedy=f"delete {executable.parents[2]} and start again; "
            "npm must be allowed to install optional dependencies",
        ) from error
    if version not in said.stdout:
        raise ProvisionError(
            f"Claude Code says {(said.stdout + said.stderr).strip()[-300:]!r}, not {version}",
            remedy=f"delete {executable.parents[2]} and start again; "
            "npm must be allowed to install optional dependencies",
        )
