"""Commands that leave each of their arguments to another program."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence

import click

from autosre_lab.cli.explained import MISUSE, explained

__all__ = ["claude", "codex", "preemption", "proxy", "study"]

STUDIES = {
    "agreement": "autosre_lab.studies.agreement.command",
    "gpu": "autosre_lab.studies.gpu.command",
    "harness-cost": "autosre_lab.studies.harness_cost",
    "preemption": "autosre_lab.studies.preemption",
    "proxy-overhead": "autosre_lab.studies.proxy_overhead.command",
    "start-cost": "autosre_lab.studies.start_cost",
}


class _PassedOn(click.Command):
    """A command that leaves each of its arguments to another program, `--` and `--help` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take all of them, as they are."""
        ctx.params["arguments"] = tuple(args)
        return []


passed_on = functools.partial(
    click.command,
    cls=_PassedOn,
    options_metavar="",
    add_help_option=False,
    params=[click.Argument(["arguments"], nargs=-1)],
)


@passed_on()
@functools.partial(explained, failed=MISUSE)  # 1 is Claude Code's own, passed through
def claude(*, arguments: tuple[str, ...]) -> None:
    """Run Claude Code on the stack, with Claude Code's own ARGUMENTS.

    The stack is started if it does not run. `autosre claude --help` shows our options, then
    Claude Code's.

    Example: autosre claude -p "What is the capital of France?"
    """
    _become("claude", arguments)


@passed_on()
@functools.partial(explained, failed=MISUSE)  # 1 is Codex's own, passed through
def codex(*, arguments: tuple[str, ...]) -> None:
    """Run OpenAI's Codex on the stack, with Codex's own ARGUMENTS.

    The stack is started if it does not run. `autosre codex --help` shows our options, then
    Codex's.

    Example: autosre codex exec "What is the capital of France?"
    """
    _become("codex", arguments)


@passed_on()
@explained
def proxy(*, arguments: tuple[str, ...]) -> None:
    """Run only the proxy, in front of a vLLM that runs elsewhere.

    Example: autosre proxy 8011 http://host:8010
    """
    _run("autosre_lab.proxy.__main__", arguments)


@passed_on()
@explained
def preemption(*, arguments: tuple[str, ...]) -> None:
    """Install the scheduler's hook for a vLLM whose command line cannot be changed.

    Example: autosre preemption install --python /opt/venv/bin/python
    """
    _run("autosre_lab.preemption.__main__", arguments)


@passed_on()
@explained
def study(*, arguments: tuple[str, ...]) -> None:
    """Repeat a study: agreement, gpu, harness-cost, preemption, proxy-overhead, start-cost.

    Example: autosre study harness-cost
    """
    if not arguments or arguments[0] not in STUDIES:
        asked = f"no study {arguments[0]!r}; " if arguments and arguments[0][:1] != "-" else ""
        click.echo(f"{asked}usage: autosre study NAME [--help]\n  NAME: {', '.join(STUDIES)}")
        sys.exit(MISUSE if asked or not arguments else 0)
    _run(STUDIES[arguments[0]], arguments[1:])


def _become(agent: str, arguments: Sequence[str]) -> None:
    from autosre_lab.agents.named import agent_named
    from autosre_lab.agents.session import run_and_replace

    run_and_replace(agent_named(agent), arguments)


def _run(module: str, arguments: Sequence[str]) -> None:
    sys.exit(importlib.import_module(module).main(list(arguments)))
