"""`autosre cache`: what is installed and cached here, and what of it can go."""

from __future__ import annotations

import sys

import click

from autosre_lab.cli.explained import FAILED, explained
from autosre_lab.cli.output import Format, output_option, plain, show, table_text

__all__ = ["cache"]


@click.group()
def cache() -> None:
    """List what is installed and cached on this machine, and delete what nothing needs.

    Example: autosre cache ls
    """


@cache.command("ls")
@output_option
@explained
def list_items(*, output: Format) -> None:
    """List engines, models, agents and caches with their sizes, and what needs them.

    Example: autosre cache ls
    """
    from autosre_lab.provision.storage import stored_items

    items = stored_items(running=_something_runs())
    rows = [
        {
            "size": _size(one.size_bytes),
            "kind": one.kind,
            "name": one.name,
            "needed by": one.used_by or ("nothing" if one.prunable else "not ours"),
        }
        for one in items
    ]
    total = f"{_size(sum(one.size_bytes for one in items))} in all"
    show(items, output=output, text=lambda: f"{table_text(rows)}\n{total}")


@cache.command()
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@explained
def prune(*, dry_run: bool, yes: bool, output: Format) -> None:
    """Delete caches, leftovers, and engines, models and agents that no recipe needs.

    Example: autosre cache prune --dry-run
    """
    from autosre_lab.provision.storage import prune_storage, stored_items

    items = [one for one in stored_items(running=_something_runs()) if one.prunable]
    freed = sum(one.size_bytes for one in items)
    if items and not dry_run and not yes:
        for one in items:
            click.echo(f"{_size(one.size_bytes):>9}  {one.kind} {one.name}", err=True)
        if not sys.stdin.isatty():
            click.echo("error: nobody is there to ask\n  what to do: add --yes", err=True)
            sys.exit(FAILED)
        click.confirm(f"Delete these, {_size(freed)}?", abort=True, err=True)
    if not dry_run:
        prune_storage(items)
    said = "would free" if dry_run else "freed"

    def text() -> str:
        lines = [f"{_size(one.size_bytes):>9}  {one.kind} {one.name}" for one in items]
        return "\n".join([*lines, f"{said} {_size(freed)}"])

    facts = {"dry_run": dry_run, "freed_bytes": freed, "items": plain(items)}
    show(facts, output=output, text=text, rows=items)


def _something_runs() -> bool:
    from autosre_lab.lifecycle import status

    return status(place="local").state != "stopped"


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
