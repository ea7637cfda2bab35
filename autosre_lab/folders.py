"""The four folders that this project writes to.

They follow the XDG base directory specification; each can be moved by an environment variable,
which is also how the tests keep away from a person's own stack.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.errors import ConfigError

__all__ = ["FOLDERS", "Paths", "expanded", "home_folder", "paths"]

FOLDERS = {
    "config": ("AUTOSRE_CONFIG_DIR", "XDG_CONFIG_HOME", ".config"),
    "data": ("AUTOSRE_DATA_DIR", "XDG_DATA_HOME", ".local/share"),
    "state": ("AUTOSRE_STATE_DIR", "XDG_STATE_HOME", ".local/state"),
    "cache": ("AUTOSRE_CACHE_DIR", "XDG_CACHE_HOME", ".cache"),
}
"""Our variable, the XDG variable, and the default below the home folder, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The four folders this project writes to; nothing is written outside them.

    Attributes:
        config: What a person edits: ``settings.yaml``, own recipes in ``recipes/``.
        data: What was provisioned and is costly to make again: engine environments, models,
            Claude Code. Shared by every stack of this user.
        state: What describes the stack that runs now: process records, logs, request log.
        cache: What may be deleted at any time: downloads, compile caches.
    """

    config: Path
    data: Path
    state: Path
    cache: Path

    @property
    def keys(self) -> Path:
        """The keys of single clients; see `autosre keys`."""
        return self.config / "keys.json"

    @property
    def request_log(self) -> Path:
        """One JSON line a request of this machine's stack; see `read_request_log`."""
        return self.state / "logs" / "requests.jsonl"


def paths(environ: Mapping[str, str] | None = None) -> Paths:
    """Return the four folders, without creating them.

    Args:
        environ: The environment to read; this process's own when not given.

    Raises:
        ConfigError: A variable names a relative path.
    """
    env = os.environ if environ is None else environ
    found: dict[str, Path] = {}
    for name, (own, xdg, default) in FOLDERS.items():
        if env.get(own):
            folder = expanded(env[own], where=own)
            if not folder.is_absolute():
                raise ConfigError(
                    f"{own}={env[own]} is a relative path",
                    remedy=f"give an absolute path: {own}={Path.cwd() / env[own]}",
                )
        elif env.get(xdg, "").startswith("/"):  # the specification ignores relative paths
            folder = Path(env[xdg]) / "autosre"
        else:
            folder = home_folder(env) / default / "autosre"
        found[name] = folder
    return Paths(**found)


def home_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the user's home folder.

    Raises:
        ConfigError: HOME is not set, and this user has no entry in the list of users.
    """
    env = os.environ if environ is None else environ
    try:
        return Path(env.get("HOME") or Path.home())
    except RuntimeError as error:
        raise ConfigError(
            f"user {os.getuid()} has no home folder: HOME is not set, and there is no such user",
            remedy="set HOME to a folder that can be written to: export HOME=/tmp/me",
        ) from error


def expanded(path: str, *, where: str) -> Path:
    """Return a path with its ``~`` written out.

    Args:
        path: As a person wrote it.
        where: What names it, for the error.

    Raises:
        ConfigError: There is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{where}: {path}: there is no such home folder", remedy="write the whole path"
        ) from error
