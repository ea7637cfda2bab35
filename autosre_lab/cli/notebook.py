"""`autosre notebook`: the shipped notebooks, and running one without a browser."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import NOTEBOOK
from autosre_lab.cli.output import Format, output_option, show, table_text

__all__ = ["notebook"]


@click.group()
def notebook() -> None:
    """List the notebooks, and run one from top to bottom without a browser.

    Example: autosre notebook run observe -p SECONDS=30
    """


@notebook.command("list")
@output_option
@explained
def list_notebooks(*, output: Format) -> None:
    """List the notebooks and their parameters.

    Example: autosre notebook list
    """
    from autosre_lab.notebooks.parameters import notebook_parameters
    from autosre_lab.notebooks.shipped import find_notebook, notebook_names

    rows = [
        {
            "notebook": name,
            "parameter": one.name,
            "kind": one.kind,
            "default": one.default,
            "help": one.help,
        }
        for name in notebook_names()
        for one in notebook_parameters(find_notebook(name)).values()
    ]
    show(rows, output=output, text=lambda: table_text(rows))


@notebook.command()
@click.argument("name", type=NOTEBOOK)
@click.option("-p", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter's value.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Where the results are written."
)
@click.option("--timeout", default=1800.0, show_default=True, metavar="S", help="For one cell.")
@explained
def run(*, name: str, parameters: tuple[str, ...], out: Path | None, timeout: float) -> None:
    """Run notebook NAME, and write the notebook, a page and summary.json.

    Example: autosre notebook run benchmark -p WORKLOAD=smoke
    """
    from autosre_lab.notebooks.__main__ import main as run_notebook

    given = [word for pair in parameters for word in ("-p", pair)]
    folder = [] if out is None else ["--out", str(out)]
    sys.exit(run_notebook(["run", name, *given, *folder, "--timeout", str(timeout)]))
