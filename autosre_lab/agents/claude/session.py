"""Runs Claude Code: finds or starts the stack, fits the session to it, hands over the terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from autosre_lab.agents.claude.arguments import (
    USAGE,
    OwnOptions,
    is_interactive,
    needs_model,
    split_arguments,
)
from autosre_lab.agents.claude.config_home import prepare_config_dir
from autosre_lab.agents.claude.environment import DEFAULTS, is_foreign
from autosre_lab.agents.claude.first_request import count_first_prompt, estimate_first_prompt
from autosre_lab.agents.claude.plan import Browser, Endpoint, Launch, plan_launch, show_launch
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.claude.web_choice import fit_session
from autosre_lab.agents.claude.web_servers import web_is_installed
from autosre_lab.errors import RecipeError
from autosre_lab.settings import load_settings, paths

if TYPE_CHECKING:
    from autosre_lab.stack import Stack

__all__ = ["launch", "prepare_launch", "run_and_replace"]

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def launch(args: Sequence[str] = (), *, cwd: Path | None = None) -> int:
    """Run Claude Code in this terminal and wait for its end.

    Args:
        args: Our own options first (``--recipe``, ``--profile``, ``--web``,
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
    own, rest = split_arguments(args)
    if own.dry_run:
        sys.stdout.write(show_launch(_plan_dry(own, rest)))
        return 0
    if own.help:
        sys.stdout.write(USAGE + "\n")
        sys.stdout.flush()
    planned = prepare_launch(own, rest, cwd=cwd or Path.cwd())
    with _left_to_the_child() as child:
        code = child.run(planned, cwd)
    return 128 - code if code < 0 else code


def run_and_replace(args: Sequence[str]) -> NoReturn:
    """Become Claude Code: it inherits this process, its terminal, its signals and its exit code."""
    own, rest = split_arguments(args)
    if own.dry_run:
        sys.stdout.write(show_launch(_plan_dry(own, rest)))
        raise SystemExit(0)
    if own.help:
        sys.stdout.write(USAGE + "\n")
    planned = prepare_launch(own, rest, cwd=Path.cwd())
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two, and what is ignored stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execve(planned.argv[0], planned.argv, planned.env)  # noqa: S606 - the point of it


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
    from autosre_lab.provision import CLAUDE_CODE_VERSION, provision_claude_code

    environ = os.environ
    folders = paths(environ)
    config_dir = None if own.use_my_config else folders.state / "claude"
    if not needs_model(args):
        executable = provision_claude_code()
        return _plan_without_model(executable, args, environ, config_dir)
    stack = stack or _find_or_start(own.recipe, environ)
    executable = provision_claude_code()
    if config_dir is not None:
        prepare_config_dir(config_dir, cwd.resolve(), home=Path.home())
    widest, wish = _recipe_wishes(stack.recipe_name)
    interactive = is_interactive(args)

    def measure(profile: Profile) -> int:
        single = count_first_prompt(
            profile,
            stack,
            executable=executable,
            version=CLAUDE_CODE_VERSION,
            cache_dir=folders.cache,
            environ=environ,
        )
        return round(single * profile.interactive_factor) if interactive else single

    chosen = fit_session(
        stack.max_model_len,
        measure,
        web=own.web,
        installed=web_is_installed(),
        asked=own.profile,
        widest=widest,
        wish=wish,
    )
    for note in chosen.notes:
        sys.stderr.write(f"note: {note}\n")
    return plan_launch(
        stack,
        args,
        fit=chosen.fit,
        profile=chosen.profile,
        servers=chosen.servers,
        browser=_browser_for(chosen.servers, environ),
        executable=executable,
        environ=environ,
        config_dir=config_dir,
    )


def _find_or_start(recipe: str | None, environ: Mapping[str, str]) -> Stack:
    from autosre_lab.lifecycle import start, status, wait_ready

    wanted = recipe or environ.get("AUTOSRE_RECIPE")
    if wanted is None and status().state in ("ready", "starting"):
        return wait_ready()
    return start(wanted or load_settings(environ).recipe)


def _browser_for(servers: Sequence[str], environ: Mapping[str, str]) -> Browser | None:
    """Return the Pod that a session's browser tools drive; None leaves them as they are set.

    Whoever has set ``AUTOSRE_BROWSER_URL`` has chosen; empty, it means a local Chromium.
    """
    if "browser" not in servers or "AUTOSRE_BROWSER_URL" in environ:
        return None
    if load_settings(environ).browser_url:
        return None
    from autosre_lab.lifecycle import stack_browser

    return stack_browser()


def _recipe_wishes(name: str) -> tuple[str, int | None]:
    """Return the widest profile a recipe recommends, and the longest answer it asks for."""
    from autosre_lab.recipe import load_recipe

    try:
        claude = load_recipe(name).claude
    except RecipeError:
        # A recipe file may have gone since its stack was started; the stack still serves.
        return "full", None
    return claude.profile, claude.max_output_tokens


def _plan_without_model(
    executable: Path, args: Sequence[str], environ: Mapping[str, str], config_dir: Path | None
) -> Launch:
    added = {name: value for name, value in DEFAULTS.items() if name not in environ}
    if config_dir is not None:
        added["CLAUDE_CONFIG_DIR"] = str(config_dir)
    removed = tuple(sorted(name for name in environ if is_foreign(name)))
    kept = {name: value for name, value in environ.items() if name not in removed}
    return Launch(
        argv=(str(executable), *args), env={**kept, **added}, added=added, removed=removed
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumed:
    """A stack as its recipe would make it, for a dry run while nothing runs."""

    proxy_url: str
    model: str
    max_model_len: int
    token: str = ""


def _plan_dry(own: OwnOptions, args: Sequence[str]) -> Launch:
    from autosre_lab.lifecycle import status, wait_ready
    from autosre_lab.provision import claude_code_executable
    from autosre_lab.recipe import load_recipe

    environ = os.environ
    settings = load_settings(environ)
    wanted = own.recipe or environ.get("AUTOSRE_RECIPE")
    running = status()
    endpoint: Endpoint
    if running.state == "ready" and wanted in (None, running.recipe_name):
        endpoint = stack = wait_ready()
        widest, wish = _recipe_wishes(stack.recipe_name)
    else:
        recipe = load_recipe(wanted or settings.recipe)
        endpoint = _Assumed(
            proxy_url=f"http://127.0.0.1:{settings.proxy_port or 8011}",
            model=recipe.model.served_names[0],
            max_model_len=recipe.model.context,
        )
        widest, wish = recipe.claude.profile, recipe.claude.max_output_tokens
    chosen = fit_session(
        endpoint.max_model_len,
        estimate_first_prompt,
        web=own.web,
        installed=web_is_installed(),
        asked=own.profile,
        widest=widest,
        wish=wish,
    )
    return plan_launch(
        endpoint,
        args,
        fit=chosen.fit,
        profile=chosen.profile,
        servers=chosen.servers,
        browser=None if isinstance(endpoint, _Assumed) else _browser_for(chosen.servers, environ),
        remarks=chosen.notes,
        executable=claude_code_executable(),
        environ=environ,
        config_dir=None if own.use_my_config else paths(environ).state / "claude",
    )


class _Child:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def run(self, planned: Launch, cwd: Path | None) -> int:
        self._process = subprocess.Popen(planned.argv, env=planned.env, cwd=cwd)
        # What came while the child existed and had no name yet.
        for number in self._early:
            self._process.send_signal(number)
        return self._process.wait()

    def forward(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


@contextmanager
def _left_to_the_child() -> Iterator[_Child]:
    """Let the child decide about signals: the terminal sends it SIGINT itself, the rest is passed.

    Signal handlers belong to the main thread; in another one (a notebook's worker) nothing is set.
    """
    child = _Child()
    before = {}
    try:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _not_ours)
        for number in _FORWARDED:
            before[number] = signal.signal(number, child.forward)
    except ValueError:
        before.clear()
    try:
        yield child
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _not_ours(number: int, frame: FrameType | None) -> None:
    """Take no notice: SIG_IGN would be inherited by the child, which shall hear it."""
