"""The stack as supervised processes of this machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.local.stack import start, started_recipe, status, stop, switch, wait_ready

_HOME = {
    "start": "stack",
    "started_recipe": "stack",
    "status": "stack",
    "stop": "stack",
    "switch": "stack",
    "wait_ready": "stack",
}

__all__ = [
    "start",
    "started_recipe",
    "status",
    "stop",
    "switch",
    "wait_ready",
]


def __getattr__(name: str) -> object:
    # The supervisor imports parts of this package and must stay light.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
