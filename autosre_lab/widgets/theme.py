"""One look: a plotly template of our own, light and dark, and the widgets' style sheet.

Lines differ by dash and marker and bars by pattern, so that nothing is told by colour alone; the
colours are Okabe and Ito's, darkened for white and lightened for black until each has a contrast of
3 to 1 at least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autosre_lab.errors import MissingExtraError

if TYPE_CHECKING:
    import plotly.graph_objects

__all__ = ["COLOURS", "DASHES", "STYLE", "SYMBOLS", "figure_theme", "theme_template"]

COLOURS = {
    "light": ("#0072b2", "#c04a00", "#00795a", "#a8457d", "#8a6100", "#444444"),
    "dark": ("#56b4e9", "#f0803c", "#2fc69a", "#dd94bd", "#f0e442", "#d0d0d0"),
}
"""By theme, in the order in which series take them."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x")
PATTERNS = ("", "/", ".", "x", "-", "+")

_GROUND = {
    # Paper, text, grid, axis.
    "light": ("#ffffff", "#24292f", "#e3e6ea", "#6b7280"),
    "dark": ("#111111", "#e6e8eb", "#2c3238", "#9aa3ad"),
}

STYLE = """
.autosre {color: var(--jp-ui-font-color1, #24292f);
  font-family: var(--jp-ui-font-family, sans-serif);
  font-size: var(--jp-ui-font-size1, 13px); max-width: 1280px}
.autosre .widget-button:focus-visible, .autosre select:focus-visible, .autosre input:focus-visible,
.autosre summary:focus-visible {outline: 3px solid #0072b2; outline-offset: 2px}
.autosre .autosre-title {font-weight: 600; font-size: 115%; margin: 2px 0}
.autosre .autosre-figures {display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 4px 0}
.autosre .autosre-figures > div {min-width: 96px}
.autosre .autosre-figures dt, .autosre .autosre-figures dd {float: none; width: auto; padding: 0}
.autosre .autosre-figures dt, .autosre .autosre-dim {color: var(--jp-ui-font-color2, #57606a);
  font-size: 90%}
.autosre .autosre-figures dt {font-weight: 400}
.autosre .autosre-figures dd {margin: 0; font-size: 125%; font-variant-numeric: tabular-nums}
.autosre .autosre-error {border-left: 4px solid #c04a00; padding: 2px 8px; margin: 4px 0}
.autosre table {border-collapse: collapse; font-variant-numeric: tabular-nums}
.autosre.autosre table th, .autosre.autosre table td {padding: 2px 12px 2px 0; text-align: left;
  vertical-align: top; line-height: 1.5; max-width: 48ch; overflow-wrap: anywhere}
.autosre.autosre table .autosre-number {text-align: right; white-space: nowrap}
.autosre tbody th {white-space: nowrap}
.autosre thead th {border-bottom: 1px solid currentColor}
.autosre pre {font-size: 12px; line-height: 1.35; max-height: 260px; overflow: auto; margin: 2px 0;
  white-space: pre-wrap; background: var(--jp-layout-color2, #f3f4f6); padding: 6px}
.autosre progress {width: 240px; vertical-align: middle}
"""
"""Colours are the frontend's own where it has a theme. The class is named twice where JupyterLab's
style of tables, numbers to the right, would win."""


def theme_template(*, dark: bool = False) -> plotly.graph_objects.layout.Template:
    """Return the template.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as graph
    except ImportError as error:
        raise MissingExtraError("plots", extra="notebooks") from error
    theme = "dark" if dark else "light"
    paper, text, grid, axis = _GROUND[theme]
    colours = COLOURS[theme]
    lines = [
        {
            "line": {"color": colour, "dash": dash, "width": 2},
            "marker": {"color": colour, "symbol": symbol, "size": 7},
        }
        for colour, dash, symbol in zip(colours, DASHES, SYMBOLS, strict=True)
    ]
    bars = [
        {"marker": {"color": colour, "pattern": {"shape": pattern, "solidity": 0.25}}}
        for colour, pattern in zip(colours, PATTERNS, strict=True)
    ]
    axes = {
        "gridcolor": grid,
        "linecolor": axis,
        "zerolinecolor": grid,
        "ticks": "outside",
        "tickcolor": axis,
        "automargin": True,
        "title": {"standoff": 8},
    }
    template: Any = graph.layout.Template(
        layout={
            "colorway": list(colours),
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "font": {"color": text, "size": 12},
            "title": {"x": 0, "xanchor": "left", "font": {"size": 14}},
            "margin": {"l": 56, "r": 16, "t": 40, "b": 40},
            "legend": {"orientation": "h", "y": -0.2, "x": 0},
            "hovermode": "x unified",
            "hoverlabel": {"bgcolor": paper, "font": {"color": text}},
            "xaxis": axes,
            "yaxis": axes,
        },
        data={"scatter": lines, "scattergl": lines, "bar": bars},
    )
    return template


def figure_theme(figure: Any, *, dark: bool = False) -> Any:
    """Give a figure, live or static, our look, and return it."""
    figure.update_layout(template=theme_template(dark=dark))
    return figure
