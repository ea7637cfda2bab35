"""The environment Claude Code runs in, derived from the live engine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autosre_lab.agents.claude.window import WindowFit

__all__ = [
    "DEFAULTS",
    "SECRETS",
    "WAIT_FOR_SERVERS",
    "browser_settings",
    "is_foreign",
    "provider_settings",
    "window_settings",
    "without_proxies",
]

SECRETS = frozenset({"ANTHROPIC_AUTH_TOKEN", "AUTOSRE_BROWSER_TOKEN"})

LONG_MS = "1800000"
"""Half an hour: a long prompt on a small machine takes minutes to its first token."""

DEFAULTS = {
    "API_TIMEOUT_MS": LONG_MS,
    "CLAUDE_STREAM_IDLE_TIMEOUT_MS": LONG_MS,
    "API_FORCE_IDLE_TIMEOUT": "0",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
    "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
    "CLAUDE_CODE_DISABLE_FEEDBACK_SURVEY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_FEEDBACK_COMMAND": "1",
}
"""Clocks, and what must not phone home. A user's own value in the environment wins."""

WAIT_FOR_SERVERS = {"MCP_CONNECTION_NONBLOCKING": "0", "MCP_CONNECT_TIMEOUT_MS": "60000"}
"""Otherwise the first request goes without the tools of MCP servers that are still starting, and
the second with them: the model says that it has none, and the shared prefix ends."""

# Settings that decide where Claude Code goes and as whom. Whatever a shell has set for the
# user's own Claude Code must not leak in: one CLAUDE_CODE_USE_BEDROCK and the session is elsewhere.
_FOREIGN_PREFIXES = (
    "ANTHROPIC_",
    "CLAUDE_BG_",
    "CLAUDE_BRIDGE_",
    "CLAUDE_CODE_API_",
    "CLAUDE_CODE_CLIENT_",
    "CLAUDE_CODE_HOST_",
    "CLAUDE_CODE_OAUTH_",
    "CLAUDE_CODE_PROVIDER_",
    "CLAUDE_CODE_REMOTE",
    "CLAUDE_CODE_SESSION_",
    "CLAUDE_CODE_SKIP_",
    "CLAUDE_CODE_USE_",
)
_FOREIGN = frozenset(
    {
        "AUTOSRE_PROXY_TOKEN",
        "CLAUDECODE",
        # Set without a window that allows for it, Claude Code would compact on every turn.
        "CLAUDE_CODE_AUTO_COMPACT_WINDOW",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_CUSTOM_OAUTH_URL",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_SIMPLE",
        "CLAUDE_CODE_SUBAGENT_MODEL",
    }
)

FILE_READ_TOKENS = 25_000
BASH_OUTPUT_CHARACTERS = 30_000
CHARACTERS_PER_TOKEN = 3


def is_foreign(name: str) -> bool:
    """Whether a variable belongs to another session or another provider and is taken out."""
    return name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES)


def provider_settings(
    *, proxy_url: str, token: str, model: str, config_dir: Path | None
) -> dict[str, str]:
    """Return what points Claude Code at our proxy, and every model name at the one served."""
    settings = {
        "ANTHROPIC_BASE_URL": proxy_url,
        "ANTHROPIC_AUTH_TOKEN": token,
        # Empty, not absent: an absent key may be looked up elsewhere.
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_MODEL": model,
        **{
            f"ANTHROPIC_DEFAULT_{family}_MODEL": model
            for family in ("FABLE", "HAIKU", "OPUS", "SONNET")
        },
        "CLAUDE_CODE_SUBAGENT_MODEL": model,
        # A project's settings file may set these very variables; this makes it not count.
        "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST": "1",
        # Both change from conversation to conversation and would end the shared prefix there.
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_TOTAL_TOKENS_REMINDER": "off",
    }
    if config_dir is not None:
        settings["CLAUDE_CONFIG_DIR"] = str(config_dir)
    return settings


def browser_settings(*, url: str, token: str, kind: str) -> dict[str, str]:
    """Return what points the browser's MCP server, which inherits it, at a browser elsewhere."""
    return {
        "AUTOSRE_BROWSER_URL": url,
        "AUTOSRE_BROWSER_TOKEN": token,
        "AUTOSRE_BROWSER_KIND": kind,
    }


def window_settings(fit: WindowFit) -> dict[str, str]:
    """Return what tells Claude Code its window, and keeps single outputs a fraction of it."""
    settings = {
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(fit.window),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(fit.output),
    }
    if fit.compaction == "ahead":
        # Only both together make Claude Code compact by itself; see window.py for when not to.
        settings["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(fit.window)
    share = max(1000, fit.room // 3)
    if share < FILE_READ_TOKENS:
        settings["CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS"] = str(share)
        settings["MAX_MCP_OUTPUT_TOKENS"] = str(share)
    if share * CHARACTERS_PER_TOKEN < BASH_OUTPUT_CHARACTERS:
        settings["BASH_MAX_OUTPUT_LENGTH"] = str(share * CHARACTERS_PER_TOKEN)
        settings["TASK_MAX_OUTPUT_LENGTH"] = str(share * CHARACTERS_PER_TOKEN)
    return settings


def without_proxies(environ: Mapping[str, str], host: str) -> dict[str, str]:
    """Return NO_PROXY with loopback and the proxy's host added to what the user exempts."""
    hosts: dict[str, None] = {}
    for variable in ("NO_PROXY", "no_proxy"):
        hosts.update(dict.fromkeys(part.strip() for part in environ.get(variable, "").split(",")))
    hosts.pop("", None)
    hosts.update(dict.fromkeys(("127.0.0.1", "localhost", host)))
    joined = ",".join(hosts)
    return {"NO_PROXY": joined, "no_proxy": joined}
