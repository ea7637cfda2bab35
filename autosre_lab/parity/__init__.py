"""Parity: what runs, compared with what a recipe would run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.parity.drift import find_drift, warn_on_recipe_drift
    from autosre_lab.parity.from_pod import TakenOver, recipe_from_pod
    from autosre_lab.parity.from_process import recipe_from_process
    from autosre_lab.parity.report import DriftReport, DriftRow, DriftWarning

_HOME = {
    "DriftReport": "report",
    "DriftRow": "report",
    "DriftWarning": "report",
    "TakenOver": "from_pod",
    "find_drift": "drift",
    "recipe_from_pod": "from_pod",
    "recipe_from_process": "from_process",
    "warn_on_recipe_drift": "drift",
}

__all__ = [
    "DriftReport",
    "DriftRow",
    "DriftWarning",
    "TakenOver",
    "find_drift",
    "recipe_from_pod",
    "recipe_from_process",
    "warn_on_recipe_drift",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
