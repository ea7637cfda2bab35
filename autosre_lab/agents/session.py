"""Runs an agent: finds or starts the stack, fits the session to it, hands over the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from autosre_lab.agents.agent import Agent, Prepared, Settled
from autosre_lab.agents.launch import Endpoint, Launch, show_launch
from autosre_lab.agents.options import OwnOptions, options_usage
from autosre_lab.agents.running import become, run_in_terminal
from autosre_lab.agents.stacks import (
    browser_for,
    check_recipe,
    find_elsewhere,
    find_or_assume,
    find_or_start,
    recipe_of,
)
from autosre_lab.agents.warming import warm
from autosre_lab.agents.web_choice import SessionFit, fit_session
from autosre_lab.agents.web_servers import web_is_installed
from autosre_lab.agents.window import AnyProfile
from autosre_lab.errors import ConfigError
from autosre_lab.settings import paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack

__all__ = ["launch", "prepare_launch", "run_and_replace"]


def launch(agent: Agent[AnyProfile], args: Sequence[str] = (), *, cwd: Path | None = None) -> int:
    """Run an agent in this terminal and wait for its end.

    Args:
        agent: Which one.
        args: Our own options first (``--recipe``, ``--profile``, ``--web``, ``--dry-run``, …), then
            the agent's own arguments.
        cwd: Where to run it; the current folder when not given.

    Returns:
        Its exit code; 128 + N where signal N ended it.

    Raises:
        ConfigError: One of our options is unusable.
        WindowTooSmallError: The served window cannot hold a session.
        ProvisionError: The agent could not be installed.
        EngineError: The stack could not be started.
    """
    planned = _shown_or_planned(agent, args, cwd or Path.cwd())
    return planned if isinstance(planned, int) else run_in_terminal(planned, cwd)


def run_and_replace(agent: Agent[AnyProfile], args: Sequence[str]) -> NoReturn:
    """Become the agent: it inherits this process, its terminal, its signals and its exit code."""
    planned = _shown_or_planned(agent, args, Path.cwd())
    if isinstance(planned, int):
        raise SystemExit(planned)
    become(planned)


def prepare_launch(
    agent: Agent[AnyProfile],
    own: OwnOptions,
    args: Sequence[str],
    *,
    cwd: Path,
    stack: Stack | None = None,
) -> Launch:
    """Find or start everything a session needs and plan it.

    The program comes first: whoever lacks Node shall hear it before an engine is started.

    Args:
        agent: Whose session.
        own: Our options.
        args: The agent's own arguments.
        cwd: Where it will run.
        stack: A running stack to use; found or started when not given.
    """
    environ = os.environ
    needs_model = agent.needs_model(args)
    if needs_model and stack is None:
        check_recipe(own.recipe)
    program = agent.program.here(own.program, environ)
    folder = _config_dir(agent, own, environ)
    if folder is not None:
        _make(folder)
    if not needs_model:
        if folder is not None and args and args[0] in agent.changes_folder:
            _note(f"this is about autosre's own {agent.program.title} folder ({folder}), not yours")
        return agent.plan_without_model(program, args, environ, folder)
    prepared = Prepared() if folder is None else agent.prepare(own, folder, cwd.resolve(), environ)
    if own.url is not None and stack is None:
        stack = find_elsewhere(own.url, environ)
    stack = stack or find_or_start(own.recipe, environ)
    chosen = _fit(
        agent,
        own,
        stack.max_model_len,
        agent.measure(program, stack, args, environ, prepared),
        recipe_of(stack),
    )
    for text in (*prepared.notes, program.note, *chosen.notes, *agent.cautions(args)):
        _note(text)
    started_as = "-".join(
        (
            *(agent.program.name, program.version, chosen.profile.name),
            "terminal" if agent.is_interactive(args) else "single",
            *chosen.servers,
        )
    )
    warm(stack, started_as)
    return agent.plan(
        Settled(
            stack=stack,
            chosen=chosen,
            program=program,
            environ=environ,
            config_dir=folder,
            cwd=cwd.resolve(),
            browser=None if own.url else browser_for(chosen.servers, environ),
            request_log=stack.request_log,
            started_as=started_as,
            prepared=prepared,
        ),
        args,
    )


def _shown_or_planned(agent: Agent[AnyProfile], args: Sequence[str], cwd: Path) -> Launch | int:
    """Return what is to be run, or the exit code where the answer has been printed already."""
    own, rest = agent.split(args)
    if own.dry_run:
        sys.stdout.write(show_launch(_plan_dry(agent, own, rest, cwd)))
        return 0
    if own.check:
        return _check(agent, own)
    if own.help:
        usage = options_usage(
            agent.program.title, agent.program.name, agent.sizing.profiles, agent.bringable
        )
        sys.stdout.write(usage + "\n")
        sys.stdout.flush()
    return prepare_launch(agent, own, rest, cwd=cwd)


def _check(agent: Agent[AnyProfile], own: OwnOptions) -> int:
    """Try what we rely on, and print it line by line; 1 where something does not hold."""
    program = agent.program.here(own.program, os.environ)
    sys.stdout.write(f"{agent.program.title} {program.version}, {program.executable}\n")
    broken = 0
    for one in agent.check(program):
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


def _plan_dry(agent: Agent[AnyProfile], own: OwnOptions, args: Sequence[str], cwd: Path) -> Launch:
    environ = os.environ
    program = agent.program.here(own.program, environ, install=False)
    folder = _config_dir(agent, own, environ)
    if not agent.needs_model(args):
        return agent.plan_without_model(program, args, environ, folder)
    endpoint: Endpoint
    if own.url is not None:
        endpoint, recipe, runs = find_elsewhere(own.url, environ), None, False
    else:
        endpoint, recipe, runs = find_or_assume(own.recipe, environ)
    chosen = _fit(
        agent,
        own,
        endpoint.max_model_len,
        agent.measure(program, None, args, environ, Prepared()),
        recipe,
    )
    return agent.plan(
        Settled(
            stack=endpoint,
            chosen=chosen,
            program=program,
            environ=environ,
            config_dir=folder,
            cwd=cwd.resolve(),
            browser=browser_for(chosen.servers, environ) if runs else None,
            remarks=tuple(note for note in (program.note, *chosen.notes) if note),
        ),
        args,
    )


def _config_dir(
    agent: Agent[AnyProfile], own: OwnOptions, environ: Mapping[str, str]
) -> Path | None:
    return None if own.use_my_config else paths(environ).state / agent.program.name


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made: {error.strerror}",
            remedy="make the folder writable, or move it with AUTOSRE_STATE_DIR",
        ) from error


def _fit(
    agent: Agent[AnyProfile],
    own: OwnOptions,
    window: int,
    measure: Callable[[AnyProfile], int],
    recipe: Recipe | None,
) -> SessionFit[AnyProfile]:
    recommended = recipe.claude.profile if recipe else "full"
    return fit_session(
        agent.sizing,
        window,
        measure,
        web=own.web,
        installed=web_is_installed(),
        asked=own.profile,
        widest=recommended if recommended in agent.sizing.profiles else "full",
        wish=recipe.claude.max_output_tokens if recipe else None,
    )


def _note(text: str | None) -> None:
    if text:
        sys.stderr.write(f"note: {text}\n")
