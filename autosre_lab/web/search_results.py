"""What a search found, whoever searched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from autosre_lab.web.hygiene import one_line
from autosre_lab.web.untrusted import mark_untrusted

__all__ = [
    "Period",
    "SearchQuery",
    "SearchResult",
    "SearchResults",
    "distinct_results",
    "make_result",
    "show_results",
]

Period: TypeAlias = Literal["d", "w", "m", "y"]

_LONGEST_TITLE = 150
_LONGEST_SNIPPET = 400
_TRACKING = frozenset({"fbclid", "gclid", "mc_cid", "mc_eid", "msclkid", "ref_src", "yclid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """What is searched for.

    Attributes:
        text: The words, `site:` included.
        region: DuckDuckGo's name of a region, ``wt-wt`` for all.
        period: How old results may be: a day, week, month or year; None for any age.
        page: 1 for the first results.
    """

    text: str
    region: str = "wt-wt"
    period: Period | None = None
    page: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """One place that was found: title, URL, what is said there."""

    title: str
    url: str
    snippet: str

    @property
    def site(self) -> str:
        """The host, without ``www.``."""
        return (urlsplit(self.url).hostname or "").removeprefix("www.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """What a search found; an empty tuple says that there is nothing.

    Attributes:
        query: What was searched for.
        backend: Who searched.
        results: What was found, best first, each URL once.
        answer: A short answer that the search engine gives by itself; empty where it gives none.
        has_more: Whether there is a next page.
    """

    query: SearchQuery
    backend: str
    results: tuple[SearchResult, ...]
    answer: str = ""
    has_more: bool = False


def make_result(title: str, url: str, snippet: str) -> SearchResult | None:
    """Return a result fit to be shown, None where it does not lead to a web page."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        return None
    return SearchResult(
        title=one_line(title, _LONGEST_TITLE) or parts.netloc,
        url=one_line(url, 2000).replace(" ", "%20"),
        snippet=one_line(snippet, _LONGEST_SNIPPET),
    )


def distinct_results(results: Iterable[SearchResult | None]) -> tuple[SearchResult, ...]:
    """Return the results, each page once, though its address is written in several ways."""
    seen: dict[str, SearchResult] = {}
    for result in results:
        if result is not None:
            seen.setdefault(_canonical(result.url), result)
    return tuple(seen.values())


def _canonical(url: str) -> str:
    parts = urlsplit(url)
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in _TRACKING and not name.startswith("utm_")
    ]
    host = (parts.hostname or "").removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}?{urlencode(sorted(kept))}"


def show_results(found: SearchResults, *, max_results: int) -> str:
    """Return what was found for a model, marked as data."""
    shown = found.results[:max_results]
    head = f'{len(shown)} results for "{found.query.text}" by {found.backend}'
    if not shown:
        return (
            f'no results for "{found.query.text}" by {found.backend}: the search worked and found '
            "nothing. Try fewer or other words."
        )
    if found.query.page > 1:
        head += f", page {found.query.page}"
    if found.has_more or len(found.results) > len(shown):
        head += f"; more: page={found.query.page + 1}"
    lines = [f"answer: {found.answer}"] if found.answer else []
    for rank, result in enumerate(shown, start=1):
        lines.append(f"{rank}. {result.title}\n   {result.url}")
        if result.snippet:
            lines.append(f"   {result.snippet}")
    return head + "\n\n" + mark_untrusted("\n".join(lines), source="a web search")
