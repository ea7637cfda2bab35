"""What would be run: the command and the environment, from facts alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from autosre_lab.agents.claude.additions import Placed
from autosre_lab.agents.claude.arguments import is_interactive, is_subcommand, options_given
from autosre_lab.agents.claude.environment import (
    DEFAULTS,
    WAIT_FOR_SERVERS,
    is_foreign,
    provider_settings,
    window_settings,
)
from autosre_lab.agents.claude.profiles import Profile
from autosre_lab.agents.environment import (
    browser_settings,
    keep_smaller,
    unless_set,
    without_proxies,
)
from autosre_lab.agents.launch import Browser, Endpoint, Launch
from autosre_lab.agents.warming import LAUNCH_HEADER
from autosre_lab.agents.web_servers import WEB_SERVERS, server_command
from autosre_lab.agents.window import WindowFit

__all__ = ["mcp_config", "plan_launch"]

NOISE = ("[claude-code:unrecognized_model]", "CLAUDE_CODE_DISABLE_1M_CONTEXT is set, but")
"""Claude Code 2.1.332 prints such lines for every model that is not Anthropic's."""

NOTHING_PLACED = Placed()

_DECIDE_TOOLS = ("--tools",)
_ALLOW_TOOLS = ("--allowedTools", "--allowed-tools", "--tools")


def plan_launch(
    stack: Endpoint,
    args: Sequence[str],
    *,
    fit: WindowFit,
    profile: Profile,
    executable: Path,
    version: str,
    environ: Mapping[str, str],
    config_dir: Path | None,
    servers: Sequence[str] = (),
    browser: Browser | None = None,
    placed: Placed = NOTHING_PLACED,
    status_line: str | None = None,
    started_as: str = "",
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
        version: Its version.
        environ: The user's environment.
        config_dir: Claude Code's configuration folder; None leaves it to the user, and with it
            the MCP servers that are named there.
        servers: Names of our MCP servers that the session gets.
        browser: What the server ``browser`` drives; None leaves it to the environment.
        placed: What the session has in addition, from `additions.place`.
        status_line: The command that writes the status line; None leaves it to Claude Code.
        started_as: How the session is started, by which the proxy knows how such sessions begin.
        remarks: What else a person should know, a sentence each.
    """
    added = {
        **unless_set(DEFAULTS, environ),
        **provider_settings(
            proxy_url=stack.proxy_url,
            token=stack.token,
            model=stack.model,
            config_dir=config_dir,
        ),
        **({"ANTHROPIC_CUSTOM_HEADERS": f"{LAUNCH_HEADER}: {started_as}"} if started_as else {}),
        **keep_smaller(
            window_settings(fit, version), environ, but={"CLAUDE_CODE_MAX_CONTEXT_TOKENS"}
        ),
        **(
            {} if not servers and placed.mcp_file is None else unless_set(WAIT_FOR_SERVERS, environ)
        ),
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
        ours += _settings_arguments(args, status_line)
        ours += _server_arguments(servers, args, placed.mcp_file, strict=config_dir is not None)
        ours += [f"--plugin-dir={folder}" for folder in placed.plugin_dirs]
    return Launch(
        argv=(str(executable), *ours, *args),
        env={**kept, **added},
        added=added,
        removed=removed,
        notes=(*_notes(stack, fit, profile, args), *_web_notes(servers, browser), *remarks),
        noise=() if is_interactive(args) else NOISE,
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
    allowed = _allowed(given)
    withheld = [tool for tool in profile.withheld if tool not in allowed]
    if withheld:
        ours.append(f"--disallowedTools={','.join(withheld)}")
    return ours


def _allowed(given: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the tools that the user's arguments name."""
    return {
        word.partition("(")[0]
        for option in _ALLOW_TOOLS
        for value in given.get(option, ())
        for word in value.replace(",", " ").split()
    }


def _settings_arguments(args: Sequence[str], status_line: str | None) -> list[str]:
    """Return a session's settings: what WebFetch asks; in a terminal, who is asked, and the status.

    In a terminal 2.1.332 starts in auto mode, and has each Bash command judged by a model, in a
    request of 144 KB, instead of asking a person. Whoever names a permission mode has it.
    """
    given = options_given(args)
    interactive = is_interactive(args)
    if "--settings" in given:
        return ["--permission-mode=default"] * (interactive and "--permission-mode" not in given)
    settings: dict[str, object] = {}
    if interactive and "--permission-mode" not in given:
        # A folder's or a user's own defaultMode still counts beside it.
        settings["disableAutoMode"] = "disable"
    if interactive and status_line is not None:
        settings["statusLine"] = {"type": "command", "command": status_line}
    if "WebFetch" in _allowed(given):
        # It would first tell claude.ai the domain, and fetch nothing where that does not answer.
        settings["skipWebFetchPreflight"] = True
    return [f"--settings={json.dumps(settings, separators=(',', ':'))}"] if settings else []


def _server_arguments(
    servers: Sequence[str], args: Sequence[str], mcp_file: Path | None, *, strict: bool
) -> list[str]:
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
    if mcp_file is not None and strict:
        ours.append(f"--mcp-config={mcp_file}")
    return ours


def mcp_config(names: Sequence[str]) -> str:
    """Return Claude Code's MCP configuration of our servers, as JSON on one line.

    Their tools are loaded from the start: whoever chose them has counted their schemas. A tool
    that is fetched later would change the prompt's beginning, and the cached prefix with it.
    """
    servers = {}
    for name in names:
        program, *arguments = server_command(name)
        servers[name] = {
            "type": "stdio",
            "command": program,
            "args": arguments,
            "alwaysLoad": True,
        }
    return json.dumps({"mcpServers": servers}, separators=(",", ":"))


def _web_notes(servers: Sequence[str], browser: Browser | None) -> list[str]:
    if not servers:
        return []
    asking = [tool for name in servers for tool in sorted(WEB_SERVERS[name].asks_first)]
    asked = f"; asked before use: {', '.join(asking)}" if asking else ""
    notes = [f"web tools: {', '.join(servers)}{asked}"]
    if browser is not None:
        notes.append(f"the browser is the Pod at {browser.url}")
    return notes


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
            f"--model {model[0]}: {stack.model} answers all the same, but for names of Anthropic's "
            "models Claude Code takes their own window, not this one"
        )
    return notes
