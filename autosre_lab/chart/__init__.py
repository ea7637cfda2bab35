"""The stack as Kubernetes objects: values from a recipe, objects from values, by real Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.chart.from_recipe import ChartOptions, chart_values, helm_values
    from autosre_lab.chart.image import build_image
    from autosre_lab.chart.rendering import Renderer, chart_folder, render
    from autosre_lab.chart.validate import invalid_objects
else:
    # The renderer's child process imports this package, and shall be quick.
    __getattr__, __dir__ = lazy_exports(__name__)

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
