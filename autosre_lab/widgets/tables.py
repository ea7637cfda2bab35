"""A table on a page: columns in words with their units, numbers rounded and to the right."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from autosre_lab.markup import html_text

if TYPE_CHECKING:
    import pandas

__all__ = ["cell_text", "column_label", "table_html"]

_MOST_ROWS = 200
_DIGITS = 3
_UNITS = {"s": "s", "ms": "ms", "tps": "tok/s", "bytes": "bytes", "j": "J", "w": "W"}
_WORDS = {
    "ttft": "first token",
    "tpot": "per token",
    "e2el": "whole answer",
    "hit rate": "from the cache",
    "id": "result",
}
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")


def column_label(name: str) -> str:
    """Return a column's name in words, its unit behind a comma: `output_tps` is `output, tok/s`."""
    stem, _, last = name.rpartition("_")
    unit = f", {_UNITS[last]}" if stem and last in _UNITS else ""
    words = (stem if unit else name).replace("_", " ")
    for code, plain in _WORDS.items():
        words = re.sub(rf"\b{code}\b", plain, words)
    return words + unit


def cell_text(value: Any) -> str:
    """Return a value as a person reads it: three digits, thousands apart, no nanoseconds."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if type(value).__name__ in ("bool", "bool_"):  # numpy has its own, and does not need to be here
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return _rounded(float(value))
    if isinstance(value, tuple | list):
        return " to ".join(cell_text(one) for one in value) if value else "n/a"
    text = str(value)
    return "n/a" if text in ("nan", "<NA>", "NaT") else _STAMP.sub(r"\1 \2", text)


def table_html(table: pandas.DataFrame, caption: str, *, opened: bool = True) -> str:
    """Return a table that can be folded away, cut where it is very long.

    Columns without any value are left out.
    """
    if table.empty:
        return ""
    shown = table.tail(_MOST_ROWS).reset_index()
    names = [str(one) for one in shown.columns]
    rows = [list(row) for row in shown.itertuples(index=False, name=None)]
    kept = [at for at in range(len(names)) if any(_known(row[at]) for row in rows)]
    numbers = {at for at in kept if all(_is_number(row[at]) for row in rows if _known(row[at]))}

    def cell(tag: str, at: int, text: str) -> str:
        side = ' class="autosre-number"' if at in numbers else ""
        return f"<{tag}{side}>{html_text(text)}</{tag}>"

    head = "".join(cell("th", at, column_label(names[at])) for at in kept)
    body = "".join(
        f"<tr>{''.join(cell('td', at, cell_text(row[at])) for at in kept)}</tr>" for row in rows
    )
    left = "" if len(table) <= _MOST_ROWS else f", the last {_MOST_ROWS} of {len(table)} rows"
    state = " open" if opened else ""
    return (
        f"<details{state}><summary>{html_text(caption)}{left}</summary>"
        '<div style="overflow-x:auto"><table class="dataframe">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def _known(value: Any) -> bool:
    return cell_text(value) not in ("n/a", "")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _rounded(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value == 0 or abs(value) >= 10**_DIGITS:
        return f"{value:,.0f}"
    places = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    if places > 6:
        return f"{value:.{_DIGITS - 1}e}"
    return f"{value:.{places}f}"
