"""What runs inside vLLM's own process: its key asked for on every route that does work."""

from __future__ import annotations

from pathlib import Path

__all__ = ["guard_folder"]


def guard_folder() -> Path:
    """Return the folder that has to be on vLLM's PYTHONPATH."""
    return Path(__file__).parent
