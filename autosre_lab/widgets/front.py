"""What only the browser knows: whether a view is open, its theme, how wide its figures may be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from autosre_lab.errors import MissingExtraError

__all__ = ["BEAT_S", "PATIENCE_S", "front"]

BEAT_S = 5.0
"""Seconds between two signs of life."""

PATIENCE_S = 150.0
"""Seconds without one after which nobody looks: a browser lets a hidden tab's timers run once a
minute, and a kernel hears nothing while a cell runs."""

_SCRIPT = """
function isDark() {
  const theme = document.body.dataset.jpThemeLight;
  if (theme !== undefined) return theme === "false";
  if (document.body.classList.contains("theme-dark")) return true;
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}
// A figure is drawn before its element has a place on the page, and takes 700 pixels for its width.
// Plotly measures again when the window says that it was resized.
function fitter(el) {
  const asked = new WeakMap();
  let pending = false;
  let mutations = null;
  let timer = 0;
  const fit = () => {
    pending = false;
    const view = el.closest(".autosre");
    if (view === null) return;
    if (mutations === null) {
      mutations = new MutationObserver(later);
      mutations.observe(view, { childList: true, subtree: true });
    }
    let misfit = false;
    let wait = Infinity;
    const now = performance.now();
    for (const plot of view.querySelectorAll(".js-plotly-plot")) {
      const [has, drawn] = [plot.clientWidth, plot._fullLayout?.width];
      if (!has || !drawn) continue;
      if (Math.abs(has - drawn) <= 1) {
        asked.delete(plot);
        continue;
      }
      const state = asked.get(plot) ?? { tries: 0, due: 0 };
      // Not without end: a figure may have a fixed width.
      if (state.tries >= 16) continue;
      if (now >= state.due) {
        state.tries += 1;
        // A figure that is being drawn just now, which takes seconds on a busy machine, does not
        // hear it; a page that changes a lot must not use up the tries meanwhile.
        state.due = now + Math.min(10000, 150 * 2 ** state.tries);
        asked.set(plot, state);
        // Once drawn it keeps its first width as if somebody had asked for that.
        if (plot.layout.autosize) delete plot.layout.width;
        misfit = true;
      }
      wait = Math.min(wait, state.due - now);
    }
    if (misfit) window.dispatchEvent(new Event("resize"));
    clearTimeout(timer);
    if (wait < Infinity) timer = setTimeout(later, wait + 1);
  };
  const later = () => {
    if (!pending) requestAnimationFrame(fit);
    pending = true;
  };
  const sizes = new ResizeObserver(later);
  sizes.observe(el);
  return () => {
    clearTimeout(timer);
    sizes.disconnect();
    mutations?.disconnect();
  };
}
function render({ model, el }) {
  // Not seen, and as wide as the view: its width tells of the view's.
  el.style.cssText = "height: 0; margin: 0; width: 100%%; overflow: hidden";
  const unfit = fitter(el);
  const measured = new ResizeObserver(() => {
    const width = Math.round(el.clientWidth);
    if (width === 0 || width === model.get("width")) return;
    model.set("width", width);
    model.save_changes();
  });
  measured.observe(el);
  const beat = () => {
    model.set("dark", isDark());
    model.set("beat", Date.now());
    model.save_changes();
  };
  const observer = new MutationObserver(beat);
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light", "class"] });
  model.set("views", model.get("views") + 1);
  beat();
  const timer = setInterval(beat, %d);
  return () => {
    clearInterval(timer);
    observer.disconnect();
    measured.disconnect();
    unfit();
    model.set("views", Math.max(0, model.get("views") - 1));
    model.save_changes();
  };
}
export default { render };
"""


def front(
    *,
    on_theme: Callable[[bool], None] | None = None,
    on_views: Callable[[bool], None] | None = None,
    on_width: Callable[[int], None] | None = None,
) -> Any:
    """Return a widget without a face that reports from the browser.

    Args:
        on_theme: Called with whether the theme is dark, at first and at each change.
        on_views: Called with whether anybody looks, at each change.
        on_width: Called with the view's width in pixels, at first and at each change.

    Returns:
        The widget. Its `seen()` tells whether somebody looks now; call it from time to time, since
        a browser that crashed says nothing.

    Raises:
        MissingExtraError: anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise MissingExtraError("widgets", extra="notebooks") from error

    class Front(anywidget.AnyWidget):
        """See `front`."""

        _esm = _SCRIPT % int(BEAT_S * 1000)
        views = traitlets.Int(0).tag(sync=True)
        beat = traitlets.Float(0.0).tag(sync=True)
        width = traitlets.Int(0).tag(sync=True)
        dark = traitlets.Bool(allow_none=True, default_value=None).tag(sync=True)

        def __init__(self) -> None:
            super().__init__()
            self._heard: float | None = None
            self._looked_at = True
            self.observe(self._on_beat, names=["beat", "views"])
            if on_theme is not None:
                self.observe(lambda change: on_theme(bool(change["new"])), names=["dark"])
            if on_width is not None:
                self.observe(lambda change: on_width(int(change["new"])), names=["width"])

        def seen(self) -> bool:
            """Whether somebody looks; also true before the first view."""
            if self._heard is None:
                return True
            silent = time.monotonic() - self._heard > PATIENCE_S
            self._tell(looked_at=self.views > 0 and not silent)
            return self._looked_at

        def _on_beat(self, change: Any) -> None:
            self._heard = time.monotonic()
            self._tell(looked_at=self.views > 0)

        def _tell(self, *, looked_at: bool) -> None:
            if looked_at != self._looked_at:
                self._looked_at = looked_at
                if on_views is not None:
                    on_views(looked_at)

    return Front()
