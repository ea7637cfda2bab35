"""Runs Claude Code: finds or starts the stack, fits the session to it, hands over the terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from autosre_lab.agents.claude.arguments import (
    USAGE,
    is_interactive,
    needs_model,
    split_arguments,
)
from autosre_lab.agents.claude.config_home import (
    added_servers,
    prepare_config_dir,
    read_settings,
)
from autosre_lab.agents.claude.environment import DEFAULTS, is_foreign
from autosre_lab.agents.claude.first_request import count_first_prompt, estimate_first_prompt
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.claude.version import claude_code_here
from autosre_lab.agents.claude.window import SIZING
from autosre_lab.agents.environment import unless_set
from autosre_lab.agents.launch import Launch, show_launch
from autosre_lab.agents.options import OwnOptions
from autosre_lab.agents.running import become, run_in_terminal
from autosre_lab.agents.stacks import browser_for, find_or_assume, find_or_start, recipe_of
from autosre_lab.agents.web_choice import SessionFit, fit_session
from autosre_lab.agents.web_servers import web_is_installed
from autosre_lab.settings import paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack

__all__ = ["launch", "prepare_launch", "run_and_replace", "status_line_command"]


def launch(args: Sequence[str] = (), *, cwd: Path | None = None) -> int:
    """Run Claude Code in this terminal and wait for its end.

    Args:
        args: Our own options first (``--recipe``, ``--profile``, ``--web``, ``--claude``,
            ``--dry-run``, ``--use-my-config``), then Claude Code's own arguments.
        cwd: Where to run it; the current folder when not given.

    Returns:
        Its exit code; 128 + N where signal N ended it.

    Raises:
        ConfigError: One of our options is unusable.
        WindowTooSmallError: The served window cannot hold a session.
        ProvisionError: Claude Code could not be installed.
        EngineError: The stack could not be started.
    """
    planned = _shown_or_planned(args, cwd or Path.cwd())
    return planned if isinstance(planned, int) else run_in_terminal(planned, cwd)


def run_and_replace(args: Sequence[str]) -> NoReturn:
    """Become Claude Code: it inherits this process, its terminal, its signals and its exit code."""
    planned = _shown_or_planned(args, Path.cwd())
    if isinstance(planned, int):
        raise SystemExit(planned)
    become(planned)


def _shown_or_planned(args: Sequence[str], cwd: Path) -> Launch | int:
    """Return what is to be run, or the exit code where the answer has been printed already."""
    own, rest = split_arguments(args)
    if own.dry_run:
        sys.stdout.write(show_launch(_plan_dry(own, rest)))
        return 0
    if own.check:
        return _check(own)
    if own.help:
        sys.stdout.write(USAGE + "\n")
        sys.stdout.flush()
    return prepare_launch(own, rest, cwd=cwd)


def _check(own: OwnOptions) -> int:
    """Try what we rely on, and print it line by line; 1 where something does not hold."""
    from autosre_lab.agents.claude.contract import check

    program = claude_code_here(own.program, os.environ)
    sys.stdout.write(f"Claude Code {program.version}, {program.executable}\n")
    broken = 0
    for one in check(program):
        sign = {True: "holds", False: "BROKEN", None: "not tried"}[one.holds]
        sys.stdout.write(f"{sign:9}  {one.name} ({one.seconds:.0f} s)\n")
        if one.detail:
            sys.stdout.write(f"{'':9}  {one.detail}\n")
        sys.stdout.flush()
        broken += one.holds is False
    sys.stdout.write(
        f"{broken} of these do not hold: sessions with this version may fail there\n"
        if broken
        else "everything that was tried holds\n"
    )
    return 1 if broken else 0


def prepare_launch(
    own: OwnOptions, args: Sequence[str], *, cwd: Path, stack: Stack | None = None
) -> Launch:
    """Find or start everything a session needs and plan it.

    Args:
        own: Our options.
        args: Claude Code's own arguments.
        cwd: Where it will run.
        stack: A running stack to use; found or started when not given.
    """
    environ = os.environ
    folders = paths(environ)
    config_dir = None if own.use_my_config else folders.state / "claude"
    if not needs_model(args):
        executable = claude_code_here(own.program, environ).executable
        if config_dir is not None and args[:1] in (["mcp"], ["plugin"], ["plugins"]):
            _note(
                f"this changes autosre's own Claude Code configuration ({config_dir}), not yours; "
                "sessions load user and local MCP servers from it"
            )
        return _plan_without_model(executable, args, environ, config_dir)
    stack = stack or find_or_start(own.recipe, environ)
    program = claude_code_here(own.program, environ)
    mcp_file = None
    if config_dir is not None:
        prepare_config_dir(config_dir, cwd.resolve(), home=Path.home())
        mcp_file, note = added_servers(config_dir, cwd.resolve())
        _note(note)
    interactive = is_interactive(args)

    def measure(profile: Profile) -> int:
        single = count_first_prompt(
            profile,
            stack,
            executable=program.executable,
            version=program.version,
            cache_dir=folders.cache,
            environ=environ,
        )
        return round(
            single * profile.size(program.version).terminal_factor if interactive else single
        )

    chosen = _fit(own, stack.max_model_len, measure, recipe_of(stack))
    for note in (program.note, *chosen.notes):
        _note(note)
    return plan_launch(
        stack,
        args,
        fit=chosen.fit,
        profile=chosen.profile,
        servers=chosen.servers,
        browser=browser_for(chosen.servers, environ),
        mcp_file=mcp_file,
        status_line=status_line_command(config_dir, stack.request_log),
        executable=program.executable,
        version=program.version,
        environ=environ,
        config_dir=config_dir,
    )


def _fit(
    own: OwnOptions, window: int, measure: Callable[[Profile], int], recipe: Recipe | None
) -> SessionFit[Profile]:
    return fit_session(
        SIZING,
        window,
        measure,
        web=own.web,
        installed=web_is_installed(),
        asked=own.profile,
        widest=recipe.claude.profile if recipe else "full",
        wish=recipe.claude.max_output_tokens if recipe else None,
    )


def status_line_command(config_dir: Path | None, request_log: Path | None) -> str | None:
    """Return the status line's command; None where the user has a status line or a folder."""
    if config_dir is None or "statusLine" in read_settings(config_dir):
        return None
    log = [] if request_log is None else [str(request_log)]
    return shlex.join([sys.executable, "-I", str(Path(__file__).with_name("status_line.py")), *log])


