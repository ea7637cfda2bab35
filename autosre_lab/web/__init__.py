"""Reading the public web for a local model: guarded fetching, extraction, search."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.web.address_guard import AddressGuard, CheckedUrl, Resolver
    from autosre_lab.web.addresses import judge_address
    from autosre_lab.web.allow_list import AllowList
    from autosre_lab.web.extraction import Extracted, extract_html
    from autosre_lab.web.guarded_client import GuardedClient, Reply
    from autosre_lab.web.page_reader import Page, PageReader, show_page
    from autosre_lab.web.robots import Robots
    from autosre_lab.web.search_requests import (
        SearchOutcome,
        SearchRules,
        answer_searches,
        search_rules,
    )
    from autosre_lab.web.search_results import (
        SearchQuery,
        SearchResult,
        SearchResults,
        show_results,
    )
    from autosre_lab.web.untrusted import mark_untrusted
    from autosre_lab.web.url_verdict import why_not_fetch
    from autosre_lab.web.web_search import WebSearch, make_query

_HOME = {
    "AddressGuard": "address_guard",
    "AllowList": "allow_list",
    "CheckedUrl": "address_guard",
    "Extracted": "extraction",
    "GuardedClient": "guarded_client",
    "Page": "page_reader",
    "PageReader": "page_reader",
    "Reply": "guarded_client",
    "Resolver": "address_guard",
    "Robots": "robots",
    "SearchOutcome": "search_requests",
    "SearchQuery": "search_results",
    "SearchResult": "search_results",
    "SearchResults": "search_results",
    "SearchRules": "search_requests",
    "WebSearch": "web_search",
    "answer_searches": "search_requests",
    "extract_html": "extraction",
    "judge_address": "addresses",
    "make_query": "web_search",
    "mark_untrusted": "untrusted",
    "search_rules": "search_requests",
    "show_page": "page_reader",
    "show_results": "search_results",
    "why_not_fetch": "url_verdict",
}

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


def __getattr__(name: str) -> object:
    # Servers start per session: the guard must not wait for an HTML parser or an HTTP stack.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
