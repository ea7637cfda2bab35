"""Reading the public web for a local model: guarded fetching, extraction, search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.web.address_guard import AddressGuard, CheckedUrl, Resolver
    from autosre_lab.web.addresses import judge_address
    from autosre_lab.web.allow_list import AllowList
    from autosre_lab.web.extraction import Extracted, extract_html
    from autosre_lab.web.guarded_client import GuardedClient, Reply
    from autosre_lab.web.page_reader import Page, PageReader, show_page
    from autosre_lab.web.request_rules import SearchOutcome, SearchRules, search_rules
    from autosre_lab.web.robots import Robots
    from autosre_lab.web.search_requests import answer_searches
    from autosre_lab.web.search_results import (
        SearchQuery,
        SearchResult,
        SearchResults,
        show_results,
    )
    from autosre_lab.web.untrusted import mark_untrusted
    from autosre_lab.web.url_verdict import why_not_fetch
    from autosre_lab.web.web_search import WebSearch, make_query
else:
    # Servers start per session: the guard must not wait for an HTML parser or an HTTP stack.
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "AddressGuard",
    "AllowList",
    "CheckedUrl",
    "Extracted",
    "GuardedClient",
    "Page",
    "PageReader",
    "Reply",
    "Resolver",
    "Robots",
    "SearchOutcome",
    "SearchQuery",
    "SearchResult",
    "SearchResults",
    "SearchRules",
    "WebSearch",
    "answer_searches",
    "extract_html",
    "judge_address",
    "make_query",
    "mark_untrusted",
    "search_rules",
    "show_page",
    "show_results",
    "why_not_fetch",
]
