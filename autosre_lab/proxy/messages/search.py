"""Web searches in Anthropic's shapes: the tool in a request, results and citations in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from autosre_lab.errors import ConfigError
from autosre_lab.proxy.messages.claude_code import last_user_text
from autosre_lab.proxy.messages.request import (
    BadRequestError,
    ContentBlock,
    MessagesRequest,
    ToolDefinition,
)
from autosre_lab.proxy.web_search import Citation, Found, FoundPage, SearchAsk, shown_to_model
from autosre_lab.web.request_rules import OutcomeCode, SearchRules, search_rules

__all__ = [
    "asked_by_claude_code",
    "citation",
    "found_before",
    "is_search_tool",
    "result_content",
    "same_question",
    "search_ask",
    "search_id",
    "search_tool",
]

_CLAUDE_CODE_ASKS = "Perform a web search for the query:"
_CITED_CHARS = 150
_CODES = frozenset(get_args(OutcomeCode)) - {"results"}


class _Result(msgspec.Struct):
    type: str = ""
    title: Any = None
    url: Any = None
    encrypted_content: Any = None
    error_code: Any = None


_results_decoder: msgspec.json.Decoder[list[_Result] | _Result] = msgspec.json.Decoder(
    list[_Result] | _Result
)


# The request -------------------------------------------------------------------------------------


def is_search_tool(tool: ToolDefinition) -> bool:
    """Whether a tool is Anthropic's own search, of any version."""
    return (tool.type or "").startswith("web_search")


def search_tool(request: MessagesRequest) -> ToolDefinition | None:
    """Return the search that a request expects its server to make.

    None also where a tool of the client's has its name, so that nobody could tell whose is called.
    """
    tools = request.tools or ()
    found = next((tool for tool in tools if is_search_tool(tool)), None)
    if found is not None and any(
        tool.name == found.name and not is_search_tool(tool) for tool in tools
    ):
        return None
    return found


def asked_by_claude_code(request: MessagesRequest) -> str | None:
    """Return what Claude Code's own WebSearch wants to know; None for every other request.

    It is a request of its own whose only tool is the search.
    """
    text = last_user_text(request.messages)
    if len(request.tools or ()) != 1 or search_tool(request) is None:
        return None
    if not text.startswith(_CLAUDE_CODE_ASKS):
        return None
    return text.removeprefix(_CLAUDE_CODE_ASKS).strip()


def search_ask(request: MessagesRequest) -> SearchAsk | None:
    """Return what a request says of its searches; None where it asks for none.

    Raises:
        BadRequestError: Its rules cannot be kept.
    """
    tool = search_tool(request)
    if tool is None or request.max_tokens == 0:
        return None
    query, wrong = asked_by_claude_code(request), ""
    try:
        rules = search_rules(
            {
                "allowed_domains": tool.allowed_domains,
                "blocked_domains": tool.blocked_domains,
                "max_uses": tool.max_uses,
                "user_location": tool.user_location,
            }
        )
    except ConfigError as error:
        if query is None:
            raise BadRequestError(f"tools: {error}") from error
        # A 400 would take tools from the whole session; the model reads this one, and asks better.
        rules, wrong = SearchRules(), str(error)
    return SearchAsk(
        rules=rules,
        name=tool.name or "web_search",
        query=query,
        wrong=wrong,
        known=tuple(_known_sources(request)),
    )


def _known_sources(request: MessagesRequest) -> Iterator[FoundPage]:
    for message in request.messages:
        if isinstance(message.content, list):
            for block in message.content:
                if block.type == "web_search_tool_result":
                    yield from _found(block)[0].sources


# The history -------------------------------------------------------------------------------------


def found_before(block: ContentBlock) -> str:
    """Write a search's result of the history as the model saw it when it was made."""
    found, others = _found(block)
    if found.sources and not others:
        return shown_to_model(found)
    if others:
        listed = [*(f"- {one.title}: {one.url}" for one in found.sources), *others]
        return "\n".join(["results of a web search:", *listed])
    return shown_to_model(found)


def _found(block: ContentBlock) -> tuple[Found, list[str]]:
    """Return what a result block holds: ours, and lines for what others found."""
    try:
        content = _results_decoder.decode(block.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Found(code="unavailable"), []
    if isinstance(content, _Result):
        code: Any = content.error_code if content.error_code in _CODES else "unavailable"
        return Found(code=code), []
    ours: list[FoundPage] = []
    others: list[str] = []
    for one in content:
        title, url = (value if isinstance(value, str) else "" for value in (one.title, one.url))
        source = FoundPage.unsealed(one.encrypted_content, title, url)
        if source is None:
            others.append(f"- {title or url}: {url}")
        else:
            ours.append(source)
    return Found(code="results", sources=tuple(ours)), others


# The answer --------------------------------------------------------------------------------------


def search_id(tool_id: str, question: int) -> str:
    """Return the id of a search.

    Args:
        tool_id: Of the model's call of it.
        question: Which of the answer's questions to the engine was answered by it.
    """
    return f"srvtoolu_{tool_id.partition('_')[2]}_{question}"


def same_question(one: str, other: str) -> bool:
    """Whether two searches were called for at once, by their ids; of others' ids nobody knows."""
    ours = all(id_.startswith("srvtoolu_") and id_.count("_") > 1 for id_ in (one, other))
    return ours and one.rpartition("_")[2] == other.rpartition("_")[2]


def result_content(found: Found) -> list[dict[str, Any]] | dict[str, Any]:
    """Return what a search came to as the content of its result block."""
    if found.code != "results":
        return {"type": "web_search_tool_result_error", "error_code": found.code}
    return [
        {
            "type": "web_search_result",
            "title": source.title,
            "url": source.url,
            "encrypted_content": source.sealed,
            "page_age": None,
        }
        for source in found.sources
    ]


def citation(cited: Citation) -> dict[str, Any]:
    """Return a citation."""
    source = cited.source
    return {
        "type": "web_search_result_location",
        "url": source.url,
        "title": source.title,
        "encrypted_index": source.sealed,
        "cited_text": source.snippet[:_CITED_CHARS],
    }
