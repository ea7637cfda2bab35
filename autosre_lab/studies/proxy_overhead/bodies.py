"""Request bodies of the proxy benchmark, the same for every contender.

The scripted upstream is told by the request's own text how to answer, so that one upstream serves
every phase and nothing has to be set from outside. The salt makes every request a new one: equal
requests would measure somebody's cache, or our proxy's answer to a client's re-send.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.responses import chat_request as responses_chat
from autosre_lab.proxy.responses.request import decode_request as decode_responses
from autosre_lab.proxy.responses.tools import declared_tools

__all__ = ["BODIES", "Body", "body_named"]

BODIES = {"messages": ("small", "claude"), "responses": ("small-responses", "codex")}
"""By API, a small body and the real first request of the API's agent."""

_SALT = "salt=0000000000"
_PROFILE = EngineProfile(model="scripted-model", max_model_len=262_144)


@dataclass(frozen=True, slots=True)
class Body:
    """One request, as the client sends it to a proxy and as it reaches the upstream directly.

    Attributes:
        messages: A request of the API that is measured.
        chat: The same as a Chat Completions request.
    """

    messages: bytes
    chat: bytes

    def salted(self, number: int, *, direct: bool) -> bytes:
        """Return one of the two forms, made unlike every other request of this run."""
        form = self.chat if direct else self.messages
        return form.replace(_SALT.encode(), b"salt=%010d" % number)


@cache
def body_named(name: str, *, chunks: int, interval_ms: int) -> Body:
    """Return a body that has the upstream answer with so many chunks, so far apart.

    Args:
        name: One of `BODIES`: "small", a question of one line, "claude", a real first request of
            Claude Code; "small-responses" and "codex", the same of the Responses API.
        chunks: Chunks of text in the answer.
        interval_ms: Milliseconds between two of them; 0 sends them as fast as they are taken.

    Raises:
        KeyError: There is no body of that name.
    """
    made = {"small": _small, "claude": _claude, "small-responses": _short, "codex": _codex}
    request = made[name]()
    directive = f"[[chunks={chunks} interval_ms={interval_ms} {_SALT}]]"
    if "input" in request:
        return _responses(request, directive)
    last = request["messages"][-1]
    if isinstance(last["content"], str):
        last["content"] = f"{last['content']} {directive}"
    else:
        last["content"].append({"type": "text", "text": directive})
    messages = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
    chat = to_chat_request(decode_request(messages), _PROFILE, max_tokens=request["max_tokens"])
    return Body(messages, msgspec.json.encode(chat))


def _responses(request: dict[str, Any], directive: str) -> Body:
    said = {"type": "input_text", "text": directive}
    request["input"][-1]["content"].append(said)
    body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
    decoded = decode_responses(body)
    tools = declared_tools(decoded.tools)
    chat = responses_chat.to_chat_request(decoded, tools, _PROFILE)
    return Body(body, msgspec.json.encode(chat))


def _short() -> dict[str, Any]:
    question = {"type": "input_text", "text": "Which of the two calls comes first?"}
    message = {"type": "message", "role": "user", "content": [question]}
    return {"model": "gpt-5", "stream": True, "input": [message]}


def _codex() -> dict[str, Any]:
    recording = resources.files("autosre_lab.bench") / "recordings" / "codex_first_request.json"
    request: dict[str, Any] = json.loads(recording.read_text(encoding="utf-8"))
    return request | {"stream": True}


def _small() -> dict[str, Any]:
    question = "Which of the two calls comes first?"
    return {
        "model": "claude-sonnet-5",
        "max_tokens": 1024,
        "stream": True,
        "messages": [{"role": "user", "content": question}],
    }


def _claude() -> dict[str, Any]:
    recording = resources.files("autosre_lab.bench") / "recordings" / "claude_first_request.json"
    request: dict[str, Any] = json.loads(recording.read_text(encoding="utf-8"))
    return request | {"stream": True}
