"""``autosre notebook``: list and run the shipped notebooks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from autosre_lab.errors import AutosreError
from autosre_lab.notebooks.page import write_page
from autosre_lab.notebooks.parameters import notebook_parameters, parse_parameters
from autosre_lab.notebooks.running import run_dir, run_notebook
from autosre_lab.notebooks.shipped import find_notebook, notebook_names
from autosre_lab.private_files import in_words


def main(argv: list[str] | None = None) -> int:
    """Run it.

    Returns:
        0; 1 where a cell or something else failed; 2 for wrong arguments.
    """
    parser = argparse.ArgumentParser(prog="autosre notebook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the notebooks and their parameters")
    run = commands.add_parser("run", help="execute one from top to bottom")
    run.add_argument("name", help="a shipped one, such as quickstart, or a path")
    run.add_argument("-p", action="append", default=[], metavar="KEY=VALUE", dest="parameters")
    run.add_argument("--out", type=Path, metavar="DIR", help="where notebook, page and summary go")
    run.add_argument("--timeout", type=float, default=1800.0, metavar="S", help="for one cell")
    options = parser.parse_args(argv)
    try:
        if options.command == "list":
            _list()
        else:
            _run(options.name, options.parameters, options.out, options.timeout)
    except (AutosreError, OSError) as error:
        sys.stderr.write(f"error: {in_words(error)}\n")
        return 2 if isinstance(error, ValueError) else 1
    except Exception as error:
        if type(error).__name__ != "PapermillExecutionError":
            raise
        sys.stderr.write(f"error: a cell failed: {error}\n")
        return 1
    return 0


def _list() -> None:
    for name in notebook_names():
        sys.stdout.write(f"{name}\n")
        for one in notebook_parameters(find_notebook(name)).values():
            sys.stdout.write(f"  {one.name}: {one.kind} = {one.default}  {one.help}\n")


def _run(name: str, pairs: list[str], out: Path | None, timeout_s: float) -> None:
    path = find_notebook(name)
    parameters = parse_parameters(pairs, notebook_parameters(path))
    folder = run_dir(path.stem) if out is None else out.resolve()
    executed = folder / f"{path.stem}.ipynb"
    try:
        summary = run_notebook(path, executed, parameters, timeout_s=timeout_s)
    finally:
        if executed.exists():
            sys.stderr.write(f"{executed}\n{write_page(executed)}\n")
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
