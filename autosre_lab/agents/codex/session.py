"""Runs Codex: finds or starts the stack, fits the session to it, hands over the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from autosre_lab.agents.codex.arguments import USAGE, needs_model, split_arguments
from autosre_lab.agents.codex.plan import is_foreign, plan_launch
from autosre_lab.agents.codex.profiles import PROFILES, SIZING, CodexProfile, estimate
from autosre_lab.agents.launch import Launch, show_launch
from autosre_lab.agents.options import OwnOptions
from autosre_lab.agents.running import become, run_in_terminal
from autosre_lab.agents.stacks import browser_for, find_or_assume, find_or_start, recipe_of
from autosre_lab.agents.web_choice import SessionFit, fit_session
from autosre_lab.agents.web_servers import web_is_installed
from autosre_lab.errors import ConfigError
from autosre_lab.provision import codex_executable, provision_codex
from autosre_lab.settings import paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack

__all__ = ["launch", "prepare_launch", "run_and_replace"]


def launch(args: Sequence[str] = (), *, cwd: Path | None = None) -> int:
    """Run Codex in this terminal and wait for its end.

    Args:
        args: Our own options first (``--recipe``, ``--profile``, ``--web``, ``--codex``,
            ``--dry-run``, ``--use-my-config``), then Codex's own arguments.
        cwd: Where to run it; the current folder when not given.

    Returns:
        Its exit code; 128 + N where signal N ended it.

    Raises:
        ConfigError: One of our options is unusable.
        WindowTooSmallError: The served window cannot hold a session.
        ProvisionError: Codex could not be installed.
        EngineError: The stack could not be started.
    """
    planned = _shown_or_planned(args)
    return planned if isinstance(planned, int) else run_in_terminal(planned, cwd)


def run_and_replace(args: Sequence[str]) -> NoReturn:
    """Become Codex: it inherits this process, its terminal, its signals and its exit code."""
    planned = _shown_or_planned(args)
    if isinstance(planned, int):
        raise SystemExit(planned)
    become(planned)


def _shown_or_planned(args: Sequence[str]) -> Launch | int:
    own, rest = split_arguments(args)
    if own.check:
        raise ConfigError(
            "--check tries Claude Code only", remedy="leave it out: autosre codex exec 'hello'"
        )
    if own.dry_run:
        sys.stdout.write(show_launch(_plan_dry(own, rest)))
        return 0
    if own.help:
        sys.stdout.write(USAGE + "\n")
        sys.stdout.flush()
    return prepare_launch(own, rest)


def prepare_launch(own: OwnOptions, args: Sequence[str], *, stack: Stack | None = None) -> Launch:
    """Find or start everything a session needs and plan it.

    Args:
        own: Our options.
        args: Codex's own arguments.
        stack: A running stack to use; found or started when not given.
    """
    environ = os.environ
    config_dir = _config_dir(own)
    if config_dir is not None:
        config_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not needs_model(args):
        return _plan_without_model(own, args, config_dir)
    stack = stack or find_or_start(own.recipe, environ)
    chosen = _fit(own, stack.max_model_len, recipe_of(stack))
    for note in chosen.notes:
        sys.stderr.write(f"note: {note}\n")
    return plan_launch(
        stack,
        args,
        fit=chosen.fit,
        profile=chosen.profile,
        servers=chosen.servers,
        browser=browser_for(chosen.servers, environ),
        executable=_executable(own),
        environ=environ,
        config_dir=config_dir,
    )


def _executable(own: OwnOptions) -> Path:
    return own.program.absolute() if own.program is not None else provision_codex()


def _config_dir(own: OwnOptions) -> Path | None:
    return None if own.use_my_config else paths().state / "codex"


def _fit(own: OwnOptions, window: int, recipe: Recipe | None) -> SessionFit[CodexProfile]:
    recommended = recipe.claude.profile if recipe else "full"
    return fit_session(
        SIZING,
        window,
        estimate,
        web=own.web,
        installed=web_is_installed(),
        asked=own.profile,
        widest=recommended if recommended in PROFILES else "full",
    )


def _plan_without_model(own: OwnOptions, args: Sequence[str], config_dir: Path | None) -> Launch:
    environ = os.environ
    added = {} if config_dir is None else {"CODEX_HOME": str(config_dir)}
    removed = tuple(sorted(name for name in environ if is_foreign(name) and name not in added))
    kept = {name: value for name, value in environ.items() if name not in removed}
    quiet = ("-c", "analytics.enabled=false", "-c", "check_for_update_on_startup=false")
    return Launch(
        argv=(str(_executable(own)), *quiet, *args),
        env={**kept, **added},
        added=added,
        removed=removed,
    )


def _plan_dry(own: OwnOptions, args: Sequence[str]) -> Launch:
    environ = os.environ
    endpoint, recipe, runs = find_or_assume(own.recipe, environ)
    chosen = _fit(own, endpoint.max_model_len, recipe)
    return plan_launch(
        endpoint,
        args,
        fit=chosen.fit,
        profile=chosen.profile,
        servers=chosen.servers,
        browser=browser_for(chosen.servers, environ) if runs else None,
        remarks=chosen.notes,
        executable=own.program or codex_executable(),
        environ=environ,
        config_dir=_config_dir(own),
    )
