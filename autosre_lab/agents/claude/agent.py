"""Claude Code as an agent: what it brings to a session."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from autosre_lab.agents.agent import Agent, Prepared, Settled
from autosre_lab.agents.answer import Answer
from autosre_lab.agents.claude.additions import (
    BRINGABLE,
    Additions,
    Placed,
    additions_of,
    place,
    recorded_additions,
)
from autosre_lab.agents.claude.answer import read_answer
from autosre_lab.agents.claude.arguments import is_interactive, needs_model, options_given
from autosre_lab.agents.claude.config_home import prepare_config_dir, read_settings
from autosre_lab.agents.claude.environment import DEFAULTS, is_foreign
from autosre_lab.agents.claude.first_request import count_first_prompt, estimate_first_prompt
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.claude.version import CLAUDE_CODE
from autosre_lab.agents.claude.window import SIZING, check_permission_mode
from autosre_lab.agents.contract import BehaviourResult, check
from autosre_lab.agents.environment import unless_set
from autosre_lab.agents.launch import Endpoint, Launch
from autosre_lab.agents.options import OwnOptions
from autosre_lab.agents.program import Program
from autosre_lab.errors import ClaudeCodeError
from autosre_lab.settings import home_folder, paths

__all__ = ["CLAUDE", "ClaudeCodeAgent", "status_line_command"]


class ClaudeCodeAgent(Agent[Profile]):
    """Claude Code."""

    program = CLAUDE_CODE
    sizing = SIZING
    error = ClaudeCodeError
    changes_folder = frozenset({"mcp", "plugin", "plugins"})
    bringable = BRINGABLE

    def needs_model(self, args: Sequence[str]) -> bool:
        """Whether a model has to be served for these arguments."""
        return needs_model(args)

    def is_interactive(self, args: Sequence[str]) -> bool:
        """Whether a person sits in front of it."""
        return is_interactive(args)

    def prepare(
        self, own: OwnOptions, folder: Path, cwd: Path, environ: Mapping[str, str]
    ) -> Prepared:
        """Answer what a first start would ask, and place what the session has in addition."""
        home = home_folder(environ)
        prepare_config_dir(folder, cwd, home=home)
        added = additions_of(
            folder, cwd, bring=self.brings(own, environ), environ=environ, home=home
        )
        placed = place(added, folder, cwd)
        return Prepared(notes=added.notes, more=(placed, recorded_additions(added, folder, cwd)))

    def measure(
        self,
        program: Program,
        stack: Endpoint | None,
        args: Sequence[str],
        environ: Mapping[str, str],
        prepared: Prepared,
    ) -> Callable[[Profile], int]:
        """Count the recorded first request on the live engine, once; a terminal's is longer."""
        counted: dict[str, int] = {}

        def measured(profile: Profile) -> int:
            if stack is None:
                return estimate_first_prompt(profile, program.version)
            if profile.name not in counted:
                counted[profile.name] = count(profile, stack)
            longer = profile.size(program.version).terminal_factor if is_interactive(args) else 1
            return round(counted[profile.name] * longer)

        def count(profile: Profile, stack: Endpoint) -> int:
            return count_first_prompt(
                profile,
                stack,
                executable=program.executable,
                version=program.version,
                cache_dir=paths(environ).cache,
                environ=environ,
                additions=prepared.more[1] if prepared.more else Additions(),
            )

        return measured

    def plan(self, settled: Settled[Profile], args: Sequence[str]) -> Launch:
        """Say how a session is started."""
        folder = settled.config_dir
        mode = options_given(args).get("--permission-mode", ())
        check_permission_mode(mode, settled.stack.max_model_len)
        return plan_launch(
            settled.stack,
            args,
            fit=settled.chosen.fit,
            profile=settled.chosen.profile,
            servers=settled.chosen.servers,
            browser=settled.browser,
            placed=settled.prepared.more[0] if settled.prepared.more else Placed(),
            status_line=status_line_command(folder, settled.request_log),
            started_as=settled.started_as,
            remarks=settled.remarks,
            executable=settled.program.executable,
            version=settled.program.version,
            environ=settled.environ,
            config_dir=folder,
        )

    def plan_without_model(
        self,
        program: Program,
        args: Sequence[str],
        environ: Mapping[str, str],
        config_dir: Path | None,
    ) -> Launch:
        """Say how a subcommand is started that asks no model."""
        added = unless_set(DEFAULTS, environ)
        if config_dir is not None:
            added["CLAUDE_CONFIG_DIR"] = str(config_dir)
        removed = tuple(sorted(name for name in environ if is_foreign(name)))
        kept = {name: value for name, value in environ.items() if name not in removed}
        return Launch(
            argv=(str(program.executable), *args),
            env={**kept, **added},
            added=added,
            removed=removed,
        )

    def check(self, program: Program) -> Iterator[BehaviourResult]:
        """Try the contract."""
        # Its scripted engine is nothing that a session loads.
        from autosre_lab.agents.claude.contract import CONTRACT, attempt

        return check(CONTRACT, functools.partial(attempt, executable=program.executable))

    def asking(self, args: Sequence[str], *, keep: bool, session: str) -> list[str]:
        """Return the arguments of ``claude -p``."""
        kept = [] if keep else ["--no-session-persistence"]
        resumed = ["--resume", session] if session else []
        return ["-p", "--output-format", "json", *kept, *resumed, *args]

    def read_answer(self, out: str, err: str, exit_code: int) -> Answer:
        """Read the result."""
        return read_answer(out, err, exit_code)


def status_line_command(config_dir: Path | None, request_log: Path | None) -> str | None:
    """Return the status line's command; None where the user has a status line or a folder."""
    if config_dir is None or "statusLine" in read_settings(config_dir):
        return None
    log = [] if request_log is None else [str(request_log)]
    return shlex.join([sys.executable, "-I", str(Path(__file__).with_name("status_line.py")), *log])


CLAUDE = ClaudeCodeAgent()
"""The one there is."""
