"""Sessions of Claude Code 2.1.332 as they were recorded, and one that goes on from them."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

__all__ = ["recorded", "session_of_changes"]

FOLDER = Path(__file__).with_name("recordings")
Body = dict[str, Any]


def recorded(name: str) -> list[Body]:
    """Return the requests of a recorded session, each whole."""
    return copy.deepcopy(_recorded(name))


@functools.cache
def _recorded(name: str) -> list[Body]:
    # A field that did not change since the request before was recorded once.
    requests: list[Body] = []
    for request in json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["requests"]:
        requests.append({**(requests[-1] if requests else {}), **request})
    return requests


def session_of_changes(*, thinking: bool = False) -> list[Body]:
    """Return a session of two fetches, an addition, a removal, and calls of what came.

    It begins with the recorded first request; its tools, results and system messages are those of
    the recordings. No version of Claude Code that is known sends a removal: it has the form of
    the addition.

    Args:
        thinking: The model thinks before each call.
    """
    search, addition = recorded("tool_search"), recorded("tool_addition")
    first, last = search[0], search[-1]
    declared = {tool["name"]: tool for tool in [*last["tools"], *addition[-1]["tools"]]}
    change = next(
        message
        for message in addition[1]["messages"]
        if message["role"] == "system" and "tool_addition" in json.dumps(message)
    )
    removal = json.loads(json.dumps(change).replace("tool_addition", "tool_removal"))
    deferred: list[str] = []
    messages = _without_cache_marks(first["messages"])
    requests = [first]

    def answer(number: int, name: str, arguments: Body) -> list[Body]:
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
        thought = {"type": "thinking", "thinking": f"Thought {number}.", "signature": "s"}
        return [{"role": "assistant", "content": [thought, call] if thinking else [call]}]

    def result(number: int, content: Any) -> list[Body]:
        block = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content}
        return [{"role": "user", "content": [block]}]

    def fetch(number: int, name: str) -> list[Body]:
        deferred.append(name)
        reference = {"type": "tool_reference", "tool_name": name}
        return answer(number, "ToolSearch", {"query": f"select:{name}"}) + result(
            number, [reference]
        )

    def step(added: list[Body]) -> None:
        messages.extend(_without_cache_marks(added))
        # As Claude Code sorts them: fetched ones in the middle.
        names = [tool["name"] for tool in first["tools"]]
        names = sorted([*names, *deferred], key=lambda name: (name.startswith("mcp__"), name))
        tools = [
            {**declared[name], **({"defer_loading": True} if name in deferred else {})}
            for name in names
        ]
        requests.append({**first, "tools": tools, "messages": copy.deepcopy(messages)})

    step(fetch(1, "CronList"))
    step(answer(2, "CronList", {}) + result(2, "No scheduled jobs."))
    step(fetch(3, "mcp__probe__tool_a"))
    step(answer(4, "mcp__probe__tool_a", {"x": "1"}) + result(4, [_text("called tool_a")]))
    deferred.append("mcp__probe__tool_c")
    step(answer(5, "Bash", {"command": "sleep 0.4"}) + result(5, "(no output)") + [change])
    step(answer(6, "mcp__probe__tool_c", {"x": "1"}) + result(6, [_text("called tool_c")]))
    step(answer(7, "Bash", {"command": "true"}) + result(7, "(no output)") + [removal])
    step(answer(8, "Bash", {"command": "date"}) + result(8, "Thu"))
    return requests


def _text(text: str) -> Body:
    return {"type": "text", "text": text}


def _without_cache_marks(messages: list[Body]) -> list[Body]:
    found: list[Body] = json.loads(json.dumps(messages))
    for message in found:
        if isinstance(message["content"], list):
            for block in message["content"]:
                block.pop("cache_control", None)
    return found
