"""Requests as clients write them, and what the engine would read of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile

__all__ = [
    "CACHED",
    "ENGINE",
    "PLAIN",
    "PNG",
    "TOOL",
    "assistant",
    "text",
    "tool_result",
    "tool_use",
    "translate",
    "user",
]


ENGINE = EngineProfile(
    model="served",
    max_model_len=8192,
    mid_system="system",
    thinking_switch="enable_thinking",
    efforts=frozenset({"low", "medium", "high"}),
    thinking_budget=True,
    images=True,
    priorities=True,
)


PLAIN = EngineProfile(model="plain", max_model_len=8192)


PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


OPENAI: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)


def translate(
    messages: list[Any] | str, engine: EngineProfile = ENGINE, **fields: Any
) -> dict[str, Any]:
    """Decode, translate, encode; the result is what the engine would read."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body = {"model": "claude-x", "max_tokens": 99, "messages": messages} | fields
    request = decode_request(json.dumps(body).encode())
    encoded = msgspec.json.encode(to_chat_request(request, engine, max_tokens=50, priority=3))
    chat: dict[str, Any] = json.loads(encoded)
    OPENAI.validate_python(chat)
    return chat


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value} | more


def tool_use(id_: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "Read", "input": arguments}


def tool_result(id_: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content} | more


CACHED = {"cache_control": {"type": "ephemeral"}}


TOOL = {"name": "f", "input_schema": {"type": "object"}}
