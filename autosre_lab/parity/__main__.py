"""`autosre drift` for a Pod or a process that is named; the exit code is for CI."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from autosre_lab.cluster.kube import KubeClient
from autosre_lab.errors import AutosreError
from autosre_lab.parity.report import EXIT_UNKNOWN
from autosre_lab.settings import load_settings, paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe


@click.command()
@click.argument("recipe", required=False)
@click.option("--strict", is_flag=True, help="Exit with 4 where anything differs.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--place",
    type=click.Choice(["local", "cluster"]),
    default="local",
    show_default=True,
    help="Where to look: processes of this machine, or Pods.",
)
@click.option("--namespace", default="autosre", show_default=True, help="Of the Pods.")
@click.option("--pod", help="The engine's Pod, if not the running one.")
@click.option("--pid", type=int, help="The engine's process here, if not the stack's.")
@click.option("--take-over", is_flag=True, help="Print a recipe of what the Pod runs instead.")
def main(
    recipe: str | None,
    *,
    strict: bool,
    as_json: bool,
    place: str,
    namespace: str,
    pod: str | None,
    pid: int | None,
    take_over: bool,
) -> None:
    """Compare what runs with RECIPE, by default the one that was started.

    Exits with 0, with 4 for a difference under --strict, or with 3 where something could not be
    compared.
    """
    try:
        client = _client(namespace) if place == "cluster" or take_over else None
        if take_over and client is not None:
            from autosre_lab.parity.from_pod import recipe_from_pod

            click.echo(recipe_from_pod(client, pod).yaml, nl=False)
            return
        from autosre_lab.parity.drift import find_drift

        report = find_drift(recipe or _started(client), client=client, pod=pod, pid=pid)
    except AutosreError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_UNKNOWN)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        click.echo(report.table())
    sys.exit(report.exit_code(strict=strict))


def _client(namespace: str) -> KubeClient:
    from autosre_lab.cluster.kubeconfig import connect

    return connect(namespace=namespace)


def _started(client: KubeClient | None) -> Recipe | str:
    """Return the recipe that was started; the usual one where nothing was."""
    if client is not None:
        from autosre_lab.cluster.release import read_release

        release = read_release(client)
        return release.recipe if release is not None else load_settings().recipe
    from autosre_lab.local.stack_files import StackFiles

    note = StackFiles(paths().state).read()
    return note.recipe_name if note is not None else load_settings().recipe


if __name__ == "__main__":
    main()
