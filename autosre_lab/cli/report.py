"""`autosre report`: everything measured, as one page and one JSON file."""

from __future__ import annotations

from pathlib import Path

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import LEVELS, place_option

__all__ = ["report"]

_FOLDER = click.Path(file_okay=False, path_type=Path)
_OUT = click.option("--out", type=_FOLDER, required=True, help="Where to write the report.")
_TITLE = click.option("--title", default="autosre report", show_default=True, help="The page's.")


@click.group()
def report() -> None:
    """Report what was measured, as HTML and JSON.

    Example: autosre report run --out report
    """


@report.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@_OUT
@_TITLE
@explained
def make(*, sources: tuple[Path, ...], out: Path, title: str) -> None:
    """Report what is in SOURCES: cards, evaluations, recordings, request logs, experiments.

    Example: autosre report make results/ tuning/ --out report
    """
    from autosre_lab.report import gather, write_report

    click.echo(str(write_report(gather(sources), out, title=title)))


@report.command()
@_OUT
@_TITLE
@click.option(
    "--levels",
    type=LEVELS,
    metavar="LEVELS",
    default="L0,L1",
    show_default=True,
    help="Of the evaluation: L0, L1, L2, L3, with commas between; '' for none.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="So many scenarios of L2 and problems of L3."
)
@click.option("--quick", is_flag=True, help="A little of each, to see that it works.")
@click.option(
    "--also",
    multiple=True,
    type=click.Path(path_type=Path),
    help="More to report, such as an experiment's folder.",
)
@place_option
@explained
def run(
    *,
    place: str | None,
    out: Path,
    title: str,
    levels: tuple[str, ...],
    limit: int | None,
    quick: bool,
    also: tuple[Path, ...],
) -> None:
    """Evaluate and measure the stack, and report it; it is started if it does not run.

    Example: autosre report run --quick --out report
    """
    from autosre_lab.lifecycle import start, status, wait_ready
    from autosre_lab.proxy.key_usage import key_usage
    from autosre_lab.report import gather, measure_stack, write_report

    running = status(place=place).state in ("ready", "starting")
    stack = wait_ready(place=place) if running else start(place=place)
    log = stack.request_log
    used = [log] if log is not None and key_usage(log, owner=False) else []
    where = measure_stack(
        stack,
        out / "results",
        levels=levels,
        limit=limit,
        quick=quick,
    )
    click.echo(str(write_report(gather([where, *also, *used]), out, title=title)))
