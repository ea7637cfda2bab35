"""What an object looks like where it is printed: a title, a badge, a table. Pure.

An object that people print returns its card from `_repr_mimebundle_`::

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return Card(title=self.name, rows=(("model", self.model),)).mimebundle()

A terminal takes the text, a notebook the HTML, GitHub and papermill's page the Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autosre_lab.badges import BADGES, Badge
from autosre_lab.markup import html_text, markdown_text, terminal_text

__all__ = ["Card", "badge_html", "markdown_table"]

_CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"
_HEAD = f"{_CELL};font-weight:600;border-bottom:1px solid currentColor"
_LOOKS: dict[Badge, tuple[str, str]] = {
    # The outline tells them apart too: dotted, dashed, plain, double.
    "fixture": ("○", "1px dotted"),
    "scripted": ("◇", "1px dashed"),
    "cpu-engine": ("□", "1px solid"),
    "gpu": ("■", "3px double"),
    "unknown": ("?", "2px dotted"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A title, a badge, and rows of cells.

    Attributes:
        title: What it is of.
        rows: Cells of a table; with no `head` the first cell of each row is its name.
        head: The columns' names.
        badge: What produced the numbers; None where there are none.
        notes: Lines below the table: warnings, remedies.
        parts: Further tables, below.
    """

    title: str
    rows: Sequence[Sequence[str]] = ()
    head: Sequence[str] = ()
    badge: Badge | None = None
    notes: Sequence[str] = ()
    parts: Sequence[Card] = field(default=())

    def text(self) -> str:
        """Return it for a terminal."""
        title = self.title if self.badge is None else f"{self.title}  [{BADGES[self.badge]}]"
        lines = [title, *_aligned([self.head, *self.rows] if self.head else self.rows)]
        lines += [f"! {note}" for note in self.notes]
        own = terminal_text("\n".join(lines))
        return "\n".join([own, *(part.text() for part in self.parts)])

    def markdown(self) -> str:
        """Return it as Markdown."""
        title = f"**{markdown_text(self.title)}**"
        if self.badge is not None:
            title += f" · measured on: {BADGES[self.badge]}"
        parts = [title]
        if self.rows:
            head = self.head or [""] * max(len(row) for row in self.rows)
            parts.append(markdown_table(head, self.rows))
        parts += [f"> {markdown_text(note)}" for note in self.notes]
        return "\n\n".join([*parts, *(part.markdown() for part in self.parts)])

    def html(self) -> str:
        """Return it as HTML that takes its colours from whatever it stands in."""
        badge = "" if self.badge is None else f" {badge_html(self.badge)}"
        parts = [f'<div style="margin:4px 0"><strong>{html_text(self.title)}</strong>{badge}']
        if self.rows:
            parts.append('<table style="border-collapse:collapse;margin:4px 0">')
            if self.head:
                cells = "".join(
                    f'<th scope="col" style="{_HEAD}">{_h(one)}</th>' for one in self.head
                )
                parts.append(f"<thead><tr>{cells}</tr></thead>")
            parts.append("<tbody>")
            for row in self.rows:
                first, *others = row
                named = "" if self.head else ";font-weight:600"
                cells = f'<th scope="row" style="{_CELL};font-weight:400{named}">{_h(first)}</th>'
                cells += "".join(f'<td style="{_CELL}">{_h(one)}</td>' for one in others)
                parts.append(f"<tr>{cells}</tr>")
            parts.append("</tbody></table>")
        parts += [f'<div role="note">⚠ {_h(note)}</div>' for note in self.notes]
        parts += [part.html() for part in self.parts]
        return "".join([*parts, "</div>"])

    def mimebundle(self) -> dict[str, str]:
        """Return what IPython's `_repr_mimebundle_` has to."""
        return {
            "text/plain": self.text(),
            "text/html": self.html(),
            "text/markdown": self.markdown(),
        }


def badge_html(badge: Badge) -> str:
    """Return a badge: words in an outline of their own, never a colour alone."""
    sign, outline = _LOOKS[badge]
    return (
        f'<span class="autosre-badge" style="border:{outline} currentColor;border-radius:4px;'
        f'padding:0 6px;font-size:85%;white-space:nowrap" title="what produced these numbers">'
        f'<span aria-hidden="true">{sign}</span> {html_text(BADGES[badge])}</span>'
    )


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; what would end a cell is escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *(line(row) for row in rows)])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    columns = max((len(row) for row in rows), default=0)
    full = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[at]) for row in full) for at in range(columns)]
    return [
        "  ".join(
            ["", *(cell.ljust(width) for cell, width in zip(row, widths, strict=True))]
        ).rstrip()
        for row in full
    ]


def _h(text: str) -> str:
    return html_text(text).replace("\n", "<br>")
