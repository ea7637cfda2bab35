"""Web searches in OpenAI's shapes: the tool in a request, items, sources and citations."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from autosre_lab.errors import ConfigError
from autosre_lab.proxy.refusals import BadRequestError
from autosre_lab.proxy.responses.request import ResponsesRequest
from autosre_lab.proxy.web_search import Citation, Found, FoundPage, SearchAsk
from autosre_lab.web.request_rules import search_rules

__all__ = [
    "SOURCES",
    "FoundBefore",
    "annotation",
    "is_search_tool",
    "same_question",
    "search_ask",
    "search_item",
]

SOURCES = "web_search_call.action.sources"
"""What a request includes to be told a search's sources."""

_MAX_KEPT = 1024
_RESULTS = {"low": 4, "medium": 8, "high": 10}


class FoundBefore:
    """What searches found, by the id of their items; the oldest is forgotten first.

    An item of this API has no room for results, and a client that keeps the conversation itself
    hands back no more than the item.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Found] = OrderedDict()

    def learn(self, item_id: str, found: Found) -> None:
        """Remember a search."""
        self._kept[item_id] = found
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    def of(self, item_id: object) -> Found | None:
        """Return what a search found; None where it is not known here."""
        return self._kept.get(item_id) if isinstance(item_id, str) else None


def is_search_tool(tool_type: str) -> bool:
    """Whether a tool is OpenAI's own search, of any version."""
    return tool_type.startswith("web_search")


def search_ask(
    request: ResponsesRequest, name: str | None, before: FoundBefore
) -> SearchAsk | None:
    """Return what a request says of its searches; None where it asks for none.

    Args:
        request: What the client sent.
        name: By which the model calls the search.
        before: What earlier searches found.

    Raises:
        BadRequestError: Its rules cannot be kept.
    """
    tool = next((one for one in request.tools or () if is_search_tool(one.type)), None)
    if tool is None or name is None:
        return None
    filters = _object(tool.filters)
    try:
        rules = search_rules(
            {
                "allowed_domains": filters.get("allowed_domains"),
                "blocked_domains": filters.get("blocked_domains"),
                "max_uses": request.max_tool_calls,
                "user_location": _object(tool.user_location),
            }
        )
    except ConfigError as error:
        raise BadRequestError(f"tools: {error}") from error
    known: list[FoundPage] = []
    for item in request.items:
        if item.type == "web_search_call" and (found := before.of(item.id)) is not None:
            known += found.sources
    most = _RESULTS.get(tool.search_context_size or "medium", _RESULTS["medium"])
    return SearchAsk(rules=rules, name=name, most_results=most, known=tuple(known))


def same_question(one: str, other: str) -> bool:
    """Whether two searches were called for at once, by the ids of their items."""
    return one.rpartition("_")[2] == other.rpartition("_")[2] and "_" in one


def search_item(
    item_id: str, status: str, query: object, found: Found | None, *, sources: bool
) -> dict[str, Any]:
    """Return the item of a search.

    Args:
        item_id: Its id.
        status: "in_progress", "completed" or "failed".
        query: What is searched for.
        found: What it came to, once it has.
        sources: The client wants to be told the sources.
    """
    text = query if isinstance(query, str) else ""
    action: dict[str, Any] = {"type": "search", "query": text, "queries": [text]}
    if sources and found is not None:
        action["sources"] = [{"type": "url", "url": source.url} for source in found.sources]
    return {"type": "web_search_call", "id": item_id, "status": status, "action": action}


def annotation(cited: Citation) -> dict[str, Any]:
    """Return a citation as an annotation of a text."""
    return {
        "type": "url_citation",
        "start_index": cited.start,
        "end_index": cited.end,
        "url": cited.source.url,
        "title": cited.source.title,
    }


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(raw) if raw else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
