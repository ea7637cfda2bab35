"""A page of sections: tables a person reads, figures a person sees, in one plain HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from autosre_lab.markup import figure_json, html_text, script_json

__all__ = ["Figure", "PageSection", "Table", "html_page"]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table.

    Attributes:
        head: Names of the columns.
        rows: Cells as text; the first of a row names it.
        caption: What it shows, or "".
        words: Its cells are words, not figures: set from the left.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    words: bool = False


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A plotly figure.

    Attributes:
        data: Traces, as plotly's JSON has them.
        layout: Likewise.
        summary: What it shows, in words, for those who do not see it.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    summary: str


class PageSection(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a report.

    Attributes:
        title: Its heading.
        badge: What produced its numbers, in words; "" where it has none.
        text: Paragraphs.
        warnings: What makes its numbers doubtful.
        tables: Its tables.
        figures: Its figures.
    """

    title: str
    badge: str = ""
    text: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 3rem; border-top: 1px solid var(--line);
  padding-top: 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
caption { text-align: left; color: GrayText; padding-bottom: .3rem }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top }
th:first-child, td:first-child { text-align: left } thead th { border-bottom-width: 2px }
.words td, .words th { text-align: left } .words td { max-width: 45rem; overflow-wrap: anywhere }
.wide { overflow-x: auto }
.badge { border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .7rem;
  font-size: .85rem; margin-left: .6rem; vertical-align: middle }
.warning { border-left: 4px solid #c60; background: var(--soft); padding: .4rem .8rem;
  margin: .5rem 0 }
.warning::before { content: "Note: "; font-weight: bold }
figure { margin: 1.5rem 0 } figcaption { color: GrayText; font-size: .9rem }
.plot { height: 380px }
"""

_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
for (const holder of document.querySelectorAll(".plot")) {
  const figure = JSON.parse(holder.nextElementSibling.textContent);
  const colour = dark ? "#ddd" : "#222";
  const layout = {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: {color: colour}, margin: {l: 60, r: 20, t: 40, b: 50},
    ...figure.layout};
  for (const axis of ["xaxis", "yaxis", "yaxis2"]) {
    if (layout[axis]) layout[axis] = {gridcolor: dark ? "#444" : "#ddd", ...layout[axis]};
  }
  Plotly.newPlot(holder, figure.data, layout, {responsive: true, displaylogo: false});
}
"""


def html_page(title: str, lead: Sequence[str], sections: Sequence[PageSection]) -> str:
    """Return a page that needs ``plotly.min.js`` beside it and nothing else.

    Args:
        title: The page's.
        lead: Paragraphs before the first section.
        sections: In order.
    """
    contents = "".join(
        f'<li><a href="#s{at}">{_text(section.title)}</a></li>'
        for at, section in enumerate(sections)
    )
    body = "\n".join(_section(at, section) for at, section in enumerate(sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{_text(title)}</h1>\n"
        + "".join(f"<p>{_text(one)}</p>\n" for one in lead)
        + f"<nav><ol>{contents}</ol></nav>\n{body}\n"
        '<script src="plotly.min.js"></script>\n'
        f"<script>{_SCRIPT}</script>\n</body></html>\n"
    )


def _section(at: int, section: PageSection) -> str:
    badge = f'<span class="badge">{_text(section.badge)}</span>' if section.badge else ""
    parts = [f'<h2 id="s{at}">{_text(section.title)}{badge}</h2>']
    parts += [f'<p class="warning">{_text(one)}</p>' for one in section.warnings]
    parts += [f"<p>{_text(one)}</p>" for one in section.text]
    parts += [_table(table) for table in section.tables]
    parts += [_figure(figure) for figure in section.figures]
    return "\n".join(parts)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in table.head)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    kind = ' class="words"' if table.words else ""
    return (
        f'<div class="wide"><table{kind}>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _figure(figure: Figure) -> str:
    data = script_json(figure_json({"data": figure.data, "layout": figure.layout}))
    return (
        f'<figure><div class="plot" role="img" aria-label="{_text(figure.summary)}"></div>'
        f'<script type="application/json">{data}</script>'
        f"<figcaption>{_text(figure.summary)}</figcaption></figure>"
    )


def _text(text: str) -> str:
    return html_text(text)
