"""`autosre boot-unit`: the stack, started with the machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import RECIPE

__all__ = ["boot_unit"]


@click.command("boot-unit")
@click.argument("recipe", required=False, type=RECIPE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it here.")
@explained
def boot_unit(*, recipe: str | None, out: Path | None) -> None:
    """Print a systemd unit that starts RECIPE on this machine at boot.

    Example: autosre boot-unit --out ~/.config/systemd/user/autosre.service
    """
    from autosre_lab.local.boot_unit import boot_unit as made
    from autosre_lab.recipe import load_recipe
    from autosre_lab.recipe.sources import looks_like_path
    from autosre_lab.settings import load_settings

    wanted = recipe or load_settings().recipe
    named = str(Path(wanted).expanduser().absolute()) if looks_like_path(wanted) else wanted
    text = made(load_recipe(wanted), os.environ, named=named)
    if out is None:
        click.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    click.echo(
        f"{out}\nnext: systemctl --user daemon-reload; systemctl --user enable --now {out.stem}"
    )
