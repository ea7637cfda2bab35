"""One report of everything measured, as HTML and JSON."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.report.gathering import Gathered, gather
    from autosre_lab.report.measuring import measure_stack
    from autosre_lab.report.writing import write_report

_HOME = {
    "Gathered": "gathering",
    "gather": "gathering",
    "measure_stack": "measuring",
    "write_report": "writing",
}

__all__ = ["Gathered", "gather", "measure_stack", "write_report"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
