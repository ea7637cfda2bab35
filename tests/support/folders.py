"""A user's folder in a test: written, and looked at whether anything changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def write(file: Path, content: object) -> None:
    """Write a text, or what JSON makes of anything else."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


def digest(folder: Path) -> str:
    """Return a name of all that is in a folder: contents, modes and times."""
    told = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        told.update(f"{file} {file.lstat().st_mode} {file.lstat().st_mtime_ns}".encode())
        told.update(file.read_bytes() if file.is_file() else b"")
    return told.hexdigest()
