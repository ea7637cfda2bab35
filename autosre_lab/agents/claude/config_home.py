"""Claude Code's configuration folder for our sessions: kept, so that ``--resume`` works, and ours.

A fresh folder would greet an interactive start with a theme picker and a login. Both are answered
here. The question whether a folder is trusted is answered only where nothing depends on it: a
folder that brings settings, hooks or MCP servers could run them, and that is a person's decision.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autosre_lab.errors import ConfigError
from autosre_lab.processes.files import write_private_json

__all__ = [
    "answer_questions",
    "brings_configuration",
    "prepare_config_dir",
    "read_settings",
    "write_private",
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
    write_private(file, after)


def write_private(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file that may hold keys, whole or not at all."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_json(file, content)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}",
            remedy="make the folder writable, or move it with AUTOSRE_STATE_DIR",
        ) from error


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that a user has made in our configuration folder."""
    return _read(folder / "settings.json")


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
