"""Text of others (ids, names, warnings, logs) inside HTML, Markdown, figures and scripts. Pure.

A result file is data: whoever made it must not be able to put markup into a page that shows it.
Every view writes such text through one of these functions, and through nothing else.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

__all__ = ["figure_json", "html_text", "markdown_text", "plot_text", "script_json", "terminal_text"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# What our own figures are written with; plotly knows links and more.
_OURS = re.compile(r"&lt;(/?(?:b|i|br|sub|sup|extra))&gt;")


def html_text(text: str) -> str:
    """Return a text for an element or a quoted attribute."""
    return html.escape(text, quote=True)


def markdown_text(text: str) -> str:
    """Return a text for a line or a cell of Markdown: no HTML, no link, no end of a cell."""
    safe = html.escape(text, quote=False).replace("](", r"]\(").replace("|", r"\|")
    return safe.replace("\n", "<br>")


def plot_text(text: str) -> str:
    """Return a text for a figure's names, titles, labels and hover texts."""
    return html.escape(text, quote=False).replace("%{", "% {")


def figure_json(part: Any) -> Any:
    """Return a figure's data or layout with no markup in it but line breaks and emphasis."""
    if isinstance(part, str):
        return _OURS.sub(r"<\1>", part.replace("<", "&lt;").replace(">", "&gt;"))
    if isinstance(part, dict):
        return {name: figure_json(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return [figure_json(value) for value in part]
    return part


def script_json(value: Any) -> str:
    """Return a value as JSON that no browser takes for the end, or the beginning, of a script."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def terminal_text(text: str) -> str:
    """Return a text that cannot move the cursor or change colours; its lines stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
