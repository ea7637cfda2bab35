"""Takes out of a page what its reader does not see: the usual place for words meant for a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement  # type: ignore[import-untyped]

__all__ = ["parse_html", "remove_unseen", "squeeze_spaces", "visible_text"]

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
    | transform:[^;]{{0,80}}scale[xy]?\(0[,)]
    | color:transparent
    )""",
    re.VERBOSE,
)
_TINY = re.compile(rf"(?:^|;)(?:max-)?(?:width|height):(?:{_ZERO}|1px)")
_SPACES = re.compile(r"[ \t\r\n\f\v]+")
_LONG_SPACES = re.compile(r"\s{500,}")
_BRACE = re.compile(r"[{}]")
_SIMPLE = re.compile(r"[a-z0-9]*([.#])([\w-]+)", re.IGNORECASE)
_LONGEST_SHEET = 500_000
_LONGEST_DECLARATIONS = 2_000


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
    plain = _without_comments(declarations[:_LONGEST_DECLARATIONS])
    squeezed = "".join(plain.lower().split())
    if _HIDING.search(squeezed):
        return True
    return "overflow:hidden" in squeezed and _TINY.search(squeezed) is not None


def _hiding_selectors(root: HtmlElement) -> tuple[frozenset[str], frozenset[str]]:
    """Return the classes and the ids that the page's own style sheets hide at all times."""
    classes: set[str] = set()
    identifiers: set[str] = set()
    for style in root.iter("style"):
        for selectors, declarations in _rules(style.text_content()[:_LONGEST_SHEET]):
            if not _hides(declarations):
                continue
            for selector in selectors.split(","):
                simple = _SIMPLE.fullmatch(selector.strip())
                if simple:
                    (classes if simple[1] == "." else identifiers).add(simple[2])
    return frozenset(classes), frozenset(identifiers)


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Yield selectors and declarations of the rules that hold at all times.

    Those inside ``@media`` and its like hold only sometimes; left out, they show too much and
    never too little. One pass and no backtracking: sheets come from strangers.
    """
    plain = _without_comments(sheet)
    depth = begin = opened = 0
    is_nested = False
    for brace in _BRACE.finditer(plain):
        if brace[0] == "{":
            depth += 1
            if depth == 1:
                opened, is_nested = brace.start(), False
            else:
                is_nested = True
        elif depth:
            depth -= 1
            if depth == 0:
                if not is_nested:
                    yield plain[begin:opened], plain[opened + 1 : brace.start()]
                begin = brace.end()


def _without_comments(text: str) -> str:
    kept: list[str] = []
    place = 0
    while (comment := text.find("/*", place)) >= 0:
        kept.append(text[place:comment])
        ended = text.find("*/", comment + 2)
        if ended < 0:
            return "".join(kept)
        place = ended + 2
    kept.append(text[place:])
    return "".join(kept)
