"""preflight and drift: can a recipe be started, and does what runs follow it."""

from __future__ import annotations

import json
import sys

import click

from autosre_lab.cli.explained import FAILED, explained
from autosre_lab.cli.stack import JSON, PLACE

__all__ = ["drift", "preflight"]


@click.command()
@click.argument("recipe", required=False)
@PLACE
@JSON
@explained
def preflight(*, recipe: str | None, place: str | None, as_json: bool) -> None:
    """Say what this machine or the cluster lacks for RECIPE, and how to mend it.

    The exit code is 0 if nothing stands in the way, 1 if something does.

    Example: autosre preflight qwen3.6-35b-a3b-nvfp4
    """
    from autosre_lab.lifecycle import preflight as look

    report = look(recipe, place=place)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        click.echo(report.as_text())
    if not report.passed:
        sys.exit(FAILED)


@click.command()
@click.argument("recipe", required=False)
@PLACE
@click.option("--strict", is_flag=True, help="Exit with 4 if anything differs, for CI.")
@JSON
@explained
def drift(*, recipe: str | None, place: str | None, strict: bool, as_json: bool) -> None:
    """Compare what runs with what RECIPE would run.

    The exit code is 0 if nothing differs or without --strict, 4 if something does, 3 if nobody can
    tell.

    Example: autosre drift --strict
    """
    from autosre_lab.lifecycle import find_drift

    report = find_drift(recipe, place=place)
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else str(report))
    if code := report.exit_code(strict=strict):
        sys.exit(code)
