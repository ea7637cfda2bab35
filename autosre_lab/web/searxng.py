"""An own SearXNG instance, asked by its JSON API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from autosre_lab.errors import SearchBlockedError, SearchDriftError, SearchError
from autosre_lab.web.hygiene import one_line
from autosre_lab.web.search_results import (
    SearchQuery,
    SearchResults,
    distinct_results,
    make_result,
)

if TYPE_CHECKING:
    from autosre_lab.web.guarded_client import Reply

__all__ = ["read_searxng", "searxng_url"]

_PERIODS = {"d": "day", "w": "week", "m": "month", "y": "year"}
_ISO_LANGUAGES = {"jp": "ja", "kr": "ko"}
_ISO_COUNTRIES = {"uk": "gb"}
"""Where DuckDuckGo's regions differ from ISO's codes."""


def searxng_url(base: str, query: SearchQuery) -> str:
    """Return the URL that asks an instance."""
    fields = {"q": query.text, "format": "json", "pageno": str(query.page)}
    if query.period:
        fields["time_range"] = _PERIODS[query.period]
    country, _, language = query.region.partition("-")
    if language and country != "wt":
        iso = _ISO_COUNTRIES.get(country, country).upper()
        fields["language"] = f"{_ISO_LANGUAGES.get(language, language)}-{iso}"
    return f"{base.rstrip('/')}/search?{urlencode(fields)}"


def read_searxng(reply: Reply, query: SearchQuery) -> SearchResults:
    """Take an instance's answer apart.

    Raises:
        SearchBlockedError: It limits how often it may be asked, or all of its engines are refused.
        SearchError: It does not offer JSON, or fails.
        SearchDriftError: Its answer is not what SearXNG answers.
    """
    if reply.status == 429:
        raise SearchBlockedError(
            "the SearXNG instance answers 429: too many questions; nothing was searched",
            remedy="retry after 60 s, or switch its limiter off for this machine",
            retry_after_s=60.0,
        )
    if reply.status == 403:
        raise SearchError(
            "the SearXNG instance answers 403: it does not offer JSON",
            remedy="add json to search.formats in its settings.yml",
        )
    if reply.status >= 400:
        raise SearchError(
            f"the SearXNG instance answers {reply.status}", remedy="see the instance's log"
        )
    try:
        answer = json.loads(reply.body)
        listed = answer["results"]
        results = distinct_results(
            make_result(str(one.get("title", "")), str(one["url"]), str(one.get("content") or ""))
            for one in listed
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SearchDriftError(
            "AUTOSRE_SEARXNG_URL answers with something that is not SearXNG's JSON",
            remedy="check that it names a SearXNG instance, for example http://searxng.lab:8080",
        ) from error
    refused = answer.get("unresponsive_engines") or []
    if not results and refused:
        raise SearchBlockedError(
            f"none of the SearXNG instance's engines answers ({one_line(str(refused), 200)})",
            remedy="retry after 60 s, or enable other engines in the instance",
            retry_after_s=60.0,
        )
    answers = answer.get("answers") or []
    first = answers[0] if answers else ""
    text = str(first.get("answer", "")) if isinstance(first, dict) else str(first)
    return SearchResults(
        query=query,
        backend="searxng",
        results=results,
        answer=one_line(text, 500),
        has_more=bool(results),
    )
