"""What would be run: the command and the environment, from facts alone. Pure.

Everything is given as ``-c key=value`` in front of Codex's own arguments, so that a user's later
``-c`` and what ``codex mcp add`` wrote into the folder's config.toml go on to count. The key is in
the environment: the command line holds no secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from autosre_lab.agents.codex.additions import AWAITED, PROFILE, Brought
from autosre_lab.agents.codex.arguments import is_headless, names_profile, subcommand, writes
from autosre_lab.agents.codex.profiles import CodexProfile, compacts_at
from autosre_lab.agents.environment import browser_settings, without_proxies
from autosre_lab.agents.launch import Browser, Endpoint, Launch
from autosre_lab.agents.warming import LAUNCH_HEADER
from autosre_lab.agents.web_servers import WEB_SERVERS, server_command
from autosre_lab.agents.window import WindowFit
from autosre_lab.errors import ConfigError

__all__ = ["KEY_VARIABLE", "WAITS", "is_foreign", "plan_launch"]

WAITS = (
    "if Codex says `waiting for network`, the stack is down, and Codex waits for ever: "
    "`autosre status` in another terminal says why, `autosre start` brings it back"
)

KEY_VARIABLE = "AUTOSRE_CODEX_KEY"
"""Where Codex finds the proxy's token; the model's shell does not see it."""

STREAM_IDLE_MS = 1_800_000
"""Milliseconds between two events; the proxy writes one every 15 s through the longest prefill."""

NOTHING_BROUGHT = Brought()

_FOREIGN_PREFIXES = ("OPENAI_", "CODEX_", "AZURE_OPENAI_")


def is_foreign(name: str) -> bool:
    """Whether a variable belongs to another session or another provider and is taken out."""
    return name.startswith(_FOREIGN_PREFIXES) or name == "AUTOSRE_PROXY_TOKEN"


def plan_launch(
    stack: Endpoint,
    args: Sequence[str],
    *,
    fit: WindowFit,
    profile: CodexProfile,
    executable: Path,
    environ: Mapping[str, str],
    config_dir: Path | None,
    servers: Sequence[str] = (),
    browser: Browser | None = None,
    brought: Brought = NOTHING_BROUGHT,
    started_as: str = "",
    remarks: Sequence[str] = (),
) -> Launch:
    """Say how Codex is to be started.

    Args:
        stack: Where the proxy listens and what it serves.
        args: Codex's own arguments, as the user gave them.
        fit: How the profile fits the window, from `choose_profile`.
        profile: What of Codex to load.
        executable: The real CLI.
        environ: The user's environment.
        config_dir: CODEX_HOME; None leaves it to the user.
        servers: Names of our MCP servers that the session gets.
        browser: What the server ``browser`` drives; None leaves it to the environment.
        brought: What the user brings, from `additions.bring_along`.
        started_as: How the session is started, by which the proxy knows how such sessions begin.
        remarks: What else a person should know, a sentence each.

    Raises:
        ConfigError: The arguments cannot go together with what is brought.
    """
    added = {
        KEY_VARIABLE: stack.token or "none",
        **({} if config_dir is None else {"CODEX_HOME": str(config_dir)}),
        **(
            browser_settings(url=browser.url, token=browser.token, kind=browser.kind)
            if browser
            else {}
        ),
        **without_proxies(environ, urlsplit(stack.proxy_url).hostname or "localhost"),
    }
    kept_home = {"CODEX_HOME"} if config_dir is None else set()
    removed = tuple(
        sorted(
            name
            for name in environ
            if is_foreign(name) and name not in added and name not in kept_home
        )
    )
    kept = {name: value for name, value in environ.items() if name not in removed}
    settings = {
        **_provider(stack, started_as),
        **_window(fit),
        **_quiet(),
        **profile.settings,
        **_mcp_servers(servers, added),
    }
    if is_headless(args):
        # A person can end a wait for a proxy that is gone; a script would wait for ever.
        settings["features.unbounded_connection_retries"] = "false"
    ours = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    if brought.has_servers:
        if names_profile(args):
            raise ConfigError(
                "Codex takes one --profile, and MCP servers are brought by one",
                remedy="leave your --profile out, or bring something else: --bring skills,memory",
            )
        ours += ["--profile", PROFILE]
    return Launch(
        argv=(str(executable), *ours, *_with_ours(args)),
        env={**kept, **added},
        added=added,
        removed=removed,
        notes=(*_notes(stack, fit, profile, args), *remarks),
    )


def _provider(stack: Endpoint, started_as: str) -> dict[str, str]:
    base = stack.proxy_url.rstrip("/")
    provider = {
        "name": '"autosre"',
        "base_url": _text(f"{base}/v1"),
        "model_catalog_url": _text(f"{base}/codex/models"),
        "env_key": _text(KEY_VARIABLE),
        "wire_api": '"responses"',
        "stream_idle_timeout_ms": str(STREAM_IDLE_MS),
    }
    if started_as:
        provider["http_headers"] = f"{{{_text(LAUNCH_HEADER)}={_text(started_as)}}}"
    inside = ",".join(f"{key}={value}" for key, value in provider.items())
    return {
        "model": _text(stack.model),
        "model_provider": '"autosre"',
        "model_providers.autosre": f"{{{inside}}}",
    }


def _window(fit: WindowFit) -> dict[str, str]:
    return {
        "model_context_window": str(fit.window),
        "model_auto_compact_token_limit": str(compacts_at(fit.window)),
    }


def _quiet() -> dict[str, str]:
    """Return what keeps Codex from asking anything of the outside, and from outliving us."""
    return {
        "web_search": '"disabled"',
        "check_for_update_on_startup": "false",
        "analytics.enabled": "false",
        "features.plugins": "false",
        "features.daemon_auto_start": "false",
        "shell_environment_policy.exclude": '["AUTOSRE_*"]',
    }


def _mcp_servers(names: Sequence[str], added: Mapping[str, str]) -> dict[str, str]:
    """Return our MCP servers. Their tools run without asking, but for those that cannot be undone.

    Codex starts them without its own environment, so what they need is named.
    """
    passed = sorted({*(name for name in added if name.startswith("AUTOSRE_BROWSER"))})
    settings = {}
    for name in names:
        program, *arguments = server_command(name)
        table = [f"command={_text(program)}", f"args={json.dumps(arguments)}"]
        table += [f"{key}={json.dumps(value)}" for key, value in AWAITED.items()]
        if not WEB_SERVERS[name].asks_first:
            table.append('default_tools_approval_mode="approve"')
        if name == "browser" and passed:
            table.append(f"env_vars={json.dumps(passed)}")
        settings[f"mcp_servers.{name}"] = f"{{{','.join(table)}}}"
    return settings


def _with_ours(args: Sequence[str]) -> list[str]:
    """Let `exec` answer outside a git repository, as long as it may not write there."""
    words = list(args)
    if subcommand(args) in ("exec", "e") and "--skip-git-repo-check" not in words:
        at = next(at for at, word in enumerate(words) if word in ("exec", "e"))
        if not writes(args):
            words.insert(at + 1, "--skip-git-repo-check")
    return words


def _notes(
    stack: Endpoint, fit: WindowFit, profile: CodexProfile, args: Sequence[str]
) -> tuple[str, ...]:
    notes = (
        f"{stack.model} at {stack.proxy_url}, {profile.name} profile, window {fit.window} tokens, "
        f"compacted from {compacts_at(fit.window)} on",
    )
    if is_headless(args):
        return notes
    return (
        *notes,
        WAITS,
    )


def _text(value: str) -> str:
    # A JSON string is a TOML basic string.
    return json.dumps(value)
