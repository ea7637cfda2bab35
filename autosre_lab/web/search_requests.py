"""Answers the searches that a request asks its server for, with our own search.

Pure of any API's shapes: who speaks that API makes them of the outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from autosre_lab.errors import AutosreError, ConfigError, SearchBlockedError
from autosre_lab.web.request_rules import SearchOutcome, SearchRules
from autosre_lab.web.search_results import SearchResult
from autosre_lab.web.web_search import LONGEST_QUERY, WebSearch, make_query

__all__ = ["answer_searches"]

SEARCH_S = 45.0
"""Seconds that one search may take, waiting for its turn included."""
MOST_SITES = 3
"""Allowed domains that are asked for one by one; with more of them, one search is filtered."""


async def answer_searches(
    queries: Sequence[object], rules: SearchRules, *, search: WebSearch, used: int = 0
) -> tuple[SearchOutcome, ...]:
    """Answer a request's queries in their order; no failure of one spoils another.

    Args:
        queries: What the model asked; anything but a text with words in it is answered as
            ``invalid_tool_input``.
        rules: What the request allows.
        search: Who searches.
        used: Searches that the request has made before.
    """
    outcomes: list[SearchOutcome] = []
    for query in queries:
        if rules.max_uses is not None and used >= rules.max_uses:
            outcome = SearchOutcome(
                query=query if isinstance(query, str) else "",
                code="max_uses_exceeded",
                message=f"the request allows {rules.max_uses} searches",
            )
        else:
            outcome = await _answer(query, rules, search)
            used += outcome.code == "results"
        outcomes.append(outcome)
    return tuple(outcomes)


async def _answer(query: object, rules: SearchRules, search: WebSearch) -> SearchOutcome:
    if not isinstance(query, str) or not query.strip():
        return SearchOutcome(
            query="", code="invalid_tool_input", message="the query is not a text with words in it"
        )
    if len(" ".join(query.split())) > LONGEST_QUERY:
        return SearchOutcome(
            query=query,
            code="query_too_long",
            message=f"the query has more than {LONGEST_QUERY} characters",
        )
    try:
        async with asyncio.timeout(SEARCH_S):
            backend, found = await _search(query, rules, search)
    except TimeoutError:
        message = f"no answer after {SEARCH_S:g} s"
        return SearchOutcome(query=query, code="unavailable", message=message)
    except SearchBlockedError as error:
        return SearchOutcome(query=query, code="too_many_requests", message=str(error))
    except ConfigError as error:
        # A query that fits, but not together with a domain.
        return SearchOutcome(query=query, code="query_too_long", message=str(error))
    except AutosreError as error:
        return SearchOutcome(query=query, code="unavailable", message=str(error))
    return SearchOutcome(query=query, code="results", results=found, backend=backend)


async def _search(
    query: str, rules: SearchRules, search: WebSearch
) -> tuple[str, tuple[SearchResult, ...]]:
    sites: Sequence[str | None] = [None]
    if 0 < len(rules.allowed) <= MOST_SITES:
        sites = [domain.partition("*")[0] for domain in rules.allowed]
    backend = ""
    lists: list[list[SearchResult]] = []
    for site in sites:
        asked = make_query(query, region=rules.region, site=site)
        found = await asyncio.to_thread(search.search, asked)
        backend = found.backend
        lists.append([result for result in found.results if rules.admits(result.url)])
    # The best of each domain first.
    longest = max(map(len, lists), default=0)
    mixed = [found[rank] for rank in range(longest) for found in lists if rank < len(found)]
    return backend, tuple({result.url: result for result in mixed}.values())
