"""What the settings say of the browser: whose it is, and how much of it may be used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.settings import load_settings, paths
from autosre_lab.web.allow_list import AllowList

__all__ = ["BrowserConfig", "browser_config", "get_browser_url"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserConfig:
    """Where the browser is and what its sessions may take.

    Attributes:
        url: Base URL of a browser service; empty: a Chromium of this machine is started.
        token: What the service asks for; sent as a header, never in a URL.
        kind: ``cdp`` for this project's Pod or any Chromium, ``browserless`` for browserless.
        chromium: The program to start; empty: the first one found.
        sandbox: Whether Chromium sandboxes itself; None: whenever this user can.
        sessions: Sessions that may be open at once.
        idle_s: Seconds after which an unused session is closed.
        folder: Where snapshots, screenshots, PDFs and downloads are written.
        recordings: Where recordings are written.
        recording_ttl_h: Hours that a recording is kept.
        allow: What pages may reach besides the public web.
    """

    url: str = ""
    token: str = field(default="", repr=False)
    kind: str = "cdp"
    chromium: str = ""
    sandbox: bool | None = None
    sessions: int = 4
    idle_s: float = 600.0
    folder: Path
    recordings: Path
    recording_ttl_h: float = 24.0
    allow: AllowList = field(default_factory=AllowList)


def get_browser_url(environ: Mapping[str, str] | None = None) -> str:
    """Return the base URL of the browser service; empty where a local Chromium is started.

    Raises:
        ConfigError: A setting is unusable.
    """
    return load_settings(environ).browser_url.rstrip("/")


def browser_config(environ: Mapping[str, str] | None = None) -> BrowserConfig:
    """Return what the settings say, and ``AUTOSRE_BROWSER_TOKEN``, which is no file's.

    Args:
        environ: The environment to read; this process's own when not given.

    Raises:
        ConfigError: A setting is unusable, or the token's file cannot be read.
    """
    env = os.environ if environ is None else environ
    settings = load_settings(env)
    folder = paths(env).state / "browser"
    return BrowserConfig(
        url=get_browser_url(env),
        token=env.get("AUTOSRE_BROWSER_TOKEN") or _token_in(settings.browser_token_file),
        kind=settings.browser_kind,
        chromium=settings.chromium,
        sandbox=None if settings.chromium_sandbox == "" else settings.chromium_sandbox == "1",
        sessions=settings.browser_sessions,
        idle_s=settings.browser_idle_s,
        folder=folder,
        recordings=Path(settings.recording_path or folder / "recordings"),
        recording_ttl_h=settings.browser_recording_ttl,
        allow=AllowList.parse(settings.fetch_allow),
    )


def _token_in(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"AUTOSRE_BROWSER_TOKEN_FILE={file} cannot be read: {error}",
            remedy="write the browser's token into it, readable by you only",
        ) from error
