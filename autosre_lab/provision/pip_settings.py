"""What pip is told on this machine, for uv, which reads none of it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PipSettings", "parse_pip_settings", "read_pip_settings", "uv_variables"]

_LINE = re.compile(r"(:env:|install|global)\.([\w-]+)=(.*)")
_STRONGEST_FIRST = (":env:", "install", "global")
_FALSE = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipSettings:
    """Where packages come from.

    Attributes:
        index_url: The index; None for PyPI.
        extra_index_urls: Further ones, of the same rank.
        find_links: Folders and pages with files.
        constraints: Files that bound versions.
        trusted_hosts: Hosts whose certificates are not checked.
        no_index: No index is asked.
        cert: The file with the certificates that are trusted; None for the system's.
        timeout_s: Seconds for one answer; None for the usual.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    timeout_s: str | None = None


def read_pip_settings(environ: Mapping[str, str]) -> PipSettings:
    """Return what ``pip config list`` says; the variables alone where there is no pip.

    Args:
        environ: The environment that an installer gets.
    """
    for pip in ([sys.executable, "-m", "pip"], [shutil.which("pip3") or "pip3"]):
        try:
            said = subprocess.run(
                [*pip, "config", "list"],
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=dict(environ),
                check=False,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if said.returncode == 0:
            return parse_pip_settings(said.stdout)
    own = [(name[4:].lower().replace("_", "-"), value) for name, value in environ.items()
           if name.startswith("PIP_")]  # fmt: skip
    return parse_pip_settings("\n".join(f":env:.{name}={value!r}" for name, value in own))


def parse_pip_settings(text: str) -> PipSettings:
    """Read what ``pip config list`` prints; a variable is stronger than a file."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if matched := _LINE.fullmatch(line.strip()):
            section, key, shown = matched.groups()
            try:
                value = ast.literal_eval(shown)
            except (ValueError, SyntaxError):
                continue
            found.setdefault(key, {})[section] = str(value)

    def one(*keys: str) -> str | None:
        for section in _STRONGEST_FIRST:
            for key in keys:
                if value := found.get(key, {}).get(section, "").strip():
                    return value
        return None

    def several(key: str) -> tuple[str, ...]:
        return tuple((one(key) or "").split())

    return PipSettings(
        index_url=one("index-url"),
        extra_index_urls=several("extra-index-url"),
        find_links=several("find-links"),
        constraints=several("constraint"),
        trusted_hosts=several("trusted-host"),
        no_index=(one("no-index") or "").lower() not in _FALSE,
        cert=one("cert"),
        timeout_s=one("timeout", "default-timeout"),
    )


def uv_variables(settings: PipSettings, *, constrained: bool) -> dict[str, str]:
    """Return the same for uv, as variables: an address may hold a password, and every user of the
    machine can read command lines.

    Args:
        settings: What pip is told.
        constrained: Whether versions are still to be chosen; a lock has chosen them.
    """  # noqa: D205
    said = {
        "UV_DEFAULT_INDEX": settings.index_url,
        "UV_INDEX": " ".join(settings.extra_index_urls),
        "UV_FIND_LINKS": ",".join(settings.find_links),
        "UV_CONSTRAINT": " ".join(settings.constraints) if constrained else "",
        "UV_INSECURE_HOST": " ".join(settings.trusted_hosts),
        "SSL_CERT_FILE": settings.cert,
        "UV_HTTP_TIMEOUT": settings.timeout_s,
        # As pip does it: the best version of any index, for none is trusted more than another.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    return {name: value for name, value in said.items() if value}
