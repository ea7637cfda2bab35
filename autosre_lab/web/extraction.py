"""A page's text as Markdown: the article where there is one, otherwise everything seen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import MissingExtraError
from autosre_lab.web.html_cleaning import parse_html, remove_unseen, squeeze_spaces, visible_text
from autosre_lab.web.hygiene import one_line, strip_unseen

if TYPE_CHECKING:
    from lxml.html import HtmlElement  # type: ignore[import-untyped]

__all__ = ["Extracted", "extract_html"]

GOOD_SHARE = 0.6
"""Share of a page's running text that an extracted article must have to be believed."""
LEAST_ARTICLE = 1000
"""Characters below which a page is taken whole: on small ones trafilatura loses headings."""
_FURNITURE = frozenset({"nav", "header", "footer", "aside", "form", "button", "select", "dialog"})
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """A page's text.

    Attributes:
        title: Its title on one line; empty where it has none.
        markdown: Its text as Markdown.
        text: The text of all of it that is seen, plain.
        hidden: How many elements with text were left out because nobody sees them.
    """

    title: str
    markdown: str
    text: str
    hidden: int


def extract_html(page: str, *, url: str) -> Extracted:
    """Extract the text of an HTML page; what its reader would not see is left out.

    Args:
        page: The page's source, or a browser's rendered DOM.
        url: Where it is from; relative links become absolute.
    """
    try:
        import lxml_html_clean  # noqa: F401 - trafilatura needs it
    except ImportError as error:
        raise MissingExtraError("extracting text from pages", extra="web") from error
    root = parse_html(page)
    title = one_line(root.findtext(".//title") or "", _LONGEST_TITLE)
    hidden = remove_unseen(root)
    squeeze_spaces(root)
    _absolute_links(root, url)
    seen = visible_text(root)
    markdown = _article(root, url) or _whole(root) or seen
    return Extracted(
        title=title,
        markdown=_tidy(markdown),
        text=_tidy(seen),
        hidden=hidden,
    )


def _article(root: HtmlElement, url: str) -> str:
    """Return the article as trafilatura finds it; empty where that leaves out too much."""
    import trafilatura
    from lxml import html  # type: ignore[import-untyped]

    running = _running_text(root)
    if running < LEAST_ARTICLE:
        return ""
    found = trafilatura.extract(
        html.tostring(root, encoding="unicode"),
        url=url,
        output_format="markdown",
        include_links=True,
        include_tables=True,
        include_formatting=True,
        include_comments=False,
        include_images=False,
    )
    if not found or len(_without_marks(found)) < GOOD_SHARE * running:
        return ""
    has_headings = any(root.find(f".//{level}") is not None for level in ("h2", "h3"))
    return "" if has_headings and not re.search(r"^#{1,6} ", found, re.MULTILINE) else str(found)


def _whole(root: HtmlElement) -> str:
    """Return the main part, or all of the body, with its structure."""
    from lxml import html
    from markdownify import markdownify

    mains = root.xpath("//main | //*[@role='main']")
    part = mains[0] if len(mains) == 1 and _is_most_of(mains[0], root) else root
    try:
        written = markdownify(
            html.tostring(part, encoding="unicode", with_tail=False),
            heading_style="ATX",
            bullets="-",
            code_language_callback=_code_language,
            strip=["img", "form", "button", "input", "select", "label"],
            escape_underscores=False,
            escape_asterisks=False,
        )
    except RecursionError:
        return ""
    return str(written)


def _code_language(block: Any) -> str:
    """Return the language that a ``pre``, or the ``code`` in it, names in its class."""
    for element in (block, block.find("code")):
        for name in (element.get("class") or ()) if element is not None else ():
            if match := re.fullmatch(r"(?:language|lang|highlight-source)-([\w+#.-]+)", name):
                return match[1]
    return ""


def _is_most_of(main: HtmlElement, root: HtmlElement) -> bool:
    whole = _running_text(root)
    return whole == 0 or _running_text(main) >= whole / 2


def _running_text(root: HtmlElement) -> int:
    """Return the number of characters outside navigation and its like, and outside links."""
    from lxml import etree

    count = 0
    outside = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        skipped = element.tag in _FURNITURE or element.tag == "a"
        if event == "start":
            outside += skipped
            count += 0 if outside else len((element.text or "").strip())
        else:
            outside -= skipped
            count += 0 if outside else len((element.tail or "").strip())
    return count


def _without_marks(markdown: str) -> str:
    plain = re.sub(r"\[[^\]\n]{0,500}\]\([^)\n]{0,2000}\)", "", markdown)
    return re.sub(r"[\s#*_`|>-]+", " ", plain)


def _absolute_links(root: HtmlElement, url: str) -> None:
    from urllib.parse import urljoin

    for link in root.iter("a"):
        target = (link.get("href") or "").strip()
        if not target or target.startswith("#"):
            link.attrib.pop("href", None)
            continue
        try:
            absolute = urljoin(url, target)
        except ValueError:
            absolute = ""
        # javascript:, data: and their like lead nowhere from here, and cost tokens.
        if absolute.startswith(("http://", "https://", "mailto:")):
            link.set("href", absolute)
        else:
            link.attrib.pop("href", None)
        link.attrib.pop("title", None)


def _tidy(text: str) -> str:
    lines = (line.rstrip() for line in strip_unseen(text).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
