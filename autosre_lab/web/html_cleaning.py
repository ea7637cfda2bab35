"""Takes out of a page what its reader does not see: the usual place for words meant for a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from autosre_lab.web.hiding_styles import PROPERTIES, WHITE, TextStyle, hides
from autosre_lab.web.style_sheets import StyleSheets, declarations_of
from autosre_lab.web.tag_limits import bound_attributes

if TYPE_CHECKING:
    from lxml.html import HtmlElement  # type: ignore[import-untyped]

__all__ = ["parse_html", "remove_unseen", "squeeze_spaces", "visible_text"]

_NEVER_SHOWN = frozenset(
    (
        *("area", "audio", "base", "canvas", "embed", "head", "iframe", "link", "math", "meta"),
        *("noembed", "noframes", "noscript", "object", "param", "script", "source", "style"),
        *("svg", "template", "track", "video"),
        # Stand in for what a browser shows instead.
        *("datalist", "meter", "progress", "rp"),
    )
)
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "br", "dd", "details", "div", "dl"),
        *("dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5"),
        *("h6", "header", "hr", "li", "main", "nav", "ol", "option", "p", "pre", "section"),
        *("summary", "table", "tr", "ul"),
    )
)
_SPACES = re.compile(r"[ \t\r\n\f\v]+")
_LONG_SPACES = re.compile(r"\s{500,}")


def parse_html(text: str) -> HtmlElement:
    """Return a page's root element; never fails, an empty page has an empty body."""
    from lxml import etree, html  # type: ignore[import-untyped]

    parser = html.HTMLParser(encoding="utf-8", huge_tree=False, remove_pis=True)
    try:
        # As bytes: lxml refuses text that declares an encoding of its own.
        plain = bound_attributes(text).encode("utf-8", "replace")
        root = html.document_fromstring(plain, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        root = html.document_fromstring("<html><body></body></html>")
    return root


def remove_unseen(root: HtmlElement) -> int:
    """Remove comments, scripts and hidden text from a page, in place.

    Styles in attributes and in the page's own style sheets are heeded, in their order of weight.
    Sheets in files of their own are not read; see `style_sheets` for what is not understood.

    Returns:
        How many elements with text were removed for being hidden.
    """
    from lxml import etree

    sheets = StyleSheets(properties=PROPERTIES)
    for style in root.iter("style"):
        sheets.read(style.text_content())
    etree.strip_tags(root, etree.Comment)
    gone: list[HtmlElement] = []
    hidden: list[HtmlElement] = []
    unread: list[HtmlElement] = []
    # A sheet that is not read may paint the page in any colour.
    behind = None if root.find(".//link[@rel='stylesheet']") is not None else WHITE
    texts = [TextStyle(behind=behind)]
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        if event == "end":
            texts.pop()
            continue
        texts.append(texts[-1])
        if not isinstance(element.tag, str) or element.tag in _NEVER_SHOWN:
            gone.append(element)
            walk.skip_subtree()
            continue
        style = sheets.style_of(element, declarations_of(element.get("style") or ""))
        if element.tag not in ("html", "body") and (_is_marked_hidden(element) or hides(style)):
            hidden.append(element)
            walk.skip_subtree()
            continue
        if style:
            texts[-1] = texts[-1].inside(style)
        if texts[-1].is_unseen:
            unread.append(element)
    found = sum(bool("".join(element.itertext()).strip()) for element in hidden)
    found += sum(_drop_own_text(element) for element in unread)
    for element in (*gone, *hidden):
        if element.getparent() is not None:
            element.drop_tree()
    return found


def _drop_own_text(element: HtmlElement) -> bool:
    """Remove the text of an element, not that of its children; whether there was any."""
    texts = [element.text, *(child.tail for child in element)]
    element.text = " "
    for child in element:
        child.tail = " "
    return any(text and text.strip() for text in texts)


def squeeze_spaces(root: HtmlElement) -> None:
    """Make one space of many, as browsers do, in place; a ``pre`` keeps its own up to a point.

    What comes after this searches for spaces in ways that take forever on long runs of them.
    """
    from lxml import etree

    kept = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        kept += (event == "start") - (event == "end") if element.tag == "pre" else 0
        runs, one = (_LONG_SPACES, "\n") if kept else (_SPACES, " ")
        if event == "start" and element.text:
            element.text = runs.sub(one, element.text)
        elif event == "end" and element.tail:
            element.tail = runs.sub(one, element.tail)


def visible_text(root: HtmlElement) -> str:
    """Return the text of a cleaned page, a block a line."""
    lines = "".join(_pieces(root)).split("\n")
    kept = (" ".join(line.split()) for line in lines)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _pieces(root: HtmlElement) -> Iterator[str]:
    # Without recursion: pages nest deeper than Python likes to call.
    from lxml import etree

    for event, element in etree.iterwalk(root, events=("start", "end")):
        block = element.tag in _BLOCKS
        if event == "start":
            if block:
                yield "\n"
            yield element.text or ""
        else:
            if block:
                yield "\n"
            elif element.tag in ("td", "th"):
                yield " "
            yield element.tail or ""


def _is_marked_hidden(element: HtmlElement) -> bool:
    get = element.get
    return (
        get("hidden") is not None
        or get("popover") is not None
        or (get("aria-hidden") or "").strip().lower() == "true"
        or (element.tag == "input" and (get("type") or "").lower() == "hidden")
        or (element.tag == "dialog" and get("open") is None)
    )
