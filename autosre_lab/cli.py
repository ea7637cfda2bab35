"""The command line: thin over the library, and quick to start."""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autosre_lab import __version__
from autosre_lab.errors import AutosreError, ConfigError, RecipeError

if TYPE_CHECKING:
    from autosre_lab.engine import Stack, StackStatus

__all__ = ["main"]

MISUSE = 2
FAILED = 1
NOT_READY = 3

EXAMPLES = """\b
Examples:
  autosre start                     serve the default recipe on this machine
  autosre claude -p "What is 2+2?"  ask Claude Code, which asks that engine
  autosre status                    what runs, and why not
  autosre stop                      end it
"""

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0, min_open=True)

Command = Callable[..., None]


def _explained(command: Command, *, failed: int = FAILED) -> Command:
    """Print an error that has a remedy as two lines instead of a traceback.

    Args:
        command: A command's function.
        failed: Exit code for errors that are not the caller's.
    """

    @functools.wraps(command)
    def explained(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except AutosreError as error:
            if click.get_current_context().find_root().params.get("debug"):
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(MISUSE if isinstance(error, (ConfigError, RecipeError)) else failed)

    return explained


class _PassedOn(click.Command):
    """A command that leaves each of its arguments to another program, `--` and `--help` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@click.version_option(__version__, prog_name="autosre")
@click.option("--debug", is_flag=True, help="Show tracebacks and log everything.")
@_explained
def main(*, debug: bool) -> None:
    """Claude Code on your own hardware."""
    from autosre_lab.logs import configure_logging
    from autosre_lab.settings import load_settings

    configure_logging("debug" if debug else load_settings().log_level)


@main.command()
@click.argument("recipe", required=False)
@click.option("--engine-port", type=PORT, metavar="PORT", help="vLLM's port; 0 for any.")
@click.option("--proxy-port", type=PORT, metavar="PORT", help="The proxy's port; 0 for any.")
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds to wait for the first token.")
@click.option("--no-wait", is_flag=True, help="Return as soon as the processes run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_explained
def start(
    *,
    recipe: str | None,
    engine_port: int | None,
    proxy_port: int | None,
    timeout: float | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Start the stack of RECIPE and wait for its first token.

    What is missing is installed first. Where it runs already, nothing happens.

    Example: autosre start smollm2-135m-cpu
    """
    from autosre_lab.engine import start as start_stack

    if no_wait:
        shown = start_stack(recipe, engine_port=engine_port, proxy_port=proxy_port, wait=False)
        _show_status(shown, as_json=as_json)
        return
    stack = start_stack(recipe, engine_port=engine_port, proxy_port=proxy_port, timeout_s=timeout)
    _show_stack(stack, as_json=as_json)


@main.command()
@click.option("--timeout", type=SECONDS, default=60.0, metavar="S", help="Seconds before a kill.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_explained
def stop(*, timeout: float, as_json: bool) -> None:
    """End the stack, and exactly the processes it was started as.

    Example: autosre stop
    """
    from autosre_lab.engine import stop as stop_stack

    _show_status(stop_stack(timeout_s=timeout), as_json=as_json)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_explained
def status(*, as_json: bool) -> None:
    """Say what runs, and where something ended, the likely cause.

    The exit code is 0 if the stack is ready, 3 if not.

    Example: autosre status --json
    """
    from autosre_lab.engine import status as stack_status

    found = stack_status()
    _show_status(found, as_json=as_json)
    if found.state != "ready":
        sys.exit(NOT_READY)


@main.command(cls=_PassedOn, options_metavar="", add_help_option=False)
@click.argument("arguments", nargs=-1)
@functools.partial(_explained, failed=MISUSE)  # 1 is Claude Code's own, passed through
def claude(*, arguments: tuple[str, ...]) -> None:
    """Run Claude Code on the stack, with Claude Code's own ARGUMENTS.

    The stack is started if it does not run. `autosre claude --help` shows our options, then
    Claude Code's.

    Example: autosre claude -p "What is the capital of France?"
    """
    from autosre_lab.claude.session import run_and_replace

    run_and_replace(arguments)


def _show_stack(stack: Stack, *, as_json: bool) -> None:
    # The token is left out: it would stand in a terminal's scrollback and in CI's logs.
    facts = {
        "recipe": stack.recipe_name,
        "model": stack.model,
        "window": stack.max_model_len,
        "engine": stack.engine_url,
        "proxy": stack.proxy_url,
        "logs": str(stack.log_dir),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        click.echo(f"{name:8}{value}")


def _show_status(status: StackStatus, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(status), indent=2, default=_plain))
        return
    click.echo(f"{status.recipe_name or 'stack'}: {status.state}")
    for service in status.services.values():
        line = f"  {service.name:7}{service.state}"
        if service.pid is not None:
            line += f"  pid {service.pid}  port {service.port}  up {service.uptime_s or 0:.0f} s"
        if service.restarts:
            line += f"  restarted {service.restarts}x"
        click.echo(line)
        if service.cause:
            click.echo(f"         likely cause: {service.cause}")
            click.echo(f"         what to do: {service.remedy}")
            click.echo(f"         log: {service.log_path}")


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)
