"""What would be run: the command and the environment, from facts alone. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from autosre_lab.agents.claude.arguments import is_subcommand, options_given
from autosre_lab.agents.claude.environment import (
    DEFAULTS,
    SECRETS,
    WAIT_FOR_SERVERS,
    browser_settings,
    is_foreign,
    provider_settings,
    window_settings,
    without_proxies,
)
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.claude.web_servers import WEB_SERVERS, mcp_config
from autosre_lab.agents.claude.window import WindowFit

__all__ = ["Browser", "Endpoint", "Launch", "plan_launch", "show_launch"]

_DECIDE_TOOLS = ("--tools",)
_ALLOW_TOOLS = ("--allowedTools", "--allowed-tools", "--tools")


class Endpoint(Protocol):
    """What a launch must know of a running stack; `autosre_lab.Stack` is one."""

    @property
    def proxy_url(self) -> str:
        """Base URL of the Anthropic proxy."""

    @property
    def token(self) -> str:
        """Bearer token the proxy asks for."""

    @property
    def model(self) -> str:
        """Name of the served model."""

    @property
    def max_model_len(self) -> int:
        """Served context window in tokens."""


class Browser(Protocol):
    """What a launch must know of a browser elsewhere; `lifecycle.stack_browser` finds one."""

    @property
    def url(self) -> str:
        """Base URL of its service."""

    @property
    def token(self) -> str:
        """What it asks for."""

    @property
    def kind(self) -> str:
        """How it is spoken to, as in ``AUTOSRE_BROWSER_KIND``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command and its environment, ready to be run.

    Attributes:
        argv: The command; holds no secret.
        env: The whole environment to run it in.
        added: The part of `env` that we set; holds the tokens.
        removed: Variables of the user's environment that were taken out.
        notes: What a person should know, a sentence each.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    added: dict[str, str] = field(repr=False)
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_launch(
    stack: Endpoint,
    args: Sequence[str],
    *,
    fit: WindowFit,
    profile: Profile,
    executable: Path,
    environ: Mapping[str, str],
    config_dir: Path | None,
    servers: Sequence[str] = (),
    browser: Browser | None = None,
    remarks: Sequence[str] = (),
) -> Launch:
    """Say how Claude Code is to be started.

    Where the user's arguments decide something that we would decide too, theirs stand alone.

    Args:
        stack: Where the proxy listens and what it serves.
        args: Claude Code's own arguments, as the user gave them.
        fit: How the profile fits the window, from `choose_profile`.
        profile: What of Claude Code to load.
        executable: The real CLI.
        environ: The user's environment.
        config_dir: Claude Code's configuration folder; None leaves it to the user, and with it
            the MCP servers that are named there.
        servers: Names of our MCP servers that the session gets.
        browser: What the server ``browser`` drives; None leaves it to the environment.
        remarks: What else a person should know, a sentence each.
    """
    added = {
        **_unless_set(DEFAULTS, environ),
        **provider_settings(
            proxy_url=stack.proxy_url,
            token=stack.token,
            model=stack.model,
            config_dir=config_dir,
        ),
        **_keep_smaller(window_settings(fit), environ),
        **({} if not servers else _unless_set(WAIT_FOR_SERVERS, environ)),
        **(
            browser_settings(url=browser.url, token=browser.token, kind=browser.kind)
            if browser
            else {}
        ),
        **without_proxies(environ, urlsplit(stack.proxy_url).hostname or "localhost"),
    }
    removed = tuple(sorted(name for name in environ if is_foreign(name) and name not in added))
    kept = {name: value for name, value in environ.items() if name not in removed}
    ours: list[str] = []
    if not is_subcommand(args):
        ours = _profile_arguments(profile, args)
        ours += _server_arguments(servers, args, strict=config_dir is not None)
    return Launch(
        argv=(str(executable), *ours, *args),
        env={**kept, **added},
        added=added,
        removed=removed,
        notes=(*_notes(stack, fit, profile, args), *_web_notes(servers, browser), *remarks),
    )


