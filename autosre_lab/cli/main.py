"""The command line: thin over the library, and quick to start."""

from __future__ import annotations

import functools
import warnings

import click

from autosre_lab import __version__
from autosre_lab.cli.bench import bench
from autosre_lab.cli.chart import chart, image
from autosre_lab.cli.cluster import drift, preflight
from autosre_lab.cli.evaluation import evaluation
from autosre_lab.cli.explained import MISUSE, explained
from autosre_lab.cli.report import report
from autosre_lab.cli.stack import start, status, stop, switch
from autosre_lab.cli.tuning import tune
from autosre_lab.cli.ui import ui
from autosre_lab.cli.watch import metrics, watch

__all__ = ["main"]

EXAMPLES = """\b
Examples:
  autosre start                     serve the default recipe on this machine
  autosre claude -p "What is 2+2?"  ask Claude Code, which asks that engine
  autosre status                    what runs, and why not
  autosre stop                      end it
"""


class _PassedOn(click.Command):
    """A command that leaves each of its arguments to another program, `--` and `--help` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@click.version_option(__version__, prog_name="autosre")
@click.option("--debug", is_flag=True, help="Show tracebacks and log everything.")
@explained
def main(*, debug: bool) -> None:
    """Claude Code on your own hardware."""
    from autosre_lab.logs import configure_logging
    from autosre_lab.settings import load_settings

    # The log says it too.
    warnings.filterwarnings("ignore", module=r"autosre_lab\.lifecycle")
    configure_logging("debug" if debug else load_settings().log_level)


@main.command(cls=_PassedOn, options_metavar="", add_help_option=False)
@click.argument("arguments", nargs=-1)
@functools.partial(explained, failed=MISUSE)  # 1 is Claude Code's own, passed through
def claude(*, arguments: tuple[str, ...]) -> None:
    """Run Claude Code on the stack, with Claude Code's own ARGUMENTS.

    The stack is started if it does not run. `autosre claude --help` shows our options, then
    Claude Code's.

    Example: autosre claude -p "What is the capital of France?"
    """
    from autosre_lab.agents.claude.session import run_and_replace

    run_and_replace(arguments)


for _command in (
    *(bench, chart, drift, evaluation, image, metrics, preflight, report),
    *(start, status, stop, switch),
    *(tune, ui, watch),
):
    main.add_command(_command)
