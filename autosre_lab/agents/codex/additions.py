"""What a user brings into a Codex session from a folder of their own, which is only read.

Skills, prompts and memory are copied into the session's CODEX_HOME. MCP servers may hold keys, so
they are on no command line: they stand in a file that Codex lays on its configuration
(``--profile``), readable by its owner alone.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosre_lab.agents.bringing import bring_files, files_of, told, unreadable_is_told
from autosre_lab.errors import ConfigError
from autosre_lab.processes.files import write_private_text

__all__ = ["AWAITED", "BRINGABLE", "PROFILE", "Brought", "bring_along"]

BRINGABLE = ("skills", "mcp", "memory")
"""What a user can bring: plugins are off in our sessions, and hooks and agents are not tried."""

AWAITED = {"required": True, "startup_timeout_sec": 60}
"""Codex does not wait for a server otherwise: its tools come in the middle of the session, and the
whole context is prefilled again. One that does not start ends the session, by its name."""

PROFILE = "autosre-brought"
_COPIED = {
    "skills": ("skills", "prompts"),
    "memory": ("AGENTS.md", "AGENTS.override.md"),
}
_SKILL = "SKILL.md"
_LONGEST_MEMORY = 32_768
"""Bytes of memory that Codex reads (`project_doc_max_bytes`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a session has in addition.

    Attributes:
        has_servers: MCP servers are among it.
        prompt_bytes: What it adds to the first prompt, without the schemas of MCP servers' tools.
        notes: What a person should know, a sentence each.
    """

    has_servers: bool = False
    prompt_bytes: int = 0
    notes: tuple[str, ...] = ()


def bring_along(
    kinds: Collection[str], folder: Path, *, environ: Mapping[str, str], home: Path
) -> Brought:
    """Copy what a user brings, and take away what an earlier session had brought.

    Args:
        kinds: Some of `BRINGABLE`.
        folder: The session's CODEX_HOME. What a person has made there comes first.
        environ: The user's environment, which may name another folder of theirs.
        home: The user's home.

    Raises:
        ConfigError: Something cannot be read or written.
    """
    theirs = Path(environ.get("CODEX_HOME") or home / ".codex")
    found = {kind: _found(theirs, names) for kind, names in _COPIED.items() if kind in kinds}
    roots = {name: path for files in found.values() for name, path in files.items()}
    with unreadable_is_told():
        bring_files(roots, folder)
    profile = folder / f"{PROFILE}.config.toml"
    servers = _servers(theirs, folder) if "mcp" in kinds else {}
    if servers:
        tables = {name: AWAITED | fields for name, fields in servers.items()}
        write_private_text(profile, "".join(map(_table, tables.items())))
    else:
        profile.unlink(missing_ok=True)
    if not kinds:
        return Brought()
    names = {**{kind: sorted(files) for kind, files in found.items()}, "mcp": sorted(servers)}
    notes = [told({kind: names[kind] for kind in BRINGABLE if kind in kinds}, theirs)]
    if servers:
        notes.append(
            "the schemas of these MCP servers' tools are not counted in the check of the window"
        )
    return Brought(
        has_servers=bool(servers),
        prompt_bytes=sum(_prompt_bytes(path) for path in roots.values()),
        notes=tuple(notes),
    )


def _found(theirs: Path, names: Collection[str]) -> dict[str, Path]:
    """Return what a folder has, by its place; a skill each, but for those that Codex brings."""
    found: dict[str, Path] = {}
    for name in names:
        at = theirs / name
        if at.is_dir():
            found |= {f"{name}/{one.name}": one for one in at.iterdir() if one.name[0] != "."}
        elif at.is_file():
            found[name] = at
    return found


def _prompt_bytes(path: Path) -> int:
    """Return what a file adds to the first prompt; of a skill that is its description."""
    if path.name in _COPIED["memory"]:
        return min(path.stat().st_size, _LONGEST_MEMORY)
    skills = (file for file in files_of(path) if file.name == _SKILL)
    heads = (file.read_text("utf-8", "replace").partition("\n---")[0] for file in skills)
    return sum(len(head.encode()) + len(str(path)) for head in heads)


def _servers(theirs: Path, ours: Path) -> dict[str, Any]:
    """Return a user's MCP servers, but for those whose name stands in the session's folder."""
    known = _mcp_servers(ours / "config.toml", broken_is_told=False)
    brought = _mcp_servers(theirs / "config.toml", broken_is_told=True)
    return {name: table for name, table in brought.items() if name not in known}


def _mcp_servers(file: Path, *, broken_is_told: bool) -> dict[str, Any]:
    try:
        servers = tomllib.loads(file.read_text("utf-8")).get("mcp_servers", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        if not broken_is_told:
            return {}  # Codex itself says what is wrong with it
        raise ConfigError(
            f"{file} cannot be read: {error}", remedy="correct it, or leave mcp out of --bring"
        ) from error
    return servers if isinstance(servers, dict) else {}


def _table(server: tuple[str, Any]) -> str:
    name, fields = server
    lines = (f"{_text(key)} = {_value(value)}\n" for key, value in fields.items())
    return f"[mcp_servers.{_text(name)}]\n{''.join(lines)}\n"


def _value(value: object) -> str:
    """Return a value as TOML."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_text(key)} = {_value(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)  # numbers and times


def _text(value: str) -> str:
    # A JSON string is a TOML basic string, but for this one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
