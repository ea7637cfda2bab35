"""preflight and drift: can a recipe be started, and does what runs follow it."""

from __future__ import annotations

import sys

import click

from autosre_lab.cli.explained import FAILED, explained
from autosre_lab.cli.options import RECIPE, place_option
from autosre_lab.cli.output import Format, output_option, show

__all__ = ["drift", "preflight"]


@click.command()
@click.argument("recipe", required=False, type=RECIPE)
@place_option
@output_option
@explained
def preflight(*, recipe: str | None, place: str | None, output: Format) -> None:
    """Say what this machine or the cluster lacks for RECIPE, and how to fix it.

    The exit code is 0 if nothing stands in the way, 1 if something does.

    Example: autosre preflight qwen3.6-35b-a3b-nvfp4
    """
    from autosre_lab.lifecycle import preflight as check_place

    report = check_place(recipe, place=place)
    facts = report.as_dict()
    show(facts, output=output, text=report.as_text, rows=facts["checks"])
    if not report.passed:
        sys.exit(FAILED)


@click.command()
@click.argument("recipe", required=False, type=RECIPE)
@place_option
@click.option(
    "--api-port", type=int, help="Where the engine that is meant listens, if not the stack's."
)
@click.option("--strict", is_flag=True, help="Exit with 4 if anything differs, for CI.")
@click.option(
    "--take-over", is_flag=True, help="Print a recipe of what the cluster's Pod runs instead."
)
@output_option
@explained
def drift(
    *,
    recipe: str | None,
    place: str | None,
    api_port: int | None,
    strict: bool,
    take_over: bool,
    output: Format,
) -> None:
    """Compare what runs with what RECIPE would run.

    The exit code is 0 if nothing differs or without --strict, 4 if something does, 3 if it could
    not be compared.

    Example: autosre drift --strict
    """
    if take_over:
        from autosre_lab.cluster.options import configured_client
        from autosre_lab.parity import recipe_from_pod

        click.echo(recipe_from_pod(configured_client()).yaml, nl=False)
        return
    from autosre_lab.lifecycle import find_drift

    report = find_drift(recipe, api_port, place=place)
    show(report.to_json(), output=output, text=lambda: str(report))
    if code := report.exit_code(strict=strict):
        sys.exit(code)
