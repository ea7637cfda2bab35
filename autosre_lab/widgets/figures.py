"""What every figure and table here begins with: its library, our look, the badge in its title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import BADGES, Badge
from autosre_lab.errors import MissingExtraError
from autosre_lab.widgets.theme import theme_template

if TYPE_CHECKING:
    import pandas

__all__ = ["badged", "new_figure", "table_of"]


def badged(title: str, badges: Sequence[Badge | None]) -> str:
    """Return a title that says what produced the numbers below it."""
    kinds = dict.fromkeys(BADGES[one] for one in badges if one is not None)
    return f"{title} · measured on: {', '.join(kinds) or 'nothing yet'}"


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], index: str) -> Any:
    """Return rows as a DataFrame that has its columns even without rows.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("tables", extra="notebooks") from error
    more = [name for row in rows for name in row]
    names = list(dict.fromkeys([*columns, *more]))
    table: pandas.DataFrame = pandas.DataFrame(rows, columns=names)
    return table.set_index(index)


def new_figure(title: str, *, dark: bool = False, **layout: Any) -> Any:
    """Return an empty figure in our look.

    Args:
        title: Its title; see `badged`.
        dark: For a dark page.
        layout: As plotly's.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        import plotly.graph_objects as graph
    except ImportError as error:
        raise MissingExtraError("plots", extra="notebooks") from error
    figure: Any = graph.Figure()
    size = {"height": 320, "margin": {"t": 48}, "autosize": True} | layout
    return figure.update_layout(template=theme_template(dark=dark), title=title, **size)
