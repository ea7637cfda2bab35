"""What Claude Code's own arguments ask for."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = [
    "is_interactive",
    "is_subcommand",
    "needs_model",
    "options_given",
]

# Subcommands that talk to no model: they need no engine, and none is started for them.
_WITHOUT_MODEL = frozenset(
    {
        "auth",
        "auto-mode",
        "config",
        "doctor",
        "gateway",
        "install",
        "mcp",
        "plugin",
        "plugins",
        "project",
        "setup-token",
        "update",
        "upgrade",
    }
)
_WITH_MODEL = frozenset({"agents", "ultrareview"})
_INFORMING = frozenset({"-h", "--help", "-v", "--version"})


def options_given(arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the options in Claude Code's arguments, each with the words that may be its value.

    Only as exact as is needed to step back where a user decides something: an option counts as
    given wherever it stands, up to a ``--``.
    """
    given: dict[str, tuple[str, ...]] = {}
    current = ""
    for word in arguments:
        if word == "--":
            break
        if word.startswith("--"):
            current, _, value = word.partition("=")
            given[current] = given.get(current, ()) + ((value,) if value else ())
        elif re.fullmatch(r"-[A-Za-z]+", word):
            for letter in word[1:]:
                current = f"-{letter}"
                given.setdefault(current, ())
        elif current:
            given[current] += (word,)
    return given


def is_subcommand(arguments: Sequence[str]) -> bool:
    """Whether the arguments start one of Claude Code's subcommands."""
    return bool(arguments) and arguments[0] in _WITHOUT_MODEL | _WITH_MODEL


def is_interactive(arguments: Sequence[str]) -> bool:
    """Whether the arguments start a conversation, and not a single question."""
    return not {"-p", "--print"} & options_given(arguments).keys()


def needs_model(arguments: Sequence[str]) -> bool:
    """Whether a model has to be served for these arguments: not for help, versions or `mcp`."""
    if arguments and arguments[0] in _WITHOUT_MODEL:
        return False
    return not _INFORMING & options_given(arguments).keys()
