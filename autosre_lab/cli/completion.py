"""`autosre completion`: what makes a shell complete commands, options and names."""

from __future__ import annotations

import click

from autosre_lab.cli.explained import explained

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@explained
def completion(*, shell: str) -> None:
    r"""Print the completion script for SHELL: bash, zsh or fish.

    \b
    bash: add to ~/.bashrc:  eval "$(autosre completion bash)"
    zsh:  add to ~/.zshrc:   eval "$(autosre completion zsh)"
    fish: autosre completion fish > ~/.config/fish/completions/autosre.fish

    Example: autosre completion bash
    """
    from click.shell_completion import get_completion_class

    from autosre_lab.cli.main import main

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has these three
    click.echo(made(main, {}, "autosre", "_AUTOSRE_COMPLETE").source())
