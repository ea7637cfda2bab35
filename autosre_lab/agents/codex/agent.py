"""Codex as an agent: what it brings to a session."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from autosre_lab.agents.agent import Agent, Prepared, Settled
from autosre_lab.agents.answer import Answer
from autosre_lab.agents.codex.additions import BRINGABLE, Brought, bring_along
from autosre_lab.agents.codex.answer import read_answer
from autosre_lab.agents.codex.arguments import is_headless, needs_model
from autosre_lab.agents.codex.plan import WAITS, is_foreign, plan_launch
from autosre_lab.agents.codex.profiles import BYTES_PER_TOKEN, SIZING, CodexProfile, estimate
from autosre_lab.agents.codex.version import CODEX_PROGRAM
from autosre_lab.agents.contract import BehaviourResult, check
from autosre_lab.agents.launch import Endpoint, Launch
from autosre_lab.agents.options import OwnOptions
from autosre_lab.agents.program import Program
from autosre_lab.errors import CodexError
from autosre_lab.settings import home_folder

__all__ = ["CODEX", "CodexAgent"]


class CodexAgent(Agent[CodexProfile]):
    """OpenAI's Codex."""

    program = CODEX_PROGRAM
    sizing = SIZING
    error = CodexError
    changes_folder = frozenset({"mcp", "plugin"})
    bringable = BRINGABLE

    def needs_model(self, args: Sequence[str]) -> bool:
        """Whether a model has to be served for these arguments."""
        return needs_model(args)

    def is_interactive(self, args: Sequence[str]) -> bool:
        """Whether a person sits in front of it."""
        return not is_headless(args)

    def prepare(
        self, own: OwnOptions, folder: Path, cwd: Path, environ: Mapping[str, str]
    ) -> Prepared:
        """Copy what the user brings; Codex makes what it needs itself."""
        brought = bring_along(
            self.brings(own, environ), folder, environ=environ, home=home_folder(environ)
        )
        return Prepared(notes=brought.notes, more=brought)

    def measure(
        self,
        program: Program,
        stack: Endpoint | None,
        args: Sequence[str],
        environ: Mapping[str, str],
        prepared: Prepared,
    ) -> Callable[[CodexProfile], int]:
        """Estimate it from recorded sizes, and from those of what was brought."""
        brought = prepared.more or Brought()
        more = -(-brought.prompt_bytes // BYTES_PER_TOKEN)
        return lambda profile: estimate(profile) + more

    def plan(self, settled: Settled[CodexProfile], args: Sequence[str]) -> Launch:
        """Say how a session is started."""
        return plan_launch(
            settled.stack,
            args,
            fit=settled.chosen.fit,
            profile=settled.chosen.profile,
            servers=settled.chosen.servers,
            browser=settled.browser,
            brought=settled.prepared.more or Brought(),
            started_as=settled.started_as,
            remarks=settled.remarks,
            executable=settled.program.executable,
            environ=settled.environ,
            config_dir=settled.config_dir,
        )

    def plan_without_model(
        self,
        program: Program,
        args: Sequence[str],
        environ: Mapping[str, str],
        config_dir: Path | None,
    ) -> Launch:
        """Say how a subcommand is started that asks no model."""
        added = {} if config_dir is None else {"CODEX_HOME": str(config_dir)}
        own_home = {"CODEX_HOME"} if config_dir is None else set()
        removed = tuple(
            sorted(name for name in environ if is_foreign(name) and name not in {*added, *own_home})
        )
        kept = {name: value for name, value in environ.items() if name not in removed}
        quiet = ("-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false")
        return Launch(
            argv=(str(program.executable), *quiet, *args),
            env={**kept, **added},
            added=added,
            removed=removed,
        )

    def check(self, program: Program) -> Iterator[BehaviourResult]:
        """Try the contract."""
        # Its scripted engine is nothing that a session loads.
        from autosre_lab.agents.codex.contract import CONTRACT, attempt

        return check(CONTRACT, functools.partial(attempt, executable=program.executable))

    def asking(self, args: Sequence[str], *, keep: bool, session: str) -> list[str]:
        """Return the arguments of ``codex exec``."""
        resumed = ["resume", session] if session else []
        return ["exec", "--json", *([] if keep else ["--ephemeral"]), *args, *resumed, "-"]

    def cautions(self, args: Sequence[str]) -> Sequence[str]:
        """Say what Codex does in a terminal when the stack goes away."""
        return [] if is_headless(args) else [WAITS]

    def read_answer(self, out: str, err: str, exit_code: int) -> Answer:
        """Read the events."""
        return read_answer(out, err, exit_code)


CODEX = CodexAgent()
"""The one there is."""
