"""What a user brings along, as copies in a session's folder: kept current, and taken away again.

A user's own folder is read and never written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.processes.files import read_json, write_private_json

__all__ = ["KINDS", "bring_files", "files_of", "told", "unreadable_is_told"]

KINDS = ("plugins", "hooks", "agents", "skills", "mcp", "memory")
"""What users can bring; an agent takes those of them that it has."""

MANIFEST = "brought.json"


def bring_files(roots: Mapping[str, Path], folder: Path) -> None:
    """Copy files and folders into a session's folder.

    What an earlier session had brought and this one does not is taken away again; what a person has
    made in the session's folder is left alone, and comes first.

    Args:
        roots: What to copy, by its place in the folder.
        folder: The session's.

    Raises:
        OSError: Something cannot be read or written.
    """
    manifest = folder / MANIFEST
    before = {name: str(digest) for name, digest in (read_json(manifest) or {}).items()}
    after = _copy(roots, folder, before)
    if after != before:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_json(manifest, after)


def files_of(source: Path) -> Iterator[Path]:
    """Every file of a folder, or the file itself; links are followed, but not in circles."""
    if source.is_file():
        yield source
        return
    seen = set()
    waiting = [source]
    while waiting:
        at = waiting.pop()
        if (real := at.resolve()) in seen or at.name == ".git":
            continue
        seen.add(real)
        for one in sorted(at.iterdir()):
            if one.is_dir():
                waiting.append(one)
            elif one.is_file():
                yield one


def told(found: Mapping[str, Sequence[str]], folder: Path) -> str:
    """Say what was found of each kind, so that an empty folder is seen."""
    said = (f"{kind}: {', '.join(names) or 'none'}" for kind, names in found.items())
    return f"brought from {folder}: {'; '.join(said)}"


@contextmanager
def unreadable_is_told() -> Iterator[None]:
    """Make an error of what cannot be copied.

    Raises:
        ConfigError: It cannot.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"what you bring cannot be copied: {error}",
            remedy="leave that kind out of --bring, or make it readable",
        ) from error


def _copy(roots: Mapping[str, Path], folder: Path, before: Mapping[str, str]) -> dict[str, str]:
    """Copy file by file; return a digest of each copy's original, by its place."""
    wanted: dict[str, Path] = {}
    for name, source in roots.items():
        for file in files_of(source):
            wanted[str(Path(name) / file.relative_to(source))] = file
    after = {}
    for name, file in wanted.items():
        target = folder / name
        if name not in before and target.exists():
            continue  # a person's own, made here
        found = file.stat()
        after[name] = f"{file} {found.st_size} {found.st_mtime_ns}"
        if before.get(name) != after[name] or not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(file, target)
    for name in before.keys() - after.keys():
        (folder / name).unlink(missing_ok=True)
        for parent in (folder / name).parents:
            if parent == folder or not parent.exists() or any(parent.iterdir()):
                break
            parent.rmdir()
    return after
