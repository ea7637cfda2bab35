"""Searches the web: found, found nothing, or could not search, and never one for the other."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock

from autosre_lab.errors import (
    BlockedError,
    ConfigError,
    FetchError,
    SearchBlockedError,
    SearchError,
)
from autosre_lab.settings import Settings
from autosre_lab.web.address_guard import AddressGuard
from autosre_lab.web.allow_list import AllowList
from autosre_lab.web.duckduckgo import (
    DUCKDUCKGO_PAGES,
    DuckDuckGoPage,
    first_form,
    read_result_page,
)
from autosre_lab.web.guarded_client import GuardedClient, Reply
from autosre_lab.web.page_reader import guarded_client
from autosre_lab.web.rate_limit import RateLimit
from autosre_lab.web.search_results import Period, SearchQuery, SearchResults
from autosre_lab.web.searxng import read_searxng, searxng_url

__all__ = ["WebSearch", "make_query"]

LONGEST_QUERY = 499
"""DuckDuckGo refuses longer ones."""
LAST_PAGE = 5
KEPT_S = 300.0
MOST_KEPT = 100
LONGEST_WAIT_S = 10.0
"""Seconds for which a call waits for its turn before it says so instead."""
RETRY_PAUSE_S = (1.0, 3.0)


class WebSearch:
    """Searches with one backend, or with DuckDuckGo's second page where the first refuses.

    Args:
        client: Fetches.
        backends: Names in the order they are tried: ddg_html, ddg_lite, searxng.
        searxng: Base URL of an own SearXNG instance.
        searxng_client: Reaches that instance, which may stand in a private network.
        rate: Limits how often a search engine of others is asked.
        sleep: Waits for seconds.
        clock: Seconds on a clock that only goes forward.
    """

    def __init__(
        self,
        client: GuardedClient,
        *,
        backends: tuple[str, ...] = ("ddg_html", "ddg_lite"),
        searxng: str = "",
        searxng_client: GuardedClient | None = None,
        rate: RateLimit | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._backends = backends
        self._searxng = searxng
        self._searxng_client = searxng_client or client
        self._rate = rate or RateLimit(clock=clock)
        self._sleep = sleep
        self._clock = clock
        self._kept: OrderedDict[tuple[str, SearchQuery], tuple[float, SearchResults]] = (
            OrderedDict()
        )
        self._next_forms: dict[tuple[str, SearchQuery], Mapping[str, str]] = {}
        self._lock = Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> WebSearch:
        """Make a search as the settings say: an own SearXNG where one is named.

        Raises:
            ConfigError: searxng is asked for and no instance is named.
        """
        wanted = settings.search_backend
        if wanted == "auto":
            wanted = "searxng" if settings.searxng_url else "ddg_html,ddg_lite"
        if wanted == "searxng" and not settings.searxng_url:
            raise ConfigError(
                "AUTOSRE_SEARCH_BACKEND is searxng, and no instance is named",
                remedy="set AUTOSRE_SEARXNG_URL=http://host:port",
            )
        return cls(
            guarded_client(settings),
            backends=tuple(wanted.split(",")),
            searxng=settings.searxng_url,
            searxng_client=_client_for(settings.searxng_url) if settings.searxng_url else None,
        )

    def search(self, query: SearchQuery) -> SearchResults:
        """Search. Blocks; call it in a thread.

        Returns:
            What was found; without results where the search worked and there is nothing.

        Raises:
            SearchBlockedError: The search engine refuses for now.
            SearchDriftError: Its page could not be read.
            SearchError: It cannot be reached.
        """
        failures: list[SearchError] = []
        # One search at a time: pages follow each other, and turns are counted.
        with self._lock:
            for backend in self._backends:
                try:
                    return self._search_with(backend, query)
                except SearchBlockedError:
                    # Asking by the other door would only prolong it.
                    raise
                except SearchError as error:
                    failures.append(error)
        raise failures[0]

    def _search_with(self, backend: str, query: SearchQuery) -> SearchResults:
        until, kept = self._kept.get((backend, query), (0.0, None))
        if kept is not None and until > self._clock():
            return kept
        if backend == "searxng":
            found = read_searxng(
                self._ask(self._searxng_client, searxng_url(self._searxng, query), limited=False),
                query,
            )
        else:
            found = self._duckduckgo(DUCKDUCKGO_PAGES[backend], query)
        self._kept[backend, query] = (self._clock() + KEPT_S, found)
        while len(self._kept) > MOST_KEPT:
            self._next_forms.pop(self._kept.popitem(last=False)[0], None)
        return found

    def _duckduckgo(self, page: DuckDuckGoPage, query: SearchQuery) -> SearchResults:
        form: Mapping[str, str] = first_form(query)
        if query.page > 1:
            # Only the page before knows the fields that this one is asked with.
            before = SearchQuery(
                text=query.text, region=query.region, period=query.period, page=query.page - 1
            )
            self._search_with(page.name, before)
            form = self._next_forms.get((page.name, before), {})
            if not form:
                return SearchResults(query=query, backend=page.name, results=())
        reply = self._ask(self._client, page.url, form=form, limited=True)
        read = read_result_page(reply, page)
        self._next_forms[page.name, query] = read.next_form
        return SearchResults(
            query=query,
            backend=page.name,
            results=read.results,
            answer=read.answer if query.page == 1 else "",
            has_more=bool(read.next_form) and query.page < LAST_PAGE,
        )

    def _ask(
        self,
        client: GuardedClient,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        limited: bool,
    ) -> Reply:
        """Ask once, and once more where the first try failed on the way."""
        headers = _duckduckgo_headers(url) if form is not None else {}
        for attempt in (1, 2):
            if limited:
                self._wait_for_turn()
            try:
                # A redirect is an answer of its own: DuckDuckGo's for "nothing found".
                reply = client.get(url, form=form, headers=headers, follow=form is None)
            except BlockedError:
                raise
            except FetchError as error:
                if attempt == 2:
                    raise SearchError(
                        f"nothing was searched: {error.message}",
                        remedy="check the network, or set AUTOSRE_SEARXNG_URL to an own instance",
                    ) from error
            else:
                if reply.status < 500 or attempt == 2:
                    return reply
            self._sleep(random.uniform(*RETRY_PAUSE_S))  # noqa: S311 - only to spread retries
        raise AssertionError("a try returns or raises")

    def _wait_for_turn(self) -> None:
        wait_s = self._rate.wait_s()
        if wait_s > LONGEST_WAIT_S:
            raise SearchBlockedError(
                "too many searches in the last minute; this one was not made",
                remedy=f"retry after {wait_s:.0f} s, or set AUTOSRE_SEARXNG_URL",
                retry_after_s=wait_s,
            )
        if wait_s > 0:
            self._sleep(wait_s)
        self._rate.take()


def make_query(
    text: str,
    *,
    region: str = "wt-wt",
    period: Period | None = None,
    site: str | None = None,
    page: int = 1,
) -> SearchQuery:
    """Return a query that can be asked.

    Args:
        text: The words.
        region: DuckDuckGo's name of a region.
        period: How old results may be.
        site: Only results of this host.
        page: 1 for the first results.

    Raises:
        ConfigError: A part of it is unusable.
    """
    words = " ".join(text.split())
    whole = f"site:{site.strip()} {words}" if site else words
    if not words or len(whole) > LONGEST_QUERY:
        raise ConfigError(
            f"the query has {len(whole)} characters", remedy=f"give 1 to {LONGEST_QUERY}"
        )
    if site and any(character.isspace() for character in site.strip()):
        raise ConfigError(
            f"site {site!r} is not a host name", remedy="give one, as in docs.python.org"
        )
    if not 1 <= page <= LAST_PAGE:
        raise ConfigError(f"there is no page {page}", remedy=f"take 1 to {LAST_PAGE}")
    if not region.replace("-", "").isalpha() or len(region) > 10:
        raise ConfigError(f"{region!r} is not a region", remedy="take wt-wt, us-en, de-de, …")
    return SearchQuery(text=whole, region=region.lower(), period=period, page=page)


def _duckduckgo_headers(url: str) -> dict[str, str]:
    origin = url.split("/", 3)
    root = "/".join(origin[:3])
    return {
        "Referer": f"{root}/",
        "Origin": root,
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-User": "?1",
    }


def _client_for(url: str) -> GuardedClient:
    """Return a client that reaches one host that a person has named, and the public web."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return GuardedClient(AddressGuard(allow=AllowList.parse(f"{host}:{port}")))
