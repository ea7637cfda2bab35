"""What notebooks call: tables, widgets and plots over the library, and headless runs.

Each widget has a plain function beside it that returns the same data.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.lab.answer_time import plot_time_breakdown, time_breakdown
    from autosre_lab.lab.headless import run_dir, run_notebook, save_summary
    from autosre_lab.lab.recipe_choice import recipe_picker, recipe_table

_HOME = {
    "plot_time_breakdown": "answer_time",
    "recipe_picker": "recipe_choice",
    "recipe_table": "recipe_choice",
    "run_dir": "headless",
    "run_notebook": "headless",
    "save_summary": "headless",
    "time_breakdown": "answer_time",
}

__all__ = [
    "plot_time_breakdown",
    "recipe_picker",
    "recipe_table",
    "run_dir",
    "run_notebook",
    "save_summary",
    "time_breakdown",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
