"""Commands that are imported when they are used, and a help page in sections."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from autosre_lab.cli.explained import FAILED, refused_by_the_system

__all__ = ["CommandEntry", "LazyCommands", "SectionedGroup"]


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """Where a command is, and what the list of commands says of it.

    Attributes:
        target: ``module:attribute``, inside `autosre_lab`.
        help: The first line of its help; a test holds the two together.
        section: Where it stands in the list.
    """

    target: str
    help: str
    section: str


class LazyCommands(dict[str, click.Command]):
    """Commands by name; each is imported when it is asked for.

    A real dict, because that is what click takes; it holds the names, and loads on access.
    """

    def __init__(self, entries: Mapping[str, CommandEntry]) -> None:
        super().__init__(dict.fromkeys(entries))  # type: ignore[arg-type]
        self.entries = dict(entries)

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self.entries[name].target.partition(":")
        command = getattr(importlib.import_module(f"autosre_lab.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a test loads every one
        return command

    def get(self, name: str, default: object = None) -> click.Command | None:  # type: ignore[override]
        """Return a command, None where there is none of that name."""
        return self[name] if name in self.entries else None

    def values(self) -> Iterator[click.Command]:  # type: ignore[override]
        """Yield every command, which imports all of them."""
        return (self[name] for name in self.entries)

    def items(self) -> Iterator[tuple[str, click.Command]]:  # type: ignore[override]
        """Yield every command with its name, which imports all of them."""
        return ((name, self[name]) for name in self.entries)


class SectionedGroup(click.Group):
    """A group whose help lists its commands by section and imports none of them."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; help and version are printed before any command could explain an error."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            click.echo(f"error: {refused_by_the_system(error)}", err=True)
            sys.exit(FAILED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = self.commands
        assert isinstance(commands, LazyCommands)  # noqa: S101 - it is made with them
        width = max(len(name) for name in commands)
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in commands.entries.items():
            sections.setdefault(entry.section, []).append((name.ljust(width), entry.help))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)
