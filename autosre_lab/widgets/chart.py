"""A figure on a page, as one value: whoever draws it late, or again, draws the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from autosre_lab.errors import MissingExtraError
from autosre_lab.widgets.front import front
from autosre_lab.widgets.surface import Shown, require_widgets
from autosre_lab.widgets.theme import figure_theme

__all__ = ["ThemedFigure", "chart", "plotly_for_charts"]

# All charts of a page wait for one copy of plotly, which `plotly_for_charts` brings: it has 5 MB.
_SHARED = """
const shared = (globalThis.autosrePlotly ??= (() => {
  let give;
  const plotly = new Promise((resolve) => { give = resolve; });
  return { plotly, give };
})());
"""

_PLOTLY = (
    _SHARED
    + """
const module = { exports: {} };
%s;
shared.give(module.exports);
export default { render({ el }) { el.style.display = "none"; } };
"""
)

_CHART = (
    _SHARED
    + """
async function render({ model, el }) {
  const place = document.createElement("div");
  place.style.width = "100%";
  el.append(place);
  let [drawing, again, gone] = [false, false, false];
  const draw = async () => {
    again = true;
    if (drawing) return;
    drawing = true;
    try {
      const Plotly = await shared.plotly;
      while (again && !gone) {
        again = false;
        const { data, layout } = JSON.parse(model.get("figure"));
        // What a person zoomed into or hid stays so while the numbers change.
        layout.uirevision ??= "kept";
        await Plotly.react(place, data, layout, { responsive: true, displaylogo: false });
      }
    } finally {
      drawing = false;
    }
  };
  model.on("change:figure", draw);
  draw();
  return () => {
    gone = true;
    model.off("change:figure", draw);
    shared.plotly.then((Plotly) => Plotly.purge(place));
  };
}
export default { render };
"""
)


@cache
def _classes() -> tuple[Any, Any]:
    try:
        import anywidget
        import traitlets
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("widgets", extra="notebooks") from error

    class Chart(anywidget.AnyWidget):
        """See `chart`."""

        _esm = _CHART
        figure = traitlets.Unicode('{"data": [], "layout": {}}').tag(sync=True)

        def show(self, figure: Any) -> None:
            """Show a plotly figure from now on."""
            self.figure = figure.to_json()

    class Plotly(anywidget.AnyWidget):
        """See `plotly_for_charts`."""

        _esm = _PLOTLY % get_plotlyjs()

    return Chart, Plotly


def chart() -> Any:
    """Return a widget that shows a plotly figure; `show(figure)` gives it another one.

    plotly's own `FigureWidget` is a conversation of changes: what is said before the page listens
    is lost, and two threads that speak at once confuse it. This one's state is the figure.

    Raises:
        MissingExtraError: anywidget or plotly is not installed.
    """
    return _classes()[0]()


def plotly_for_charts() -> Any:
    """Return a widget without a face that brings plotly to a page; its charts wait for it.

    Raises:
        MissingExtraError: anywidget or plotly is not installed.
    """
    return _classes()[1]()


class ThemedFigure(Shown):
    """A plotly figure that turns dark and light with the page. Its twin is the figure itself.

    Args:
        figure: The figure.
    """

    def __init__(self, figure: Any) -> None:
        self.figure = figure
        self._view: Any = None

    def widget(self) -> Any:
        """Return the figure as the page's theme wants it."""
        if self._view is None:
            shown = chart()
            shown.show(self.figure)
            follow = front(on_theme=lambda dark: shown.show(figure_theme(self.figure, dark=dark)))
            self._view = require_widgets().VBox([follow, plotly_for_charts(), shown])
            self._view.add_class("autosre")
        return self._view

    def static(self) -> Sequence[Any]:
        """Return the figure."""
        return [self.figure]
