"""Claude Code's configuration folder for our sessions: kept, so that ``--resume`` works, and ours.

A fresh folder would greet an interactive start with a theme picker and a login. Both are answered
here. The question whether a folder is trusted is answered only where nothing depends on it: a
folder that brings settings, hooks or MCP servers could run them, and that is a person's decision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autosre_lab.errors import ConfigError
from autosre_lab.processes.files import write_private_json

__all__ = [
    "added_servers",
    "answer_questions",
    "brings_configuration",
    "prepare_config_dir",
    "read_settings",
    "servers_of",
]

FILE = ".claude.json"
_PROJECT = {
    "allowedTools": [],
    "hasTrustDialogAccepted": True,
    "projectOnboardingSeenCount": 1,
}


def prepare_config_dir(folder: Path, cwd: Path, *, home: Path) -> None:
    """Create the folder where needed and answer what an interactive start would ask.

    Args:
        folder: Claude Code's configuration folder for our sessions.
        cwd: Where Claude Code will be started.
        home: The user's home, whose own Claude Code configuration is read, never written.

    Raises:
        ConfigError: The folder cannot be written.
    """
    file = folder / FILE
    before = _read(file)
    trusted = not brings_configuration(cwd, home=home) or _is_trusted(
        _read(home / FILE), [cwd, *cwd.parents]
    )
    after = answer_questions(before, cwd if trusted else None)
    if after == before:
        return
    _write(file, after)


def _write(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file that may hold keys, whole or not at all."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_json(file, content)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}",
            remedy="make the folder writable, or move it with AUTOSRE_STATE_DIR",
        ) from error


def added_servers(folder: Path, cwd: Path) -> tuple[Path | None, str | None]:
    """Make what ``autosre claude mcp add`` has added loadable.

    Sessions start with ``--strict-mcp-config``, under which Claude Code reads MCP servers from no
    configuration but those that are named; so the user's own are written to a file to name. It may
    hold keys, which is why they are not handed over as an argument.

    Args:
        folder: Claude Code's configuration folder for our sessions.
        cwd: Where Claude Code will be started.

    Returns:
        The file, None where nothing was added; and what a person should know, None for nothing.

    Raises:
        ConfigError: The folder cannot be written.
    """
    servers = servers_of(_read(folder / FILE), cwd)
    notes = []
    file = None
    if servers:
        file = folder / f"mcp-{hashlib.sha256(str(cwd).encode()).hexdigest()[:12]}.json"
        _write(file, {"mcpServers": servers})
        notes.append(
            f"MCP servers that you added: {', '.join(sorted(servers))} "
            "(their tools are not counted against the window)"
        )
    if ignored := [one for one in (cwd, *cwd.parents) if (one / ".mcp.json").is_file()]:
        notes.append(
            f"{ignored[0] / '.mcp.json'} is not loaded; to load it: --mcp-config "
            f"{ignored[0] / '.mcp.json'}"
        )
    return file, "; ".join(notes) or None


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that a user has made in our configuration folder."""
    return _read(folder / "settings.json")


def servers_of(config: Mapping[str, Any], cwd: Path) -> dict[str, Any]:
    """Return the MCP servers that Claude Code's state names for the user and for a folder."""
    project = (config.get("projects") or {}).get(str(cwd)) or {}
    return {**(config.get("mcpServers") or {}), **(project.get("mcpServers") or {})}


def answer_questions(config: Mapping[str, Any], trusted: Path | None) -> dict[str, Any]:
    """Return Claude Code's state with the first-start questions answered, all else kept.

    Args:
        config: The state as it is, empty for a first start.
        trusted: A folder to enter as trusted; None to leave that question to Claude Code.
    """
    answered = {**config, "hasCompletedOnboarding": True}
    if trusted is not None:
        projects = dict(answered.get("projects") or {})
        projects[str(trusted)] = {**_PROJECT, **projects.get(str(trusted), {})}
        projects[str(trusted)]["hasTrustDialogAccepted"] = True
        answered["projects"] = projects
    return answered


def brings_configuration(cwd: Path, *, home: Path) -> bool:
    """Whether the folder, or one above it, has Claude Code settings, hooks or MCP servers.

    The user's own ``~/.claude`` does not count.
    """
    return any(
        (folder / ".mcp.json").exists() or (folder != home and (folder / ".claude").exists())
        for folder in (cwd, *cwd.parents)
    )


def _is_trusted(config: Mapping[str, Any], folders: Iterable[Path]) -> bool:
    projects = config.get("projects") or {}
    return any(
        (projects.get(str(folder)) or {}).get("hasTrustDialogAccepted") is True
        for folder in folders
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Claude Code repairs a damaged file by itself, from its own backups.
        return {}
    return loaded if isinstance(loaded, dict) else {}