def _note(text: str | None) -> None:
    if text:
        sys.stderr.write(f"note: {text}\n")


def _plan_without_model(
    executable: Path, args: Sequence[str], environ: Mapping[str, str], config_dir: Path | None
) -> Launch:
    added = unless_set(DEFAULTS, environ)
    if config_dir is not None:
        added["CLAUDE_CONFIG_DIR"] = str(config_dir)
    removed = tuple(sorted(name for name in environ if is_foreign(name)))
    kept = {name: value for name, value in environ.items() if name not in removed}
    return Launch(
        argv=(str(executable), *args), env={**kept, **added}, added=added, removed=removed
    )


def _plan_dry(own: OwnOptions, args: Sequence[str]) -> Launch:
    environ = os.environ
    program = claude_code_here(own.program, environ, install=False)
    endpoint, recipe, runs = find_or_assume(own.recipe, environ)

    def measure(profile: Profile) -> int:
        return estimate_first_prompt(profile, program.version)

    chosen = _fit(own, endpoint.max_model_len, measure, recipe)
    return plan_launch(
        endpoint,
        args,
        fit=chosen.fit,
        profile=chosen.profile,
        servers=chosen.servers,
        browser=browser_for(chosen.servers, environ) if runs else None,
        remarks=[note for note in (program.note, *chosen.notes) if note],
        executable=program.executable,
        version=program.version,
        environ=environ,
        config_dir=None if own.use_my_config else paths(environ).state / "claude",
    )
