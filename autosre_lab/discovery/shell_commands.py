"""The shell commands, from the live command group, read by a Python of its own.

``python -m autosre_lab.discovery.shell_commands`` prints them as JSON. A process of its own sees
the files as they are now, and a module that ends the program ends only that one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from autosre_lab.discovery.entries import Entry
from autosre_lab.logs import get_logger

if TYPE_CHECKING:
    import click

__all__ = ["main", "read_commands"]

TIMEOUT_S = 20.0

logger = get_logger(__name__)


def read_commands() -> list[Entry]:
    """Return every command; none where the command line cannot be loaded, which is logged."""
    command = [sys.executable, "-P", "-m", "autosre_lab.discovery.shell_commands"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=True,
        )
        return [Entry(**fields) for fields in json.loads(done.stdout)]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        logger.warning("the shell commands cannot be read: %s", error)
        return []


def main() -> int:
    """Print the commands as JSON."""
    from autosre_lab.cli.main import main as group

    fields = ("name", "kind", "summary", "signature", "doc", "words", "shell")
    found = [{name: getattr(entry, name) for name in fields} for entry in _walk(group, ["autosre"])]
    sys.stdout.write(json.dumps(found))
    return 0


def _walk(command: click.Command, path: list[str]) -> Iterator[Entry]:
    import click

    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            if not inner.hidden:
                yield from _walk(inner, [*path, name])
        return
    context = click.Context(command, info_name=" ".join(path))
    name = " ".join(path)
    parameters = [one for one in command.params if not getattr(one, "hidden", False)]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    lines = [usage, *(_option(one, context) for one in parameters)]
    yield Entry(
        name=name,
        kind="cli",
        summary=command.get_short_help_str(200),
        signature="\n".join(line for line in lines if line),
        doc=(command.help or "").replace("\b", "").strip(),
        words=" ".join(word for one in parameters for word in (one.name or "", *one.opts)),
        shell=usage,
    )


def _option(parameter: click.Parameter, context: click.Context) -> str:
    record = parameter.get_help_record(context)
    return f"  {record[0]}  {record[1]}".rstrip() if record else ""


if __name__ == "__main__":
    sys.exit(main())
