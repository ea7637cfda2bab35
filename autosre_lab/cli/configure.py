"""`autosre configure`: the settings of this machine, shown, changed and explained."""

from __future__ import annotations

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import SETTING
from autosre_lab.cli.output import Format, output_option, show, table_text

__all__ = ["configure"]


@click.group(invoke_without_command=True)
@click.pass_context
def configure(context: click.Context) -> None:
    """Show, change and explain the folders and settings of this machine.

    Without a command it shows them all.

    Example: autosre configure
    """
    if context.invoked_subcommand is None:
        context.invoke(show_all, output="table")


@configure.command("show")
@output_option
@explained
def show_all(*, output: Format) -> None:
    """Show every folder and setting, its value and where the value comes from.

    Example: autosre configure show -o json
    """
    from autosre_lab.settings import show_settings

    rows = [{"setting": name, **found} for name, found in show_settings().items()]
    show(rows, output=output, text=lambda: table_text(rows))


@configure.command("set")
@click.argument("setting", type=SETTING)
@click.argument("value")
@click.option("--dry-run", is_flag=True, help="Print the file as it would be, write nothing.")
@explained
def set_value(*, setting: str, value: str, dry_run: bool) -> None:
    """Write SETTING with its VALUE into settings.yaml.

    Example: autosre configure set proxy_port 9011
    """
    _change(setting, value, dry_run=dry_run)


@configure.command()
@click.argument("setting", type=SETTING)
@click.option("--dry-run", is_flag=True, help="Print the file as it would be, write nothing.")
@explained
def unset(*, setting: str, dry_run: bool) -> None:
    """Take SETTING out of settings.yaml, so that its default is in force again.

    Example: autosre configure unset proxy_port
    """
    _change(setting, None, dry_run=dry_run)


@configure.command()
@click.argument("settings", nargs=-1, type=SETTING)
@output_option
@explained
def explain(*, settings: tuple[str, ...], output: Format) -> None:
    """Explain SETTINGS, or all of them: what each decides, takes, and is called as a variable.

    Example: autosre configure explain proxy_port
    """
    from autosre_lab.settings_file import explain_settings

    found = explain_settings(*settings)

    def text() -> str:
        return "\n\n".join(
            f"{one.setting} = {one.value or '(empty)'}   ({one.source})\n"
            f"  {one.meaning}\n"
            f"  takes: {one.takes}; by default {one.default or '(empty)'}\n"
            f"  variable: {one.variable}"
            for one in found
        )

    show(found, output=output, text=text)


def _change(setting: str, value: str | None, *, dry_run: bool) -> None:
    from autosre_lab.settings_file import explain_settings, set_setting

    file, text = set_setting(setting, value, dry_run=dry_run)
    if dry_run:
        click.echo(text.rstrip())
        return
    click.echo(f"{file}: changed; what runs keeps what it was started with")
    (now,) = explain_settings(setting)
    if now.source == now.variable:
        click.echo(f"note: {now.variable}={now.value} is set, and is stronger than the file")
