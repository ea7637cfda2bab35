"""The honest answer to a request that wants a web search, where nothing can be searched.

Claude Code's WebSearch is a small request of its own whose only tool is a server's. A model that
gets it without the tool writes search results from memory, and Claude Code takes them for real.
"""

from __future__ import annotations

import hashlib
from typing import Any

from autosre_lab.proxy.messages import events as sse
from autosre_lab.proxy.messages.events import Usage, encode
from autosre_lab.proxy.messages.request import MessagesRequest
from autosre_lab.proxy.messages.search import asked_by_claude_code, is_search_tool

__all__ = ["must_search", "refusal_events", "refusal_message"]

_TEXT = (
    "The web was not searched: the proxy of this local engine was started without web search "
    "(install autosre-lab[web] and start the stack again). Nothing was found and nothing may be "
    "quoted. Where the tool mcp__search__search is offered, it searches the web from this machine."
)


def must_search(request: MessagesRequest) -> bool:
    """Whether the answer can be nothing but the result of a web search by the server.

    That is Claude Code's own request for one, and one whose `tool_choice` forces it. Any other
    client that offers the tool beside its question is answered by the model.
    """
    searches = {tool.name for tool in request.tools or () if is_search_tool(tool)}
    choice = request.tool_choice
    if choice is not None and choice.type == "tool" and searches:
        return choice.name in searches
    return asked_by_claude_code(request) is not None


def refusal_message(message_id: str, model: str, *, input_tokens: int = 0) -> dict[str, Any]:
    """Return the whole message: a search that was tried and is unavailable."""
    digest = hashlib.blake2b(message_id.encode("utf-8", "replace"), digest_size=12).hexdigest()
    search_id = f"srvtoolu_{digest}"
    error = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [
            {"type": "server_tool_use", "id": search_id, "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": search_id, "content": error},
            {"type": "text", "text": _TEXT},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": Usage(input_tokens).as_message_content(),
    }


def refusal_events(message_id: str, model: str, *, input_tokens: int = 0) -> bytes:
    """Return the same message as a stream."""
    message = refusal_message(message_id, model, input_tokens=input_tokens)
    events = [sse.message_start(message_id, model, Usage(input_tokens))]
    for index, block in enumerate(message["content"]):
        text = block.get("text")
        start = block if text is None else {"type": "text", "text": ""}
        events.append(
            b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,'
            b'"content_block":%b}\n\n' % (index, encode(start))
        )
        if text is not None:
            events.append(sse.delta_head("text", index) + encode(text) + sse.DELTA_END)
        events.append(sse.block_stop(index))
    events.append(sse.message_delta("end_turn", None, Usage(input_tokens)))
    events.append(sse.message_stop())
    return b"".join(events)
