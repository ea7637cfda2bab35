"""DuckDuckGo's two pages without JavaScript: how they are asked, and what their answers say.

What is known of them: a page with results has ``a.result__a`` (html) or ``a.result-link`` (lite);
a captcha is ``form#challenge-form``; advertisements lead to ``/y.js``; the form for the next page
carries a ``vqd`` that has to be sent along, or the asker is locked out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urljoin, urlsplit

from autosre_lab.errors import SearchBlockedError, SearchDriftError
from autosre_lab.web.html_cleaning import parse_html
from autosre_lab.web.hygiene import one_line
from autosre_lab.web.search_results import (
    SearchQuery,
    SearchResult,
    distinct_results,
    make_result,
)

if TYPE_CHECKING:
    from lxml.html import HtmlElement  # type: ignore[import-untyped]

    from autosre_lab.web.guarded_client import Reply

__all__ = ["DUCKDUCKGO_PAGES", "DuckDuckGoPage", "ResultPage", "first_form", "read_result_page"]

CAPTCHA_WAIT_S = 300.0
_NO_RESULTS = re.compile(r"\bNo\s+(more\s+)?results\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDuckGoPage:
    """One of the two pages: where it is and how it is built.

    Attributes:
        name: The backend's name.
        url: Where the form is sent.
        link: XPath of the links of results, advertisements included.
        snippet: XPath of the texts, relative to the result of a link.
        around: XPath from a link to what holds the whole result.
    """

    name: str
    url: str
    link: str
    snippet: str
    around: str


def _with_class(name: str) -> str:
    return f"contains(concat(' ', normalize-space(@class), ' '), ' {name} ')"


DUCKDUCKGO_PAGES = {
    page.name: page
    for page in (
        DuckDuckGoPage(
            name="ddg_html",
            url="https://html.duckduckgo.com/html/",
            link=f"//a[{_with_class('result__a')}]",
            snippet=f".//*[{_with_class('result__snippet')}]",
            around=f"ancestor::div[{_with_class('result')}][1]",
        ),
        DuckDuckGoPage(
            name="ddg_lite",
            url="https://lite.duckduckgo.com/lite/",
            link=f"//a[{_with_class('result-link')}]",
            snippet=f"following-sibling::tr[1]//td[{_with_class('result-snippet')}]",
            around="ancestor::tr[1]",
        ),
    )
}
"""Both pages by the name of their backend, the better one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """What one page of results says.

    Attributes:
        results: Results without advertisements, each page once.
        answer: The short answer on top; empty where there is none.
        next_form: The fields that bring the next page; empty on the last one.
    """

    results: tuple[SearchResult, ...]
    answer: str = ""
    next_form: Mapping[str, str] = field(default_factory=dict)


def first_form(query: SearchQuery) -> dict[str, str]:
    """Return the fields that ask for a query's first page."""
    # A leading bang would send us to another site's search.
    text = re.sub(r"(?<!\S)(!\S+)", r'"\1"', query.text)
    form = {"q": text, "b": "", "kl": query.region}
    return {**form, "df": query.period} if query.period else form


def read_result_page(reply: Reply, page: DuckDuckGoPage) -> ResultPage:
    """Take a page of results apart.

    Raises:
        SearchBlockedError: It is a captcha, or we shall wait.
        SearchDriftError: It is built in a way that is not known here.
    """
    if reply.status == 303:
        return ResultPage(results=())
    text = reply.body.decode("utf-8", "replace")
    root = parse_html(text)
    if _is_captcha(root, text) or reply.status in (202, 403, 429):
        raise _blocked(page.name, reply)
    links = root.xpath(page.link)
    results = distinct_results(_result(link, page) for link in links if not _is_advert(link))
    adverts = sum(map(_is_advert, links))
    is_empty = _NO_RESULTS.search(" ".join(root.itertext())) is not None
    if not results and not is_empty and (not adverts or adverts < len(links)):
        what = f"{len(links)} links, none of them readable" if links else "no known results"
        raise SearchDriftError(
            f"{page.name} answers {reply.status} with a page that is not known here: {what}",
            remedy="use browser_search, set AUTOSRE_SEARXNG_URL, or update autosre-lab",
        )
    answer = root.xpath("//*[@id='zero_click_abstract']")
    return ResultPage(
        results=results,
        answer=one_line("".join(answer[0].itertext()), 500) if answer else "",
        next_form=_next_form(root) if results else {},
    )


def _blocked(name: str, reply: Reply) -> SearchBlockedError:
    told = reply.headers.get("retry-after", "")
    wait_s = float(told) if told.isdecimal() else CAPTCHA_WAIT_S
    return SearchBlockedError(
        f"{name} does not answer programs for now (a captcha, status {reply.status}); "
        "nothing was searched",
        remedy=f"retry after {wait_s:.0f} s, use browser_search, or set AUTOSRE_SEARXNG_URL",
        retry_after_s=wait_s,
    )


def _is_captcha(root: HtmlElement, text: str) -> bool:
    return bool(root.xpath("//form[@id='challenge-form']")) or "anomaly-modal" in text


def _is_advert(link: HtmlElement) -> bool:
    target = link.get("href") or ""
    if "/y.js" in target or "ad_domain=" in target:
        return True
    sponsored = (
        "ancestor::*[contains(@class, 'result--ad') or contains(@class, 'result-sponsored')]"
    )
    return bool(link.xpath(sponsored))


def _result(link: HtmlElement, page: DuckDuckGoPage) -> SearchResult | None:
    around = link.xpath(page.around)
    snippet = around[0].xpath(page.snippet) if around else []
    return make_result(
        "".join(link.itertext()),
        _unwrapped(link.get("href") or "", page.url),
        "".join(snippet[0].itertext()) if snippet else "",
    )


def _unwrapped(target: str, base: str) -> str:
    """Return where a link leads: DuckDuckGo may wrap it into a redirect of its own."""
    if not target:
        return ""
    try:
        absolute = urljoin(base, target)
        parts = urlsplit(absolute)
    except ValueError:
        return ""
    if (parts.hostname or "").endswith("duckduckgo.com") and parts.path.startswith("/l/"):
        return parse_qs(parts.query).get("uddg", [""])[0]
    return absolute


def _next_form(root: HtmlElement) -> dict[str, str]:
    for form in root.iter("form"):
        fields = {
            field.get("name"): field.get("value") or ""
            for field in form.iter("input")
            if field.get("name") and (field.get("type") or "").lower() != "submit"
        }
        # The form of the previous page is built alike; it goes back to a smaller start.
        label = " ".join(field.get("value") or "" for field in form.iter("input"))
        if "vqd" in fields and "s" in fields and "Prev" not in label:
            return fields
    return {}
