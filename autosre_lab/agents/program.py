"""Which executable of an agent runs: the one that is installed here, or the user's own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.provision.npm_program import check_node
from autosre_lab.settings import load_settings

__all__ = ["Program", "ProgramKind"]

ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramKind:
    """An agent's program, as it is installed and as it says its version.

    Attributes:
        title: Its name, for people.
        name: Its command, its option and its setting.
        versions: The tested ones; the first is the one that is installed.
        says: What ``--version`` begins with, its version as the first group.
        example: What that looks like, for people.
        path: Where ours is or will be.
        install: Installs ours where it is not there.
    """

    title: str
    name: str
    versions: tuple[str, ...]
    says: str
    example: str
    path: Callable[[], Path]
    install: Callable[[], Path]

    def check(self, environ: Mapping[str, str]) -> None:
        """Make sure that `here` could install ours, should it have to.

        Raises:
            ProvisionError: Node or npm is missing or too old.
        """
        if not getattr(load_settings(environ), self.name) and not self.path().exists():
            check_node(self.title)

    def here(
        self, asked: Path | None, environ: Mapping[str, str], *, install: bool = True
    ) -> Program:
        """Return the program to run.

        Args:
            asked: What the option names; the setting decides when not given.
            environ: The user's environment.
            install: Install ours where it is not there; otherwise only say where it would be.

        Raises:
            ConfigError: What was named is not this program.
            ProvisionError: Ours could not be installed.
        """
        setting = getattr(load_settings(environ), self.name)
        if asked is None and setting:
            asked = Path(setting).expanduser()
        if asked is not None:
            return self.named(asked)
        return Program(
            kind=self,
            executable=self.install() if install else self.path(),
            version=self.versions[0],
            is_own=False,
        )

    def named(self, asked: Path) -> Program:
        """Return a user's own program: a path, or a name on PATH.

        Raises:
            ConfigError: It is not there, or it does not say a version.
        """
        found = shutil.which(asked)
        if found is None:
            raise ConfigError(
                f"there is no program {asked}",
                remedy=f"name {self.title}'s executable: --{self.name} PATH, or the setting "
                f"`{self.name}`; without them autosre installs its own",
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
                f"{executable} cannot be run: {error}", remedy=f"name a {self.title} that works"
            ) from error
        version = re.match(self.says, said)
        if version is None:
            raise ConfigError(
                f"{executable} does not say that it is {self.title}: {said.strip()[:200]!r}",
                remedy=f"name {self.title}'s own executable, whose --version says `{self.example}`",
            )
        return Program(kind=self, executable=executable, version=version[1], is_own=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An executable and what is known of it.

    Attributes:
        kind: Which agent's.
        executable: Where it is.
        version: As it says itself, like ``2.1.332``.
        is_own: Whether it is the user's, named by the option or the setting.
    """

    kind: ProgramKind
    executable: Path
    version: str
    is_own: bool

    @property
    def is_tested(self) -> bool:
        """Whether the contract's tests run against this very version."""
        return self.version in self.kind.versions

    @property
    def note(self) -> str | None:
        """What a person should know of it; None for the one that we install."""
        if not self.is_own:
            return None
        kind, said = self.kind, f"{self.kind.title} {self.version} from {self.executable}"
        if self.is_tested:
            return f"{said}, a tested version"
        return (
            f"{said} is not a tested version ({', '.join(kind.versions)}); to try it: "
            f"autosre {kind.name} --{kind.name} {self.executable} --check"
        )
