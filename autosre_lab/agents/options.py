"""Our own options in front of an agent's arguments.

Ours stand in front; from the first one that is not ours on, everything belongs to the agent, word
for word. So a prompt may say anything, and an option that the agent grows tomorrow works.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autosre_lab.agents.web_servers import WEB_SERVERS
from autosre_lab.errors import ConfigError

__all__ = ["OwnOptions", "bring_list", "options_usage", "split_arguments"]

_FLAGS = ("--check", "--dry-run", "--use-my-config")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOptions:
    """Our own options, as given.

    Attributes:
        recipe: Name or path of a recipe; None where the running one or the setting decides.
        url: A proxy that runs elsewhere; None for the stack of this machine or cluster.
        profile: Name of a profile; None where the recipe and the window decide.
        web: Names of the MCP servers to load; None where the profile and the window decide.
        program: The agent's executable; None for the one that we install.
        dry_run: Print instead of run.
        check: Try what we rely on with this executable, and report it.
        use_my_config: Leave the agent's configuration folder to the user.
        bring: What to take from the user's own configuration folder; None asks the setting.
        help: Show our usage in front of the agent's.
    """

    recipe: str | None = None
    url: str | None = None
    profile: str | None = None
    web: tuple[str, ...] | None = None
    program: Path | None = None
    dry_run: bool = False
    check: bool = False
    use_my_config: bool = False
    bring: tuple[str, ...] | None = None
    help: bool = False


def options_usage(
    agent: str, name: str, profiles: Collection[str], bringable: Sequence[str] = ()
) -> str:
    """Return the usage of an agent's launcher.

    Args:
        agent: The agent's name, for people.
        name: Its command's name.
        profiles: Names of its profiles.
        bringable: What a user can bring.
    """
    bring = f"""\
  --bring LIST       take from your own {agent} configuration folder, which is only read:
                     {", ".join(bringable)}, all, or none
"""
    program = f"--{name} PATH"
    return f"""\
usage: autosre {name} [our options] [--] [{name}'s own arguments]

Our options, all of them before {name}'s:
  --recipe NAME      the recipe to serve (default: the one running, else AUTOSRE_RECIPE)
  --url URL          use a stack that runs elsewhere: its proxy's address; its token is
                     AUTOSRE_PROXY_TOKEN. Nothing is started here
  --profile NAME     how much of {agent} to load: {", ".join(profiles)}
  --web LIST         web tools to load: {", ".join(WEB_SERVERS)}, none, or auto,
                     which takes all of them with the full profile and none with a smaller one
  {program:18} use this {name} instead of the one that autosre installs
{bring if bringable else ""}\
  --use-my-config    use your own {agent} configuration folder instead of ours
  --dry-run          print the environment and the command, start nothing
  --check            try on this {name} what autosre relies on, and report it

{agent}'s own arguments follow:
"""


def split_arguments(
    arguments: Sequence[str],
    *,
    name: str,
    profiles: Collection[str],
    bringable: Sequence[str] = (),
) -> tuple[OwnOptions, list[str]]:
    """Take our options from the front.

    Args:
        arguments: All that was typed.
        name: The agent's command, and the option that names its executable.
        profiles: Names of its profiles.
        bringable: What a user can bring; an agent without any has no such option.

    Returns:
        Our options, and the rest for the agent.

    Raises:
        ConfigError: One of ours lacks its value, or names something unknown.
    """
    own = OwnOptions()
    rest = list(arguments)
    with_value = {
        "--recipe",
        "--url",
        "--profile",
        "--web",
        f"--{name}",
        *(["--bring"] if bringable else []),
    }
    while rest:
        option, equals, value = rest[0].partition("=")
        if option in with_value:
            taken = 1
            if not equals:
                if len(rest) < 2 or rest[1].startswith("-"):
                    raise ConfigError(f"{option} has no value", remedy=f"{option} NAME")
                value, taken = rest[1], 2
            if option == "--bring":
                own = replace(own, bring=bring_list(value, bringable))
            else:
                own = _with_value(own, option, value, profiles)
            rest = rest[taken:]
        elif rest[0] in _FLAGS:
            own, rest = _with_flag(own, rest[0]), rest[1:]
        else:
            break
    if own.bring and own.use_my_config:
        raise ConfigError(
            "--use-my-config takes all of your folder, --bring a part of it",
            remedy="give one of the two",
        )
    if rest:
        _refuse_a_slip(rest[0].partition("=")[0], [*with_value, *_FLAGS])
    if rest[:1] == ["--"]:
        rest = rest[1:]
    elif rest[:1] in (["-h"], ["--help"]):
        own = replace(own, help=True)
    return own, rest


def bring_list(value: str, bringable: Sequence[str]) -> tuple[str, ...]:
    """Return what a list of things to bring names, in the order of `bringable`.

    Raises:
        ConfigError: It names something else.
    """
    if value in ("all", "none", ""):
        return tuple(bringable) if value == "all" else ()
    names = [name.strip() for name in value.split(",")]
    if unknown := [name for name in names if name not in bringable]:
        raise ConfigError(
            f"cannot bring {unknown[0]!r}",
            remedy=f"--bring is all, none, or some of: {', '.join(bringable)}",
        )
    return tuple(name for name in bringable if name in names)


def _refuse_a_slip(word: str, ours: Sequence[str]) -> None:
    """Refuse what is nearly one of our options before an engine is started for it."""
    near = difflib.get_close_matches(word, ours, n=1, cutoff=0.85)
    if word.startswith("--") and near:
        raise ConfigError(
            f"no option {word}", remedy=f"did you mean {near[0]}? if not, put -- before {word}"
        )


def _with_flag(own: OwnOptions, flag: str) -> OwnOptions:
    if flag == "--check":
        return replace(own, check=True)
    if flag == "--dry-run":
        return replace(own, dry_run=True)
    return replace(own, use_my_config=True)


def _with_value(own: OwnOptions, option: str, value: str, profiles: Collection[str]) -> OwnOptions:
    if option == "--recipe":
        return replace(own, recipe=value)
    if option == "--url":
        return replace(own, url=value)
    if option == "--profile":
        if value not in profiles:
            raise ConfigError(
                f"unknown profile {value!r}", remedy=f"--profile is one of: {', '.join(profiles)}"
            )
        return replace(own, profile=value)
    if option == "--web":
        return replace(own, web=_known_servers(value))
    return replace(own, program=Path(value).expanduser())


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
