"""start, switch, stop, status: the stack's life."""

from __future__ import annotations

import sys

import click

from autosre_lab.cli.explained import NOT_READY, explained
from autosre_lab.cli.showing import show_stack, show_status

__all__ = ["start", "status", "stop", "switch"]

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0, min_open=True)
PLACE = click.option(
    "--place",
    type=click.Choice(["local", "cluster"]),
    help="As processes of this machine, or as Pods of the cluster KUBECONFIG names.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.command()
@click.argument("recipe", required=False)
@PLACE
@click.option("--engine-port", type=PORT, metavar="PORT", help="vLLM's port; 0 for any.")
@click.option("--proxy-port", type=PORT, metavar="PORT", help="The proxy's port; 0 for any.")
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds to wait for the first token.")
@click.option("--no-wait", is_flag=True, help="Return as soon as everything is on its way.")
@click.option(
    "--dedicated",
    is_flag=True,
    help="In a cluster: take the GPU from everything else until `autosre stop`.",
)
@JSON
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
    as_json: bool,
) -> None:
    """Start the stack of RECIPE and wait for its first token.

    What is missing is installed first. Where it runs already, nothing happens.

    Example: autosre start smollm2-135m-cpu
    """
    from autosre_lab import lifecycle

    if no_wait:
        stack = lifecycle.start(
            recipe,
            place=place,
            engine_port=engine_port,
            proxy_port=proxy_port,
            dedicated=dedicated,
            wait=False,
        )
        show_status(stack.status(), as_json=as_json)
        return
    stack = lifecycle.start(
        recipe,
        place=place,
        engine_port=engine_port,
        proxy_port=proxy_port,
        dedicated=dedicated,
        timeout_s=timeout,
    )
    show_stack(stack, as_json=as_json)


@click.command()
@click.argument("recipe")
@PLACE
@click.option("--timeout", type=SECONDS, metavar="S", help="Seconds to wait for the first token.")
@JSON
@explained
def switch(*, recipe: str, place: str | None, timeout: float | None, as_json: bool) -> None:
    """Serve RECIPE in the place of what runs.

    In a cluster sessions wait meanwhile instead of ending, and a recipe that does not come up is
    replaced by the one before.

    Example: autosre switch qwen3-coder-30b-a3b-fp8
    """
    from autosre_lab import lifecycle

    show_stack(lifecycle.switch(recipe, place=place, timeout_s=timeout), as_json=as_json)


@click.command()
@PLACE
@click.option("--timeout", type=SECONDS, default=60.0, metavar="S", help="Seconds before a kill.")
@JSON
@explained
def stop(*, place: str | None, timeout: float, as_json: bool) -> None:
    """End the stack, and exactly what it was started as.

    Example: autosre stop
    """
    from autosre_lab import lifecycle

    show_status(lifecycle.stop(place=place, timeout_s=timeout), as_json=as_json)


@click.command()
@PLACE
@JSON
@explained
def status(*, place: str | None, as_json: bool) -> None:
    """Say what runs, and where something ended, the likely cause.

    The exit code is 0 if the stack is ready, 3 if not.

    Example: autosre status --json
    """
    from autosre_lab import lifecycle

    found = lifecycle.status(place=place)
    show_status(found, as_json=as_json)
    if found.state != "ready":
        sys.exit(NOT_READY)
