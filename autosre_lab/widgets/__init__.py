"""What notebooks show: widgets and plots over the library, each with a twin that is plain data.

A widget is shown where somebody looks; in a headless run its twin is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.widgets.answer_time import plot_time_breakdown, time_breakdown
    from autosre_lab.widgets.background import Work
    from autosre_lab.widgets.badge import badge_mark, stack_badge
    from autosre_lab.widgets.dashboard import Dashboard, observe
    from autosre_lab.widgets.deploy_panel import DeployPanel, deploy
    from autosre_lab.widgets.deployment import change_table, check_table, drift_table
    from autosre_lab.widgets.look import figure_look, look_template
    from autosre_lab.widgets.recipe_choice import recipe_picker, recipe_table
    from autosre_lab.widgets.surface import Shown, interactive

_HOME = {
    "Dashboard": "dashboard",
    "DeployPanel": "deploy_panel",
    "Shown": "surface",
    "Work": "background",
    "badge_mark": "badge",
    "change_table": "deployment",
    "check_table": "deployment",
    "deploy": "deploy_panel",
    "drift_table": "deployment",
    "figure_look": "look",
    "interactive": "surface",
    "look_template": "look",
    "observe": "dashboard",
    "plot_time_breakdown": "answer_time",
    "recipe_picker": "recipe_choice",
    "recipe_table": "recipe_choice",
    "stack_badge": "badge",
    "time_breakdown": "answer_time",
}

__all__ = [
    "Dashboard",
    "DeployPanel",
    "Shown",
    "Work",
    "badge_mark",
    "change_table",
    "check_table",
    "deploy",
    "drift_table",
    "figure_look",
    "interactive",
    "look_template",
    "observe",
    "plot_time_breakdown",
    "recipe_picker",
    "recipe_table",
    "stack_badge",
    "time_breakdown",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
