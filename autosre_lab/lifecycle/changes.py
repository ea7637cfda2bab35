"""What a start of a recipe would change of what runs. Nothing is changed by looking."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autosre_lab.errors import AutosreError

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["Change", "local_command", "option_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One part of a stack, as it runs and as it would.

    Attributes:
        part: ``command line``, ``values``, or an object's kind and name.
        before: Lines of what runs; empty where nothing does.
        after: Lines of what would; empty where it would be taken away.
        unread: Why what runs could not be read; empty where it could.
    """

    part: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    unread: str = ""

    @property
    def differs(self) -> bool:
        """Whether anything would change."""
        return self.before != self.after

    def diff(self) -> list[str]:
        """Return the change as a unified diff; empty where nothing would change."""
        lines = difflib.unified_diff(self.before, self.after, "runs", "recipe", lineterm="", n=1)
        return list(lines)


def local_command(recipe: Recipe) -> Change:
    """Return how a recipe's command line differs from the one that runs here."""
    from autosre_lab.local import status
    from autosre_lab.local.stack_files import StackFiles
    from autosre_lab.parity.expectation import expected_here
    from autosre_lab.parity.live import read_container, read_local
    from autosre_lab.settings import load_settings, paths

    running = status()
    before: Sequence[str] = ()
    port = load_settings().engine_port or 8010
    unread = ""
    engine = running.services.get("engine")
    if engine is not None and engine.pid is not None:
        port = engine.port
        try:
            note = StackFiles(paths().state).read()
            before = (
                read_container(*note.container.split())
                if note is not None and note.container
                else read_local(pid=engine.pid)
            ).process.argv
        except AutosreError as error:
            unread = error.message
    after = expected_here(recipe, port=port).argv
    if after and after[0] in before:
        # What runs a script is the interpreter of its first line.
        before = before[list(before).index(after[0]) :]
    return Change(
        part="command line", before=option_lines(before), after=option_lines(after), unread=unread
    )


def option_lines(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line with one option a line, its value beside it."""
    lines: list[str] = []
    for word in argv:
        if word.startswith("--") or not lines or not lines[-1].startswith("--"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return tuple(lines)
