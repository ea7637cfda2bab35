"""Request bodies: whatever comes is translated, or refused in words; nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from autosre_lab.proxy.dialect import Dialect
from autosre_lab.proxy.messages.dialect import MessagesDialect
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import BadRequestError, Refused
from autosre_lab.proxy.responses.dialect import ResponsesDialect
from tests.proxy.attack.mutation import changed, respelled
from tests.proxy.responses.bodies import recorded

__all__ = ["DIALECTS", "try_body", "valid_bodies"]

DIALECTS: dict[str, Dialect] = {"messages": MessagesDialect(), "responses": ResponsesDialect()}
_CASES = Path(__file__).parents[1] / "cases"
_ENGINES = [
    EngineProfile(model="plain", max_model_len=8192),
    EngineProfile(
        model="full",
        max_model_len=262_144,
        mid_system="system",
        thinking_switch="enable_thinking",
        efforts=frozenset({"low", "high"}),
        thinking_budget=True,
        images=True,
        priorities=True,
        opens_thinking="on",
    ),
    EngineProfile(
        model="strict",
        max_model_len=8192,
        alternating=True,
        user_after_results=False,
        system_role=False,
        short_call_ids=True,
        tools=False,
    ),
    EngineProfile(model="no tool role", max_model_len=8192, tool_role=False, alternating=True),
]


def valid_bodies() -> dict[str, list[dict[str, Any]]]:
    """Return requests to begin with, by dialect."""
    messages = [_WHOLE]
    for path in sorted(_CASES.glob("*.json")):
        if "request" in (case := json.loads(path.read_text("utf-8"))):
            hello = [{"role": "user", "content": "hello"}]
            messages.append({"model": "m", "max_tokens": 9, "messages": hello, **case["request"]})
    found = sorted(path.stem for path in (_CASES.parent / "responses" / "recorded").glob("*.json"))
    responses = [one["body"] for name in found for one in recorded(name)]
    return {"messages": messages, "responses": responses}


def try_body(dialect: Dialect, body: dict[str, Any], random: Random) -> str:
    """Change a body and translate it.

    Returns:
        "translated" or "refused". Everything else that happens is raised.
    """
    data = json.dumps(changed(body, random, random.randint(0, 3))).encode()
    if random.random() < 0.25:
        data = respelled(data, random, random.randint(1, 4))
    try:
        ask = dialect.decode(data, {}, counting=random.random() < 0.2)
        if dialect.canned(ask, "req_1") is not None:
            return "translated"
        engine = random.choice(_ENGINES)
        chat = dialect.chat(ask, engine, priority=1)
        dialect.answer(ask, "req_1", engine, window_limited=False)
    except (BadRequestError, Refused) as error:
        assert str(error)
        return "refused"
    dialect.sent_again(data)
    _check_chat(msgspec.json.encode(chat))
    return "translated"


def _check_chat(data: bytes) -> None:
    chat = json.loads(data.decode("utf-8"))
    assert chat["messages"], "at least one message"
    for message in chat["messages"]:
        assert message["role"] in {"system", "user", "assistant", "tool"}
        assert isinstance(message["content"], str | list), message
        for part in message["content"] if isinstance(message["content"], list) else ():
            url = part["image_url"]["url"] if "image_url" in part else "data:"
            assert url.startswith("data:"), "an address that the engine would fetch"
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert isinstance(call["function"]["name"], str)
    for tool in chat.get("tools", ()):
        assert tool["function"]["name"]
        assert isinstance(tool["function"].get("parameters", {}), dict), tool
    data.decode("utf-8").encode("utf-8")


_WHOLE: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 100,
    "stream": True,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u_session_1"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {}}},
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "system": [{"type": "text", "text": "x-anthropic-billing-header: a\nbe brief"}],
    "tools": [
        {
            "name": "Read",
            "description": "reads",
            "input_schema": {"type": "object"},
            "strict": True,
        },
        {"name": "bash", "type": "bash_20250124"},
        {"name": "web_search", "type": "web_search_20250305"},
    ],
    "messages": [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "a", "name": "Read", "input": {"path": "/x"}},
                {"type": "tool_use", "id": "b", "name": "Read", "input": {"n": 1.50}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}},
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "s",
                    "content": [{"type": "web_search_result", "url": "http://x", "title": "t"}],
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "B", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [
                        {"type": "text", "text": "A"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                        },
                        {"type": "tool_reference", "tool_name": "Read"},
                    ],
                },
                {
                    "type": "document",
                    "title": "d",
                    "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                },
                {"type": "search_result", "source": "s", "title": "t", "content": []},
                {"type": "compaction", "content": "before"},
                {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "Read"}},
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {"role": "system", "content": "remark"},
        {"role": "assistant", "content": "pre"},
    ],
}