def _profile_arguments(profile: Profile, args: Sequence[str]) -> list[str]:
    # Values are joined to their option by "=": these options take any number of words, and would
    # otherwise swallow the prompt that follows.
    given = options_given(args)
    ours: list[str] = []
    decided = any(option in given for option in _DECIDE_TOOLS)
    if profile.bare and not decided and "--bare" not in given:
        ours.append("--bare")
    if profile.tools is not None and not decided:
        ours.append(f"--tools={','.join(profile.tools)}")
    if not profile.bare and "--bare" not in given:
        ours.append("--exclude-dynamic-system-prompt-sections")
    if profile.added_prompt and not any("system-prompt" in option for option in given):
        ours.append(f"--append-system-prompt={profile.added_prompt}")
    allowed = {
        word.partition("(")[0]
        for option in _ALLOW_TOOLS
        for value in given.get(option, ())
        for word in value.replace(",", " ").split()
    }
    withheld = [tool for tool in profile.withheld if tool not in allowed]
    if withheld:
        ours.append(f"--disallowedTools={','.join(withheld)}")
    return ours


def _server_arguments(servers: Sequence[str], args: Sequence[str], *, strict: bool) -> list[str]:
    """Return what gives a session our servers, and no others but those the user names."""
    given = options_given(args)
    ours = []
    if strict and "--strict-mcp-config" not in given:
        # Every schema is in every request; a folder's own servers would be, too.
        ours.append("--strict-mcp-config")
    if servers:
        ours.append(f"--mcp-config={mcp_config(servers)}")
        allowed = [tool for name in servers for tool in WEB_SERVERS[name].allowed]
        ours.append(f"--allowedTools={','.join(allowed)}")
    return ours


def _web_notes(servers: Sequence[str], browser: Browser | None) -> list[str]:
    if not servers:
        return []
    asking = [tool for name in servers for tool in sorted(WEB_SERVERS[name].asks_first)]
    asked = f"; asked before use: {', '.join(asking)}" if asking else ""
    notes = [f"web tools: {', '.join(servers)}{asked}"]
    if browser is not None:
        notes.append(f"the browser is the Pod at {browser.url}")
    return notes


def _unless_set(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in environ}


def _keep_smaller(settings: dict[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Let a user's own limit stand where it is stricter than ours."""
    kept = dict(settings)
    for name in settings.keys() - {"CLAUDE_CODE_MAX_CONTEXT_TOKENS"}:
        wish = environ.get(name, "")
        if wish.isdecimal() and 0 < int(wish) < int(settings[name]):
            kept[name] = wish
    return kept


def _notes(stack: Endpoint, fit: WindowFit, profile: Profile, args: Sequence[str]) -> list[str]:
    notes = [
        f"{stack.model} at {stack.proxy_url}, window {fit.window} tokens, "
        f"{profile.name} profile: {profile.summary}",
        f"the first prompt takes {fit.first_prompt} tokens, an answer at most {fit.output}, "
        f"{fit.room} are left to work with",
    ]
    model = options_given(args).get("--model", ())
    if any(name.startswith("claude-") for name in model):
        notes.append(
            f"--model {model[0]}: {stack.model} answers all the same, but Claude Code ignores the "
            "window for names that start with claude-"
        )
    return notes


def show_launch(launch: Launch) -> str:
    """Return a launch as shell lines that could be pasted, with every secret masked."""
    lines = [f"# {note}" for note in launch.notes]
    lines += [f"unset {name}" for name in launch.removed]
    for name, value in sorted(launch.added.items()):
        shown = "'********'" if name in SECRETS else shlex.quote(value)
        lines.append(f"export {name}={shown}")
    lines.append(shlex.join(launch.argv))
    return "\n".join(lines) + "\n"
