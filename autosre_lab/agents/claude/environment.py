"""The environment Claude Code runs in, derived from the live engine. Pure."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.agents.claude.version import known_version
from autosre_lab.agents.window import WindowFit

__all__ = [
    "DEFAULTS",
    "WAIT_FOR_SERVERS",
    "is_foreign",
    "provider_settings",
    "window_settings",
]

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
    "CLAUDE_CODE_BRIDGE_",
    "CLAUDE_CODE_CCR_",
    "CLAUDE_CODE_CLIENT_",
    "CLAUDE_CODE_GATEWAY_",
    "CLAUDE_CODE_HOST_",
    "CLAUDE_CODE_MEMORY_API_",
    "CLAUDE_CODE_MESSAGING_",
    "CLAUDE_CODE_MODEL_",
    "CLAUDE_CODE_OAUTH_",
    "CLAUDE_CODE_PROVIDER_",
    "CLAUDE_CODE_RELAUNCH_",
    "CLAUDE_CODE_REMOTE",
    "CLAUDE_CODE_RESTRICT",
    "CLAUDE_CODE_SESSION_",
    "CLAUDE_CODE_SESSIONS_",
    "CLAUDE_CODE_SKIP_",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_CODE_USE_",
    "CLAUDE_GATEWAY_",
    "CLAUDE_RUNNER_",
)
_FOREIGN = frozenset(
    {
        "AUTOSRE_PROXY_TOKEN",
        "CLAUDECODE",
        # Set without a window that allows for it, Claude Code would compact on every turn.
        "CLAUDE_CODE_AUTO_COMPACT_WINDOW",
        "CLAUDE_CODE_ARTIFACTS_API_TOKEN",
        "CLAUDE_CODE_AUTO_MODE_MODEL",
        "CLAUDE_CODE_BG_CLASSIFIER_MODEL",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_CLOUD_SESSION_ID",
        "CLAUDE_CODE_CUSTOM_OAUTH_URL",
        "CLAUDE_CODE_DISABLE_UNKNOWN_MODEL_WINDOW_ENFORCEMENT",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_HTTP_PROXY",
        "CLAUDE_CODE_HTTPS_PROXY",
        "CLAUDE_CODE_SIMPLE",
        "CLAUDE_CODE_WORKFLOW_SUBAGENT_MODEL",
        "_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL",
    }
)

_TOLD_TWICE = frozenset({"2.1.197"})
"""Versions that watch their window only where this second variable names it as well. Later ones
complain, in every session, where it is below 100,000."""

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
        **_model_names(model),
        "CLAUDE_CODE_SUBAGENT_MODEL": model,
        # A project's settings file may set these very variables; this makes it not count.
        "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST": "1",
        # `/model` would offer a window of a million tokens on any engine.
        "CLAUDE_CODE_DISABLE_1M_CONTEXT": "1",
        # At its end 2.1.332 says how to go on, with a program of one word; `claude` by itself would
        # look in another folder.
        "CLAUDE_CODE_RESUME_HINT_COMMAND": "autosre-claude",
        # Both change from conversation to conversation and would end the shared prefix there.
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_TOTAL_TOKENS_REMINDER": "off",
    }
    if config_dir is not None:
        settings["CLAUDE_CONFIG_DIR"] = str(config_dir)
    return settings


def _model_names(model: str) -> dict[str, str]:
    """Return what every family's name leads to, and how `/model` lists it."""
    names = {}
    for family in ("Fable", "Haiku", "Opus", "Sonnet"):
        variable = f"ANTHROPIC_DEFAULT_{family.upper()}_MODEL"
        names[variable] = model
        names[f"{variable}_NAME"] = f"{model} as {family}"
        names[f"{variable}_DESCRIPTION"] = "The one model that is served here"
    return names


def window_settings(fit: WindowFit, version: str) -> dict[str, str]:
    """Return what tells a Claude Code its window, and keeps single outputs a fraction of it."""
    settings = {
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(fit.window),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(fit.output),
    }
    # See window.py for when Claude Code shall not watch its window by itself.
    if fit.compaction == "refusal":
        settings["CLAUDE_CODE_DISABLE_UNKNOWN_MODEL_WINDOW_ENFORCEMENT"] = "1"
    elif known_version(version) in _TOLD_TWICE:
        settings["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(fit.window)
    share = max(1000, fit.room // 3)
    if share < FILE_READ_TOKENS:
        settings["CLAUDE_CODE_FILE_READ_MAX_OUTPUT_TOKENS"] = str(share)
        settings["MAX_MCP_OUTPUT_TOKENS"] = str(share)
    if share * CHARACTERS_PER_TOKEN < BASH_OUTPUT_CHARACTERS:
        settings["BASH_MAX_OUTPUT_LENGTH"] = str(share * CHARACTERS_PER_TOKEN)
        settings["TASK_MAX_OUTPUT_LENGTH"] = str(share * CHARACTERS_PER_TOKEN)
    return settings
