"""`autosre backends`: what can serve, here, in the cluster, and where somebody else runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from autosre_lab.cli.explained import NOT_READY, explained
from autosre_lab.cli.output import Format, output_option, show, table_text

__all__ = ["backends"]

_KEY = click.option(
    "--engine-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File whose content is the engine's key; AUTOSRE_ENGINE_KEY otherwise.",
)


@click.group()
def backends() -> None:
    """List what can serve: here, in the cluster, and engines that somebody else runs.

    Example: autosre backends list
    """


@backends.command("list")
@click.option("--url", "urls", multiple=True, help="An engine elsewhere; may be repeated.")
@_KEY
@output_option
@explained
def list_engines(*, urls: tuple[str, ...], engine_key_file: Path | None, output: Format) -> None:
    """List the stack here, that of the cluster, and engines elsewhere: state, model, version.

    Example: autosre backends list --url http://gpu-box:8000
    """
    from autosre_lab.cli.output import plain
    from autosre_lab.lifecycle.backends import engines

    found = engines(urls, key=_key(engine_key_file))
    show(found, output=output, text=lambda: table_text(plain(found)))


@backends.command()
@click.argument("url")
@_KEY
@output_option
@explained
def check(*, url: str, engine_key_file: Path | None, output: Format) -> None:
    """Say whether the engine at URL can be used, and how; the exit code is 3 if it cannot.

    Example: autosre backends check http://gpu-box:8000
    """
    from autosre_lab.lifecycle.backends import engine_at

    found = engine_at(url, key=_key(engine_key_file))

    def text() -> str:
        lines = [f"{found.url}: {found.state}" + (f": {found.why}" if found.why else "")]
        if found.state == "ready":
            lines.append(
                f"  {found.model}, window {found.window:,} tokens, "
                f"vLLM {found.version or '(no version told)'}"
            )
        return "\n".join([*lines, f"  what to do: {found.remedy}"])

    show(found, output=output, text=text)
    if found.state != "ready":
        sys.exit(NOT_READY)


def _key(file: Path | None) -> str | None:
    from autosre_lab.serving.token import read_token

    return read_token("AUTOSRE_ENGINE_KEY", file, option="--engine-key-file")
