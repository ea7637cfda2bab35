"""Programs in the place of pip, npm and node: shell scripts that note how they were called."""

from __future__ import annotations

from pathlib import Path


def program(path: Path, body: str) -> Path:
    """Write an executable whose calls are noted, a line each, in ``NAME.calls`` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "$*" >> "{path}.calls"\n{body}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def calls(path: Path) -> list[str]:
    """Return how a program was called, the first call first."""
    noted = path.with_name(path.name + ".calls")
    return noted.read_text(encoding="utf-8").splitlines() if noted.exists() else []


class Bar:
    """A progress step that only remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.shares: list[float] = []

    def advance(self, amount: float = 1) -> None:
        self.shares.append((self.shares or [0.0])[-1] + amount)

    def reach(self, done: float, total: float | None = None) -> None:
        self.shares.append(done)

    def note(self, text: str) -> None:
        self.notes.append(text)
