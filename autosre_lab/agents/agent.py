"""What an agent brings, so that a session of it can be planned, run, asked and tried."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from autosre_lab.agents.answer import Answer
from autosre_lab.agents.bringing import KINDS
from autosre_lab.agents.contract import BehaviourResult
from autosre_lab.agents.launch import Browser, Endpoint, Launch
from autosre_lab.agents.options import OwnOptions, bring_list, split_arguments
from autosre_lab.agents.program import Program, ProgramKind
from autosre_lab.agents.web_choice import SessionFit
from autosre_lab.agents.window import AnyProfile, Sizing
from autosre_lab.errors import AgentError
from autosre_lab.settings import load_settings

__all__ = ["Agent", "Prepared", "Settled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was made ready of a session's configuration folder.

    Attributes:
        notes: What a person should know, a sentence each.
        more: What the agent itself has to know of it later.
    """

    notes: tuple[str, ...] = ()
    more: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Generic[AnyProfile]):
    """What was settled of a session before its command is planned.

    Attributes:
        stack: Where the proxy listens and what it serves.
        chosen: The profile, how it fits the window, and the web tools.
        program: The executable.
        environ: The user's environment.
        config_dir: The agent's configuration folder; None leaves it to the user.
        cwd: Where it will run.
        browser: What the server ``browser`` drives; None leaves it to the environment.
        request_log: The proxy's request log, where there is one.
        started_as: How the session is started, by which the proxy knows how such sessions begin.
        remarks: What else a person should know, a sentence each.
        prepared: What was made ready of the configuration folder.
    """

    stack: Endpoint
    chosen: SessionFit[AnyProfile]
    program: Program
    environ: Mapping[str, str]
    config_dir: Path | None
    cwd: Path
    browser: Browser | None = None
    request_log: Path | None = None
    started_as: str = ""
    remarks: tuple[str, ...] = ()
    prepared: Prepared = Prepared()


class Agent(ABC, Generic[AnyProfile]):
    """An agent's command line; `session` runs it, `asking` asks it."""

    program: ProgramKind
    sizing: Sizing[AnyProfile]
    error: type[AgentError]
    changes_folder: frozenset[str]
    """Its subcommands that change its configuration folder."""
    bringable: tuple[str, ...]
    """What a user can bring from a configuration folder of their own."""

    def brings(self, own: OwnOptions, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Return what the user brings: by the option, else by the setting, which is every agent's.

        Raises:
            ConfigError: The setting names something that nobody can bring.
        """
        if own.bring is not None:
            return own.bring
        wanted = bring_list(load_settings(environ).bring, KINDS)
        return tuple(kind for kind in self.bringable if kind in wanted)

    def split(self, args: Sequence[str]) -> tuple[OwnOptions, list[str]]:
        """Take our options from the front; the rest is the agent's.

        Raises:
            ConfigError: One of ours lacks its value, or names something unknown.
        """
        return split_arguments(
            args,
            name=self.program.name,
            profiles=self.sizing.profiles,
            bringable=self.bringable,
        )

    @abstractmethod
    def needs_model(self, args: Sequence[str]) -> bool:
        """Whether a model has to be served for these arguments."""

    @abstractmethod
    def is_interactive(self, args: Sequence[str]) -> bool:
        """Whether a person sits in front of it."""

    @abstractmethod
    def prepare(
        self, own: OwnOptions, folder: Path, cwd: Path, environ: Mapping[str, str]
    ) -> Prepared:
        """Make our configuration folder ready for a session."""

    @abstractmethod
    def measure(
        self,
        program: Program,
        stack: Endpoint | None,
        args: Sequence[str],
        environ: Mapping[str, str],
        prepared: Prepared,
    ) -> Callable[[AnyProfile], int]:
        """Return what counts a profile's first prompt; without a stack it is estimated."""

    @abstractmethod
    def plan(self, settled: Settled[AnyProfile], args: Sequence[str]) -> Launch:
        """Say how a session is started."""

    @abstractmethod
    def plan_without_model(
        self,
        program: Program,
        args: Sequence[str],
        environ: Mapping[str, str],
        config_dir: Path | None,
    ) -> Launch:
        """Say how a subcommand is started that asks no model."""

    @abstractmethod
    def check(self, program: Program) -> Iterator[BehaviourResult]:
        """Try what we rely on, and yield each verdict as it comes."""

    @abstractmethod
    def asking(self, args: Sequence[str], *, keep: bool, session: str) -> list[str]:
        """Return the arguments that answer one question from standard input.

        Args:
            args: The agent's own arguments.
            keep: Keep the session.
            session: The one to go on in; "" for a new one.
        """

    def cautions(self, args: Sequence[str]) -> Sequence[str]:
        """Return what a person should know before the session, a sentence each."""
        return ()

    @abstractmethod
    def read_answer(self, out: str, err: str, exit_code: int) -> Answer:
        """Read what it wrote then. Raises `error` where there is no answer in it."""
