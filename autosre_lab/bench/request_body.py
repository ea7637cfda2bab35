"""A turn as a request body of each API, from one history in Anthropic's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from autosre_lab.bench.target import Target
from autosre_lab.bench.workload import Session, SessionTurn
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["answer_message", "endpoint_path", "input_message", "request_body", "scripted_blocks"]

Message = dict[str, Any]

_PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}


def endpoint_path(target: Target) -> str:
    """Where the target takes its requests."""
    return _PATHS[target.protocol]


def input_message(turn: SessionTurn, previous: Sequence[Mapping[str, Any]]) -> Message:
    """Return a turn's new message: a tool's result where the answer before called tools.

    Args:
        turn: The turn.
        previous: Content blocks of the answer before; empty for the first turn.
    """
    calls = [block["id"] for block in previous if block["type"] == "tool_use"]
    if not calls:
        return {"role": "user", "content": turn.text}
    # Each call wants its result; the text goes to the first.
    texts = [turn.text, *["done"] * (len(calls) - 1)]
    return {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": call, "content": text}
            for call, text in zip(calls, texts, strict=True)
        ],
    }


def scripted_blocks(session: Session, index: int) -> list[Message]:
    """Return the content blocks that a scripted history has for a turn's answer."""
    turn = session.turns[index]
    blocks: list[Message] = [{"type": "text", "text": turn.answer or "Done."}]
    if turn.tool is not None:
        call = f"toolu_{session.id}_{index}"
        blocks.append({"type": "tool_use", "id": call, "name": turn.tool, "input": {}})
    return blocks


def answer_message(blocks: Sequence[Mapping[str, Any]]) -> Message:
    """Return an answer as the history has it: without thinking, never empty."""
    kept = [dict(block) for block in blocks if block["type"] != "thinking"]
    return {"role": "assistant", "content": kept or [{"type": "text", "text": "Done."}]}


def request_body(
    target: Target, session: Session, history: Sequence[Message], turn: SessionTurn
) -> dict[str, Any]:
    """Return the body of a streaming request.

    Args:
        target: Whose API and model.
        session: Gives the system prompt and the tools.
        history: Messages in Anthropic's form; the last one is the turn's input.
        turn: Gives the limits.
    """
    messages: dict[str, Any] = {
        "model": target.model,
        "max_tokens": turn.max_tokens,
        "stream": True,
        "temperature": 0,
        "system": session.system,
        "messages": list(history),
    }
    if session.tools:
        messages["tools"] = list(session.tools)
        if turn.tool_choice:
            messages["tool_choice"] = {"type": "tool", "name": turn.tool_choice}
    if turn.exact:
        messages["ignore_eos"] = True
    if target.protocol == "messages":
        return messages
    if target.protocol == "responses":
        return _responses_body(messages)
    # As the proxy would ask the engine, so that both APIs are measured with the same prompt.
    engine = EngineProfile(model=target.model, max_model_len=1 << 30)
    chat = to_chat_request(
        decode_request(msgspec.json.encode(messages)), engine, max_tokens=turn.max_tokens
    )
    chat["stream_options"] = {"include_usage": True}
    if not session.system:
        chat["messages"] = [one for one in chat["messages"] if one.get("content") != ""]
    return chat


def _responses_body(messages: Mapping[str, Any]) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for message in messages["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        items.extend(_responses_item(message["role"], block) for block in blocks)
    body: dict[str, Any] = {
        "model": messages["model"],
        "instructions": messages["system"],
        "input": items,
        "max_output_tokens": messages["max_tokens"],
        "stream": True,
        "store": False,
        "temperature": 0,
    }
    if "tools" in messages:
        body["tools"] = [
            {
                "type": "function",
                "name": tool["name"],
                "description": tool.get("description", ""),
                "parameters": tool["input_schema"],
            }
            for tool in messages["tools"]
        ]
        choice = messages.get("tool_choice")
        body["tool_choice"] = {"type": "function", "name": choice["name"]} if choice else "auto"
    if messages.get("ignore_eos"):
        body["ignore_eos"] = True
    return body


def _responses_item(role: str, block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_use":
        arguments = msgspec.json.encode(block["input"]).decode()
        return {
            "type": "function_call",
            "call_id": block["id"],
            "name": block["name"],
            "arguments": arguments,
        }
    if block["type"] == "tool_result":
        return {
            "type": "function_call_output",
            "call_id": block["tool_use_id"],
            "output": block["content"],
        }
    # A plain string is the one form that every version takes for both roles.
    return {"type": "message", "role": role, "content": block["text"]}
