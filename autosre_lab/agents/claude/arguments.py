"""Which arguments are ours and which are Claude Code's.

Ours stand in front; from the first one that is not ours on, everything belongs to Claude Code,
word for word. So a prompt may say anything, and an option that Claude Code grows tomorrow works.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.web_servers import WEB_SERVERS
from autosre_lab.errors import ConfigError

__all__ = [
    "USAGE",
    "OwnOptions",
    "is_interactive",
    "is_subcommand",
    "needs_model",
    "options_given",
    "split_arguments",
]

USAGE = f"""\
usage: python -m autosre_lab.claude [our options] [--] [claude's own arguments]

Our options, all of them before claude's:
  --recipe NAME      the recipe to serve (default: the one running, else AUTOSRE_RECIPE)
  --profile NAME     how much of Claude Code to load: {", ".join(PROFILES)}
  --web LIST         web tools to load: {", ".join(WEB_SERVERS)}, none, or auto,
                     which takes all of them with the full profile and none with a smaller one
  --use-my-config    use your own Claude Code configuration folder instead of ours
  --dry-run          print the environment and the command, start nothing

Claude Code's own arguments follow:
"""

_WITH_VALUE = ("--recipe", "--profile", "--web")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOptions:
    """Our own options, as given.

    Attributes:
        recipe: Name or path of a recipe; None where the running one or the setting decides.
        profile: Name of a profile; None where the recipe and the window decide.
        web: Names of the MCP servers to load; None where the profile and the window decide.
        dry_run: Print instead of run.
        use_my_config: Leave CLAUDE_CONFIG_DIR to the user.
        help: Show our usage in front of claude's.
    """

    recipe: str | None = None
    profile: str | None = None
    web: tuple[str, ...] | None = None
    dry_run: bool = False
    use_my_config: bool = False
    help: bool = False


def split_arguments(arguments: Sequence[str]) -> tuple[OwnOptions, list[str]]:
    """Take our options from the front.

    Returns:
        Our options, and the rest for Claude Code.

    Raises:
        ConfigError: One of ours lacks its value, or names something unknown.
    """
    own = OwnOptions()
    rest = list(arguments)
    while rest:
        name, equals, value = rest[0].partition("=")
        if name in _WITH_VALUE:
            taken = 1
            if not equals:
                if len(rest) < 2 or rest[1].startswith("-"):
                    raise ConfigError(f"{name} has no value", remedy=f"{name} NAME")
                value, taken = rest[1], 2
            own = _with_value(own, name, value)
            rest = rest[taken:]
        elif rest[0] == "--dry-run":
            own, rest = replace(own, dry_run=True), rest[1:]
        elif rest[0] == "--use-my-config":
            own, rest = replace(own, use_my_config=True), rest[1:]
        else:
            break
    if rest[:1] == ["--"]:
        rest = rest[1:]
    elif rest[:1] in (["-h"], ["--help"]):
        own = replace(own, help=True)
    return own, rest


def _with_value(own: OwnOptions, name: str, value: str) -> OwnOptions:
    if name == "--recipe":
        return replace(own, recipe=value)
    if name == "--profile":
        return replace(own, profile=_known_profile(value))
    return replace(own, web=_known_servers(value))


def _known_servers(value: str) -> tuple[str, ...] | None:
    """Return the servers in the order of their table; None for `auto`."""
    if value in ("auto", "none"):
        return None if value == "auto" else ()
    names = [name.strip() for name in value.split(",")]
    if unknown := [name for name in names if name not in WEB_SERVERS]:
        raise ConfigError(
            f"unknown web tools {unknown[0]!r}",
            remedy=f"--web is auto, none, or some of: {', '.join(WEB_SERVERS)}",
        )
    return tuple(name for name in WEB_SERVERS if name in names)


def _known_profile(name: str) -> str:
    if name not in PROFILES:
        raise ConfigError(
            f"unknown profile {name!r}", remedy=f"--profile is one of: {', '.join(PROFILES)}"
        )
    return name


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
