"""An Anthropic request as a vLLM Chat Completions request."""

from __future__ import annotations

from typing import Any

from autosre_lab.proxy.messages.conversation import chat_messages
from autosre_lab.proxy.messages.request import MessagesRequest
from autosre_lab.proxy.messages.thinking import thinking_fields
from autosre_lab.proxy.messages.tools import tool_fields
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["to_chat_request"]


def to_chat_request(
    request: MessagesRequest,
    engine: EngineProfile,
    *,
    max_tokens: int | None,
    priority: int = 0,
    stream: bool = True,
) -> dict[str, Any]:
    """Translate a request.

    Args:
        request: What the client sent.
        engine: What the engine and its chat template allow.
        max_tokens: The answer's limit, already fitted to the window; None to send none.
        priority: vLLM's scheduling priority, lower is earlier; sent if the engine schedules by it.
        stream: Ask for a stream with token counts in every chunk.

    Returns:
        The request body, to be encoded by `msgspec.json.encode`: tool schemas in it are the
        client's own bytes (`msgspec.Raw`).
    """
    messages = chat_messages(request.system, request.messages, engine)
    body: dict[str, Any] = {"model": engine.model, "messages": messages}
    if max_tokens is not None:
        body["max_completion_tokens"] = max_tokens
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    if engine.tools:
        body |= tool_fields(request)
    body |= _sampling_fields(request)
    body |= thinking_fields(request, engine)
    body |= _format_fields(request)
    if request.messages[-1].role == "assistant" and _continues(messages[-1]):
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
    if engine.priorities and priority:
        body["priority"] = priority
    return body


def _sampling_fields(request: MessagesRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.stop_sequences:
        fields["stop"] = request.stop_sequences
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    if request.top_p is not None:
        fields["top_p"] = request.top_p
    if request.top_k is not None:
        fields["top_k"] = request.top_k
    if request.ignore_eos:
        fields["ignore_eos"] = True
    return fields


def _format_fields(request: MessagesRequest) -> dict[str, Any]:
    wanted = request.output_format
    if request.output_config is not None and request.output_config.format is not None:
        wanted = request.output_config.format
    if wanted is None or wanted.type != "json_schema" or not wanted.schema:
        return {}
    schema = {"name": "answer", "schema": wanted.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _continues(message: dict[str, Any]) -> bool:
    """Whether the answer goes on from this last message, and make it fit to be continued."""
    if "tool_calls" in message or not message["content"].strip():
        return False
    # Chat templates strip it, and vLLM then does not find the text that it shall continue.
    message["content"] = message["content"].rstrip()
    return True
