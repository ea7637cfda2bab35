"""What a session has beyond Claude Code itself: what was added to our folder, what a user brings.

A user's own configuration folder is read and never written. Agents, skills and memory are copied
into the session's folder, plugins beside them, from the folder that Claude Code keeps installed
ones in; MCP servers and hooks are named to the session. Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autosre_lab.agents.bringing import KINDS, bring_files, files_of, told, unreadable_is_told
from autosre_lab.agents.claude.config_home import write_private

__all__ = [
    "BRINGABLE",
    "Additions",
    "Placed",
    "additions_of",
    "collect",
    "place",
    "recorded_additions",
]

BRINGABLE = KINDS
"""What a user can bring."""

_STATE = ".claude.json"
_COPIED = {
    "agents": ("agents",),
    "skills": ("skills", "commands"),
    "memory": ("CLAUDE.md", "rules"),
}
_PLUGINS = "brought-plugins"
_HOOKS = f"{_PLUGINS}/brought-hooks"
_ROOT = "${CLAUDE_PLUGIN_ROOT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """What was found, before anything of it is written.

    Attributes:
        files: What to copy, by its place in the session's folder.
        plugins: Folders of plugins, by name.
        servers: MCP servers by name, as Claude Code's configuration writes them.
        hooks: Hooks by event, as Claude Code's settings write them.
        notes: What a person should know, a sentence each.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    plugins: Mapping[str, Path] = field(default_factory=dict)
    servers: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def with_(self, other: Additions) -> Additions:
        """Return both; the other's where both have one of a name."""
        return Additions(
            files={**self.files, **other.files},
            plugins={**self.plugins, **other.plugins},
            servers={**self.servers, **other.servers},
            hooks={**self.hooks, **other.hooks},
            notes=(*self.notes, *other.notes),
        )

    @property
    def digest(self) -> str:
        """A name of all that adds to a prompt; "" where there is nothing."""
        parts = {**self.files, **{f"{_PLUGINS}/{one}": at for one, at in self.plugins.items()}}
        if not parts and not self.servers:
            return ""
        told = hashlib.sha256(json.dumps(self.servers, sort_keys=True).encode())
        for name, source in sorted(parts.items()):
            for file in files_of(source):
                found = file.stat()
                told.update(f"{name}\0{file}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
        return told.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Additions as a session is told of them.

    Attributes:
        mcp_file: The MCP servers; None where there are none.
        plugin_dirs: Folders of plugins, and of the hooks, which come as one.
    """

    mcp_file: Path | None = None
    plugin_dirs: tuple[Path, ...] = ()


def additions_of(
    folder: Path, cwd: Path, *, bring: Collection[str], environ: Mapping[str, str], home: Path
) -> Additions:
    """Find what a session has in addition.

    Args:
        folder: The configuration folder of our sessions.
        cwd: Where Claude Code will be started.
        bring: What the user brings, some of `BRINGABLE`.
        environ: The user's environment, which may name another configuration folder.
        home: The user's home.
    """
    ours = collect(("mcp", "plugins"), folder, folder / _STATE, cwd)
    servers = dict(ours.servers)
    for plugin in ours.plugins.values():
        # They load by themselves, but their MCP servers do not: sessions are told all of these.
        servers |= _plugin_servers(plugin)
    notes = list(ours.notes)
    if servers:
        notes.append(f"MCP servers that you added: {', '.join(sorted(servers))}")
    added = Additions(servers=servers)
    if bring:
        named = environ.get("CLAUDE_CONFIG_DIR")
        theirs = Path(named) if named else home / ".claude"
        state = (theirs if named else home) / _STATE
        brought = collect(bring, theirs, state, cwd)
        notes += [*brought.notes, _told(brought, bring, theirs)]
        added = added.with_(brought)
    ignored = [one for one in (cwd, *cwd.parents) if (one / ".mcp.json").is_file()]
    if ignored:
        notes.append(
            f"{ignored[0] / '.mcp.json'} is not loaded; to load it: --mcp-config "
            f"{ignored[0] / '.mcp.json'}"
        )
    return replace(added, notes=tuple(notes))


def recorded_additions(added: Additions, folder: Path, cwd: Path) -> Additions:
    """Return all that a session has in addition, to have its first request recorded elsewhere.

    Hooks add nothing that can be counted, and running them has effects.

    Args:
        added: From `additions_of`, after `place`.
        folder: The configuration folder of our sessions.
        cwd: Where Claude Code will be started.
    """
    ours = collect(("agents", "skills", "memory", "plugins"), folder, folder / _STATE, cwd)
    return replace(ours.with_(replace(added, files={}, hooks={})), notes=())


def collect(kinds: Collection[str], folder: Path, state: Path, cwd: Path) -> Additions:
    """Find what a configuration folder has of the kinds.

    Args:
        kinds: Some of `BRINGABLE`.
        folder: The configuration folder.
        state: The file with Claude Code's state, which names MCP servers.
        cwd: Where Claude Code will be started: servers and plugins of that folder count.
    """
    files = {
        name: folder / name
        for kind, names in _COPIED.items()
        if kind in kinds
        for name in names
        if (folder / name).exists()
    }
    settings = _read(folder / "settings.json")
    servers: dict[str, Any] = {}
    if "mcp" in kinds:
        known = _read(state)
        project = _mapping(_mapping(known.get("projects")).get(str(cwd)))
        servers = {**_mapping(known.get("mcpServers")), **_mapping(project.get("mcpServers"))}
    plugins: dict[str, Path] = {}
    notes: tuple[str, ...] = ()
    if "plugins" in kinds:
        plugins, notes = _plugins(folder, settings, cwd)
    return Additions(
        files=files,
        plugins=plugins,
        servers=servers,
        hooks=_mapping(settings.get("hooks")) if "hooks" in kinds else {},
        notes=notes,
    )


def place(additions: Additions, folder: Path, cwd: Path) -> Placed:
    """Copy what was found into a session's folder, and name the rest.

    What an earlier session had brought and this one does not is taken away again; what a person has
    made in the session's folder is left alone, and comes first.

    Args:
        additions: What was found.
        folder: The session's configuration folder.
        cwd: Where Claude Code will be started.

    Raises:
        ConfigError: Something cannot be read or written.
    """
    roots = {**additions.files, **{f"{_PLUGINS}/{n}": p for n, p in additions.plugins.items()}}
    with unreadable_is_told():
        bring_files(roots, folder)
        if additions.hooks:
            _write_hooks(folder / _HOOKS, additions.hooks)
        else:
            shutil.rmtree(folder / _HOOKS, ignore_errors=True)
    plugin_dirs = [folder / _PLUGINS / name for name in additions.plugins]
    servers = dict(additions.servers)
    for plugin in plugin_dirs:
        servers |= _plugin_servers(plugin)
    file = None
    if servers:
        file = folder / f"mcp-{hashlib.sha256(str(cwd).encode()).hexdigest()[:12]}.json"
        write_private(file, {"mcpServers": servers})
    if additions.hooks:
        plugin_dirs.append(folder / _HOOKS)
    return Placed(mcp_file=file, plugin_dirs=tuple(plugin_dirs))


def _write_hooks(plugin: Path, hooks: Mapping[str, Any]) -> None:
    """Write hooks as a plugin: a session's own --settings stay a person's own."""
    for name, content in (
        (".claude-plugin/plugin.json", {"name": plugin.name, "version": "1.0.0"}),
        ("hooks/hooks.json", {"hooks": hooks}),
    ):
        (plugin / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (plugin / name).write_text(json.dumps(content), encoding="utf-8")


def _told(brought: Additions, bring: Collection[str], folder: Path) -> str:
    """Say what was found, so that an empty folder is seen."""
    found = {
        "plugins": sorted(brought.plugins),
        "hooks": sorted(brought.hooks),
        "mcp": sorted(brought.servers),
    }
    for kind, names in _COPIED.items():
        found[kind] = [name for name in names if name in brought.files]
    return told({kind: found[kind] for kind in BRINGABLE if kind in bring}, folder)


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is none that can be read."""
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Claude Code repairs a damaged file by itself, from its own backups.
        return {}
    return _mapping(loaded)


def _plugins(
    folder: Path, settings: Mapping[str, Any], cwd: Path
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the folders of the installed and enabled plugins, and what is missing of them."""
    installed = _mapping(_read(folder / "plugins" / "installed_plugins.json").get("plugins"))
    enabled = _mapping(settings.get("enabledPlugins"))
    found, missing = {}, []
    for name, entries in installed.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            entry = _mapping(entry)
            project = entry.get("projectPath")
            if not enabled.get(name, project is not None) or project not in (None, str(cwd)):
                continue
            at = Path(str(entry.get("installPath") or ""))
            if at.is_absolute() and at.is_dir():
                found[name.partition("@")[0]] = at
            else:
                missing.append(name)
    return found, tuple(
        f"the plugin {name} is not in its cache: install it again, or update it, with your own "
        "Claude Code"
        for name in missing
    )


def _plugin_servers(plugin: Path) -> dict[str, Any]:
    """Return a plugin's MCP servers under the names that Claude Code gives them."""
    manifest = _read(plugin / ".claude-plugin" / "plugin.json")
    told = manifest.get("mcpServers", "./.mcp.json")
    table = _read(plugin / told) if isinstance(told, str) else _mapping(told)
    servers = _mapping(table.get("mcpServers", table))
    name = str(manifest.get("name") or plugin.name)
    # Claude Code replaces the variable in a plugin's own configuration only.
    text = json.dumps(servers).replace(_ROOT, json.dumps(str(plugin))[1:-1])
    return {f"plugin_{name}_{server}": one for server, one in json.loads(text).items()}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
