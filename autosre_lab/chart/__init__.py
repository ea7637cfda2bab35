"""The stack as Kubernetes objects: values from a recipe, objects from values, by real Helm."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.chart.from_recipe import ChartOptions, chart_values, helm_values
    from autosre_lab.chart.image import build_image
    from autosre_lab.chart.rendering import Renderer, chart_folder, render
    from autosre_lab.chart.validate import invalid_objects

_HOME = {
    "ChartOptions": "from_recipe",
    "Renderer": "rendering",
    "build_image": "image",
    "chart_folder": "rendering",
    "chart_values": "from_recipe",
    "helm_values": "from_recipe",
    "invalid_objects": "validate",
    "render": "rendering",
}

__all__ = [
    "ChartOptions",
    "Renderer",
    "build_image",
    "chart_folder",
    "chart_values",
    "helm_values",
    "invalid_objects",
    "render",
]


def __getattr__(name: str) -> object:
    # The renderer's child process imports this package, and shall be quick.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
