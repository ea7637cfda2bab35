"""`autosre ui`: the live dashboard as a page."""

from __future__ import annotations

import os

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import NOTEBOOK

__all__ = ["ui"]


@click.command()
@click.argument("notebook", default="observe", type=NOTEBOOK)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8012, show_default=True, help="The port."
)
@click.option("--open", "open_browser", is_flag=True, help="Open it in this machine's browser.")
@explained
def ui(*, notebook: str, host: str, port: int, open_browser: bool) -> None:
    """Serve the dashboard, or another NOTEBOOK, as a page.

    The page's address has a token; without it nobody gets in. Ctrl-C ends it.

    Example: autosre ui --port 8012
    """
    from autosre_lab.notebooks.serving import page_server

    server = page_server(notebook, host=host, port=port, open_browser=open_browser)
    click.echo(server.url)
    os.execve(server.command[0], server.command, server.environ)  # noqa: S606 - no shell is meant
