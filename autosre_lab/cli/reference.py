"""docs/commands.md from the live commands: ``python -m autosre_lab.cli.reference FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from autosre_lab.cli.lazy import LazyCommands
from autosre_lab.cli.main import main as group
from autosre_lab.private_files import write_whole

__all__ = ["command_reference", "main"]

HEAD = """\
# Commands

Every command of `autosre`, as `autosre COMMAND --help` shows it. This page is written by
`make docs`, and a test checks that it is current: edit the help texts instead. Every command that
prints a result takes `-o table|json|yaml|csv` (`--json` for short), and every one that looks at a
stack takes `--place local|cluster`.

| exit code | means |
| --: | --- |
| 0 | done |
| 1 | it failed, and says why and what to do |
| 2 | the command line, a setting or a recipe is wrong |
| 3 | the stack is not ready, or `drift` could not compare |
| 4 | `drift --strict` found a difference |
| 130 | Ctrl-C |

`autosre claude` ends with Claude Code's own code; our failures before it starts end with 2.
"""

PASSED_ON = {
    "claude": "autosre claude --help",
    "codex": "autosre codex --help",
    "proxy": "autosre proxy --help",
    "preemption": "autosre preemption --help",
    "study": "autosre study NAME --help",
}


def command_reference() -> str:
    """Return the page."""
    parts = [HEAD]
    context = click.Context(group, info_name="autosre", **group.context_settings)
    commands = group.commands
    assert isinstance(commands, LazyCommands)  # noqa: S101 - it is made with them
    section = ""
    for name, entry in commands.entries.items():
        if entry.section != section:
            section = entry.section
            parts.append(f"## {section}\n")
        parts += _described(commands[name], context, name)
    return "\n".join(parts).rstrip() + "\n"


def _described(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=90)
    context.terminal_width = 90
    if isinstance(command, click.Group):
        yield f"### {context.command_path}\n"
        yield f"{(command.help or '').split(chr(10) * 2)[0]}\n"
        for inner in command.commands:
            yield from _described(command.commands[inner], context, inner)
        return
    yield f"### {context.command_path}\n"
    yield f"```text\n{command.get_help(context)}\n```\n"
    if name in PASSED_ON and context.parent is parent:
        yield f"Its own options: `{PASSED_ON[name]}`.\n"


def main(argv: list[str] | None = None) -> int:
    """Write the page to a file."""
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.cli.reference")
    parser.description = main.__doc__
    parser.add_argument("file", type=Path)
    write_whole(parser.parse_args(argv).file, command_reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
