"""Talking to vLLM: a thin client, readiness, and why it ended."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.engine.backend import VllmBackend
    from autosre_lab.engine.protocol import ServedModel

_HOME = {
    "ServedModel": "protocol",
    "VllmBackend": "backend",
}

__all__ = [
    "ServedModel",
    "VllmBackend",
]


def __getattr__(name: str) -> object:
    # The proxy imports parts of this package and must stay light.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
