"""Takes out of a page what its reader does not see: the usual place for words meant for a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement  # type: ignore[import-untyped]

__all__ = ["parse_html", "remove_unseen", "visible_text"]

_NEVER_SHOWN = frozenset(
    (
        *("area", "audio", "base", "canvas", "embed", "head", "iframe", "link", "math", "meta"),
        *("noembed", "noframes", "noscript", "object", "param", "script", "source", "style"),
        *("svg", "template", "track", "video"),
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
_ZERO = r"0*(?:\.0+)?(?:px|em|rem|%|pt|vw|vh)?(?:!important)?(?:;|$)"
_HIDING = re.compile(
    rf"""(?:^|;)(?:
      display:none
    | visibility:(?:hidden|collapse)
    | content-visibility:hidden
    | opacity:{_ZERO}
    | font-size:(?:{_ZERO}|[01](?:\.\d+)?px)
    | (?:left|right|top|bottom|text-indent|margin-(?:left|top)):-\d{{3,}}
    | clip:rect\(0|clip:rect\(1px,1px
    | clip-path:inset\((?:50|100)%
    | transform:(?:[^;]*)scale[xy]?\(0[,)]
    | color:transparent
    )""",
    re.VERBOSE,
)
_TINY = re.compile(rf"(?:^|;)(?:max-)?(?:width|height):(?:{_ZERO}|1px)")
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_SIMPLE = re.compile(r"[a-z0-9]*([.#])([\w-]+)", re.IGNORECASE)
_LONGEST_STYLE = 500_000


def parse_html(text: str) -> HtmlElement:
    """Return a page's root element; never fails, an empty page has an empty body."""
    from lxml import etree, html  # type: ignore[import-untyped]

    parser = html.HTMLParser(encoding="utf-8", huge_tree=False, remove_pis=True)
    try:
        # As bytes: lxml refuses text that declares an encoding of its own.
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        root = html.document_fromstring("<html><body></body></html>")
    return root


def remove_unseen(root: HtmlElement) -> int:
    """Remove comments, scripts and hidden elements from a page, in place.

    Styles in attributes and in the page's own style sheets are heeded, as far as their selectors
    are a single class or id. Sheets in files of their own are not read.

    Returns:
        How many elements with text were removed for being hidden.
    """
    from lxml import etree

    hidden_by = _hiding_selectors(root)
    etree.strip_tags(root, etree.Comment)
    hidden: list[HtmlElement] = []
    dropped: list[HtmlElement] = []
    for element in root.iter():
        if not isinstance(element.tag, str) or element.tag in _NEVER_SHOWN:
            dropped.append(element)
        elif element.tag not in ("html", "body") and _is_hidden(element, hidden_by):
            hidden.append(element)
    found = sum(bool("".join(element.itertext()).strip()) for element in hidden)
    for element in (*dropped, *hidden):
        if element.getparent() is not None:
            element.drop_tree()
    return found


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


def _is_hidden(element: HtmlElement, hidden_by: tuple[frozenset[str], frozenset[str]]) -> bool:
    get = element.get
    if get("hidden") is not None or (get("aria-hidden") or "").strip().lower() == "true":
        return True
    if element.tag == "input" and (get("type") or "").lower() == "hidden":
        return True
    style = get("style")
    if style and _hides(style):
        return True
    classes, identifiers = hidden_by
    if identifiers and get("id") in identifiers:
        return True
    return bool(classes) and not classes.isdisjoint((get("class") or "").split())


def _hides(declarations: str) -> bool:
    squeezed = re.sub(r"/\*.*?\*/|\s+", "", declarations.lower())
    if _HIDING.search(squeezed):
        return True
    return "overflow:hidden" in squeezed and _TINY.search(squeezed) is not None


def _hiding_selectors(root: HtmlElement) -> tuple[frozenset[str], frozenset[str]]:
    """Return the classes and the ids that the page's own style sheets hide at all times."""
    classes: set[str] = set()
    identifiers: set[str] = set()
    for mark, name in _hiding_names(style.text_content() for style in root.iter("style")):
        (classes if mark == "." else identifiers).add(name)
    return frozenset(classes), frozenset(identifiers)


def _hiding_names(sheets: Iterable[str]) -> Iterator[tuple[str, str]]:
    for sheet in sheets:
        plain = re.sub(r"/\*.*?\*/", "", sheet[:_LONGEST_STYLE], flags=re.DOTALL)
        # Inside @media and its like a rule holds only sometimes: what is left is too much, not
        # too little.
        plain = re.sub(r"@[^{};]+\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", plain)
        for rule in _RULE.finditer(plain):
            if not _hides(rule[2]):
                continue
            for selector in rule[1].split(","):
                simple = _SIMPLE.fullmatch(selector.strip())
                if simple:
                    yield simple[1], simple[2]
