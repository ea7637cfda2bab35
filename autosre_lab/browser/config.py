"""What the environment says of the browser: whose it is, and how much of it may be used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from autosre_lab.errors import ConfigError
from autosre_lab.settings import load_settings, paths
from autosre_lab.web.allow_list import AllowList

__all__ = ["BrowserConfig", "browser_config"]


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
        recordings_ttl_h: Hours that a recording is kept.
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
    recordings_ttl_h: float = 24.0
    allow: AllowList = field(default_factory=AllowList)


def browser_config(environ: Mapping[str, str] | None = None) -> BrowserConfig:
    """Return what the environment says.

    ``AUTOSRE_BROWSER_URL``, ``AUTOSRE_BROWSER_TOKEN`` or ``AUTOSRE_BROWSER_TOKEN_FILE``,
    ``AUTOSRE_BROWSER_KIND``, ``AUTOSRE_CHROMIUM``, ``AUTOSRE_CHROMIUM_SANDBOX``,
    ``AUTOSRE_BROWSER_SESSIONS``, ``AUTOSRE_BROWSER_IDLE_S``, ``AUTOSRE_RECORDINGS_DIR``,
    ``AUTOSRE_RECORDINGS_TTL_H``, and the setting ``fetch_allow`` of the web tools.

    Args:
        environ: The environment to read; this process's own when not given.

    Raises:
        ConfigError: A variable holds something unusable.
    """
    env = os.environ if environ is None else environ
    state = paths(env).state / "browser"
    recordings = Path(env.get("AUTOSRE_RECORDINGS_DIR") or state / "recordings").expanduser()
    if not recordings.is_absolute():
        raise ConfigError(
            f"AUTOSRE_RECORDINGS_DIR={recordings} is a relative path",
            remedy="give an absolute path",
        )
    return BrowserConfig(
        url=_service_url(env.get("AUTOSRE_BROWSER_URL", "")),
        token=_token(env),
        kind=_one_of(env, "AUTOSRE_BROWSER_KIND", ("cdp", "browserless")),
        chromium=env.get("AUTOSRE_CHROMIUM", ""),
        sandbox=_switch(env, "AUTOSRE_CHROMIUM_SANDBOX"),
        sessions=int(_number(env, "AUTOSRE_BROWSER_SESSIONS", 4, least=1)),
        idle_s=_number(env, "AUTOSRE_BROWSER_IDLE_S", 600, least=1),
        folder=state,
        recordings=recordings,
        recordings_ttl_h=_number(env, "AUTOSRE_RECORDINGS_TTL_H", 24, least=0),
        allow=AllowList.parse(load_settings(env).fetch_allow),
    )


def _service_url(url: str) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"AUTOSRE_BROWSER_URL={url} is no http or https URL",
            remedy="for example AUTOSRE_BROWSER_URL=http://10.96.0.33:3010",
        )
    if parts.query or "@" in parts.netloc:
        raise ConfigError(
            "AUTOSRE_BROWSER_URL holds more than scheme, host, port and path",
            remedy="give the token as AUTOSRE_BROWSER_TOKEN: URLs end up in logs",
        )
    return url.rstrip("/")


def _token(env: Mapping[str, str]) -> str:
    if env.get("AUTOSRE_BROWSER_TOKEN"):
        return env["AUTOSRE_BROWSER_TOKEN"]
    file = env.get("AUTOSRE_BROWSER_TOKEN_FILE")
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"AUTOSRE_BROWSER_TOKEN_FILE={file} cannot be read: {error}",
            remedy="write the browser's token into it, readable by you only",
        ) from error


def _one_of(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = env.get(name) or choices[0]
    if value not in choices:
        raise ConfigError(f"{name}={value} is unknown", remedy=f"one of {', '.join(choices)}")
    return value


def _switch(env: Mapping[str, str], name: str) -> bool | None:
    value = env.get(name, "")
    if value not in ("", "0", "1"):
        raise ConfigError(f"{name}={value} is neither 0 nor 1", remedy=f"{name}=0 or {name}=1")
    return value == "1" if value else None


def _number(env: Mapping[str, str], name: str, usual: float, *, least: float) -> float:
    raw = env.get(name)
    if not raw:
        return usual
    try:
        value = float(raw)
    except ValueError:
        value = float("nan")
    if not least <= value < float("inf"):
        raise ConfigError(
            f"{name}={raw} is no number from {least:g} on", remedy=f"for example {name}={usual:g}"
        )
    return value
