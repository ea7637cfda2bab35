"""What was installed and cached on this machine, how large it is, and what of it can go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autosre_lab.errors import AutosreError
from autosre_lab.private_files import os_errors_explained
from autosre_lab.processes.files import is_locked
from autosre_lab.provision.claude_code import CLAUDE_CODE_VERSIONS
from autosre_lab.provision.codex import CODEX_VERSIONS
from autosre_lab.provision.engine_environment import engine_folder
from autosre_lab.provision.model_folder import model_folder
from autosre_lab.settings import paths

__all__ = ["StoredItem", "prune_storage", "stored_items"]

Kind = Literal["engine", "model", "agent", "cache", "leftover", "other"]

_AGENTS = {"claude-code": CLAUDE_CODE_VERSIONS, "codex": CODEX_VERSIONS}
_LEFTOVERS = (".partial", ".work")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """One thing on the disk.

    Attributes:
        kind: ``engine``, ``model`` and ``agent`` were installed; ``cache`` is made again when it
            is missing; ``leftover`` is of an installation that was cut off; ``other`` is not ours.
        name: What it is.
        path: Where it is.
        size_bytes: What it takes on the disk; what two items share is counted with the first.
        used_by: What needs it; empty where nothing does.
        prunable: Whether `prune_storage` would take it away.
    """

    kind: Kind
    name: str
    path: Path
    size_bytes: int
    used_by: str
    prunable: bool


def stored_items(*, running: bool = False) -> list[StoredItem]:
    """Return what the data and the cache folder hold, the largest first.

    Args:
        running: Whether a stack runs: then its caches are in use.
    """
    seen: set[tuple[int, int]] = set()
    needed = _needed()
    items = []
    for kind, path in _entries():
        used = needed.get(path, "")
        if kind == "cache" and running:
            used = "the stack that runs"
        if kind == "leftover" and is_locked(_lock_of(path)):
            used = "an installation that goes on"
        items.append(
            StoredItem(
                kind=kind,
                name=str(path.relative_to(path.parents[0 if kind in ("cache", "other") else 1])),
                path=path,
                size_bytes=_size(path, seen),
                used_by=used,
                prunable=kind != "other" and not used,
            )
        )
    return sorted(items, key=lambda item: -item.size_bytes)


def prune_storage(
    items: list[StoredItem], *, done: Callable[[StoredItem], None] = lambda _: None
) -> int:
    """Delete what can go, and return how many bytes that was.

    Args:
        items: As `stored_items` gave them; what is not prunable stays.
        done: Called with each item when it is gone.

    Raises:
        FileError: Something cannot be deleted; what was deleted before stays so.
    """
    freed = 0
    for item in items:
        if not item.prunable:
            continue
        with os_errors_explained(item.path):
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
        freed += item.size_bytes
        done(item)
    return freed


def _entries() -> Iterator[tuple[Kind, Path]]:
    folders = paths()
    installed: dict[str, Kind] = {"engines": "engine", "models": "model"}
    installed |= dict.fromkeys(_AGENTS, "agent")
    for folder in _children(folders.data):
        if folder.name not in installed:
            yield "other", folder
            continue
        for path in _children(folder):
            if path.suffix in _LEFTOVERS:
                yield "leftover", path
            elif path.suffix != ".lock":
                yield installed[folder.name], path
    for path in _children(folders.cache):
        yield "cache", path


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _needed() -> dict[Path, str]:
    """Return what is needed, and by what: by each recipe, and by this version of the package."""
    from autosre_lab.recipe import load_recipe, recipe_names

    needed = {
        paths().data / name / version: "this version of autosre-lab"
        for name, versions in _AGENTS.items()
        for version in versions
    }
    for name in recipe_names():
        try:
            recipe = load_recipe(name)
        except AutosreError:
            continue  # one that is being written needs nothing yet
        if recipe.runtime is not None:
            folder = engine_folder(recipe.runtime.distribution, recipe.runtime.version)
            needed[folder] = f"recipe {name}"
            needed[model_folder(recipe)] = f"recipe {name}"
    return needed


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    total = 0
    waiting = [path]
    while waiting:
        one = waiting.pop()
        try:
            found = one.lstat()
            if (found.st_dev, found.st_ino) in seen:
                continue  # a second name of one file
            seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * 512
            if one.is_dir() and not one.is_symlink():
                with os.scandir(one) as entries:
                    waiting += [Path(entry.path) for entry in entries]
        except OSError:
            continue  # it went while we were looking
    return total
