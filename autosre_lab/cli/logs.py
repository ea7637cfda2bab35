"""`autosre logs`: what engine and proxy have written, and what they go on to write."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import place_option

if TYPE_CHECKING:
    from autosre_lab.metrics import LogLine

__all__ = ["logs"]

POLL_S = 0.5


@click.command()
@click.argument("service", required=False, type=click.Choice(["engine", "proxy"]))
@place_option
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="COUNT",
    help="So many of the last lines of each.",
)
@click.option("--all", "everything", is_flag=True, help="The polls of /health and /metrics too.")
@explained
def logs(
    *, service: str | None, place: str | None, follow: bool, lines: int, everything: bool
) -> None:
    """Show the last lines of the engine's and the proxy's log; also of a stack that has ended.

    Example: autosre logs -f engine
    """
    from autosre_lab.lifecycle import stack_logs

    def wanted(found: Iterable[LogLine]) -> list[LogLine]:
        return [
            line
            for line in found
            if service in (None, line.source) and (everything or not line.is_poll)
        ]

    def write(found: Iterable[LogLine]) -> None:
        for line in found:
            click.echo(f"{line.source} | {line.text}" if service is None else line.text)

    with stack_logs(place=place, lines=lines) as feed:
        at_first = wanted(feed.read())
        for source in dict.fromkeys(line.source for line in at_first):
            own = [line for line in at_first if line.source == source]
            write(own[len(own) - lines :] if len(own) > lines else own)
        while follow:
            time.sleep(POLL_S)
            write(wanted(feed.read()))
