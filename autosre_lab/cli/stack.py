"""start, switch, stop, status: the stack's life."""

from __future__ import annotations

import sys

import click

from autosre_lab.cli.explained import NOT_READY, explained
from autosre_lab.cli.options import PORT, RECIPE, SECONDS, dry_run_option, place_option
from autosre_lab.cli.output import Format, output_option
from autosre_lab.cli.showing import show_plan, show_stack, show_status

__all__ = ["start", "status", "stop", "switch"]


@click.command()
@click.argument("recipe", required=False, type=RECIPE)
@place_option
@click.option("--engine-port", type=PORT, metavar="PORT", help="vLLM's port; 0 for any.")
@click.option("--proxy-port", type=PORT, metavar="PORT", help="The proxy's port; 0 for any.")
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds to wait for the first token.")
@click.option("--no-wait", is_flag=True, help="Return as soon as everything is on its way.")
@click.option(
    "--dedicated",
    is_flag=True,
    help="In a cluster: take the GPU from everything else until `autosre stop`.",
)
@dry_run_option
@output_option
@explained
def start(
    *,
    recipe: str | None,
    place: str | None,
    engine_port: int | None,
    proxy_port: int | None,
    timeout: float | None,
    no_wait: bool,
    dedicated: bool,
    dry_run: bool,
    output: Format,
) -> None:
    """Start the stack of RECIPE and wait for its first token.

    What is missing is installed first. If it is running already, nothing happens.

    Example: autosre start smollm2-135m-cpu
    """
    from autosre_lab import lifecycle

    if dry_run:
        show_plan(recipe, place=place, output=output)
        return
    if no_wait:
        stack = lifecycle.start(
            recipe,
            place=place,
            engine_port=engine_port,
            proxy_port=proxy_port,
            dedicated=dedicated,
            wait=False,
        )
        show_status(stack.status(), output=output)
        return
    stack = lifecycle.start(
        recipe,
        place=place,
        engine_port=engine_port,
        proxy_port=proxy_port,
        dedicated=dedicated,
        timeout_s=timeout,
    )
    show_stack(stack, output=output)


@click.command()
@click.argument("recipe", type=RECIPE)
@place_option
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds to wait for the first token.")
@dry_run_option
@output_option
@explained
def switch(
    *, recipe: str, place: str | None, timeout: float | None, dry_run: bool, output: Format
) -> None:
    """Replace what is running with RECIPE.

    In a cluster sessions wait meanwhile instead of ending, and a recipe that does not come up is
    replaced by the one before.

    Example: autosre switch qwen3-coder-30b-a3b-fp8
    """
    from autosre_lab import lifecycle

    if dry_run:
        show_plan(recipe, place=place, output=output)
        return
    show_stack(lifecycle.switch(recipe, place=place, timeout_s=timeout), output=output)


@click.command()
@place_option
@click.option("--timeout", type=SECONDS, default=60.0, metavar="S", help="Seconds before a kill.")
@dry_run_option
@output_option
@explained
def stop(*, place: str | None, timeout: float, dry_run: bool, output: Format) -> None:
    """Stop the engine and proxy that `start` launched; touch nothing else.

    Example: autosre stop
    """
    from autosre_lab import lifecycle

    if dry_run:
        show_status(lifecycle.status(place=place), output=output, head="would be stopped: ")
        return
    show_status(lifecycle.stop(place=place, timeout_s=timeout), output=output)


@click.command()
@place_option
@click.option("--check", is_flag=True, help="Also ask the engine what it and its template can do.")
@output_option
@explained
def status(*, place: str | None, check: bool, output: Format) -> None:
    """Show what is running; where a service has stopped, the likely cause.

    The exit code is 0 if the stack is ready, 3 if not.

    Example: autosre status --json
    """
    from autosre_lab import lifecycle
    from autosre_lab.proxy.findings import engine_findings

    found = lifecycle.status(place=place)
    if check and found.state == "ready":
        stack = lifecycle.wait_ready(place=place)
        findings = engine_findings(stack.engine_url, api_key=stack.engine_key)
        show_status(found, output=output, findings=findings)
    else:
        show_status(found, output=output)
    if found.state != "ready":
        sys.exit(NOT_READY)
