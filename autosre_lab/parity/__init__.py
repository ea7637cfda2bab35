"""Parity: what runs, compared with what a recipe would run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.parity.drift import find_drift, warn_on_recipe_drift
    from autosre_lab.parity.from_pod import TakenOver, recipe_from_pod
    from autosre_lab.parity.from_process import recipe_from_process
    from autosre_lab.parity.report import DriftReport, DriftRow, DriftWarning
else:
    __getattr__, __dir__ = lazy_exports(__name__)

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
