"""Which Claude Code runs: the one that is installed here, or the user's own, and its version."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.provision import (
    CLAUDE_CODE_VERSIONS,
    claude_code_executable,
    provision_claude_code,
)
from autosre_lab.settings import load_settings

__all__ = ["ClaudeCode", "claude_code_here", "known_version", "named_claude_code"]

ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaudeCode:
    """A Claude Code that can be run.

    Attributes:
        executable: Where it is.
        version: As it says itself, like ``2.1.332``.
        is_own: Whether it is the user's, named by ``--claude`` or the setting ``claude``.
    """

    executable: Path
    version: str
    is_own: bool

    @property
    def is_tested(self) -> bool:
        """Whether the contract's tests run against this very version."""
        return self.version in CLAUDE_CODE_VERSIONS

    @property
    def note(self) -> str | None:
        """What a person should know of it; None for the one that we install."""
        if not self.is_own:
            return None
        if self.is_tested:
            return f"Claude Code {self.version} from {self.executable}, a tested version"
        return (
            f"Claude Code {self.version} from {self.executable} is not a tested version "
            f"({', '.join(CLAUDE_CODE_VERSIONS)}); to try it: autosre claude "
            f"--claude {self.executable} --check"
        )


def known_version(version: str) -> str:
    """Return the tested version whose sizes and habits a version is taken to have."""
    wanted = _numbers(version)
    older = [one for one in CLAUDE_CODE_VERSIONS if _numbers(one) <= wanted]
    return older[0] if older else CLAUDE_CODE_VERSIONS[-1]


def claude_code_here(
    asked: Path | None, environ: Mapping[str, str], *, install: bool = True
) -> ClaudeCode:
    """Return the Claude Code to run.

    Args:
        asked: What ``--claude`` names; the setting ``claude`` decides when not given.
        environ: The user's environment.
        install: Install ours where it is not there; otherwise only say where it would be.

    Raises:
        ConfigError: What was named is no Claude Code.
        ProvisionError: Ours could not be installed.
    """
    setting = load_settings(environ).claude
    if asked is None and setting:
        asked = Path(setting).expanduser()
    if asked is not None:
        return named_claude_code(asked)
    return ClaudeCode(
        executable=provision_claude_code() if install else claude_code_executable(),
        version=CLAUDE_CODE_VERSIONS[0],
        is_own=False,
    )


def named_claude_code(asked: Path) -> ClaudeCode:
    """Return a user's own Claude Code: a path, or a name on PATH.

    Raises:
        ConfigError: It is not there, or it does not say a version.
    """
    found = shutil.which(asked)
    if found is None:
        raise ConfigError(
            f"there is no program {asked}",
            remedy="name Claude Code's executable: --claude PATH, or the setting `claude`; "
            "without them autosre installs its own",
        )
    executable = Path(found).absolute()
    try:
        said = subprocess.run(
            [executable, "--version"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=ASK_TIMEOUT_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"{executable} cannot be run: {error}", remedy="name a Claude Code that works"
        ) from error
    version = re.match(r"(\d+\.\d+\.\d+)\b.*Claude Code", said)
    if version is None:
        raise ConfigError(
            f"{executable} does not say that it is Claude Code: {said.strip()[:200]!r}",
            remedy="name Claude Code's own executable, whose --version says `… (Claude Code)`",
        )
    return ClaudeCode(executable=executable, version=version[1], is_own=True)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
