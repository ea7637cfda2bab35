from __future__ import annotations

import plotly.graph_objects as graph
import pytest

from autosre_lab.widgets import figure_theme, theme_template
from autosre_lab.widgets.theme import COLOURS


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_stands_out_from_its_ground_and_text_can_be_read(dark: bool) -> None:
    layout = theme_template(dark=dark).layout
    for colour in COLOURS["dark" if dark else "light"]:
        assert contrast(colour, layout.paper_bgcolor) >= 3, colour
    assert contrast(layout.font.color, layout.paper_bgcolor) >= 7


@pytest.mark.parametrize("dark", [False, True])
def test_series_differ_by_dash_marker_and_pattern_too(dark: bool) -> None:
    data = theme_template(dark=dark).data
    count = len(COLOURS["light"])
    assert len({one.line.dash for one in data.scatter}) == count
    assert len({one.marker.symbol for one in data.scatter}) == count
    assert len({one.marker.pattern.shape for one in data.bar}) == count


def test_a_figure_takes_the_look_and_another_theme_later() -> None:
    figure = figure_theme(graph.Figure(graph.Scatter(y=[1])))
    light = figure.layout.template.layout.paper_bgcolor
    figure_theme(figure, dark=True)
    assert figure.layout.template.layout.paper_bgcolor != light
