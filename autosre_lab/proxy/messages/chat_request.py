"""An Anthropic request as a vLLM Chat Completions request."""

from __future__ import annotations

from typing import Any

from autosre_lab.proxy.engine_fields import engine_fields
from autosre_lab.proxy.messages.content import TEXT_SEPARATOR
from autosre_lab.proxy.messages.conversation import chat_messages
from autosre_lab.proxy.messages.deferred import offered_tools
from autosre_lab.proxy.messages.request import BadRequestError, MessagesRequest
from autosre_lab.proxy.messages.thinking import thinking_fields
from autosre_lab.proxy.messages.tool_choice import tool_fields
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["to_chat_request"]

_NO_TOOL_PARSER = (
    "No tool can be called: the engine was started without --enable-auto-tool-choice and "
    "--tool-call-parser. Where a task needs a tool, say so, and name these two flags."
)

_INSTEAD = {
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "include_reasoning": "thinking",
    "continue_final_message": "a last message of the assistant",
}


def to_chat_request(
    request: MessagesRequest,
    engine: EngineProfile,
    *,
    max_tokens: int | None,
    priority: int = 0,
    stream: bool = True,
    searches: bool = False,
) -> dict[str, Any]:
    """Translate a request.

    Args:
        request: What the client sent.
        engine: What the engine and its chat template allow.
        max_tokens: The answer's limit, already fitted to the window; None to send none.
        priority: vLLM's scheduling priority, lower is earlier; sent if the engine schedules by it.
        stream: Ask for a stream with token counts in every chunk.
        searches: The web is searched here.

    Returns:
        The request body, to be encoded by `msgspec.json.encode`: tool schemas in it are the
        client's own bytes (`msgspec.Raw`).

    Raises:
        BadRequestError: It asks for what neither the Messages API nor the engine has.
    """
    offered = offered_tools(request, searches=searches)
    messages = chat_messages(request.system, request.messages, engine, offered)
    body: dict[str, Any] = {"model": engine.model, "messages": messages}
    if max_tokens is not None:
        body["max_completion_tokens"] = max_tokens
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    tools = tool_fields(request, offered, engine)
    listed = tools.pop("chat_template_kwargs", {})
    if engine.tools:
        body |= tools
    elif "tools" in tools:
        listed = {}
        _say_that_nothing_can_be_called(messages)
    body |= _sampling_fields(request)
    own = thinking_fields(request, engine)
    asked = engine_fields(request, answers="Messages", instead=_INSTEAD)
    of_both = (own.pop("chat_template_kwargs", {}), asked.pop("chat_template_kwargs", {}))
    kwargs = {**listed, **of_both[0], **of_both[1]}
    body |= own | asked
    if kwargs:
        body["chat_template_kwargs"] = kwargs
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
    return fields


def _format_fields(request: MessagesRequest) -> dict[str, Any]:
    wanted = request.output_format
    if request.output_config is not None and request.output_config.format is not None:
        wanted = request.output_config.format
    if wanted is None:
        return {}
    if wanted.type != "json_schema" or not bytes(wanted.schema).startswith(b"{"):
        raise BadRequestError(
            'output_config.format: it is {"type": "json_schema", "schema": {…}}; no other '
            f"form is known, and this one is {wanted.type or 'nothing'!r}"
        )
    schema = {"name": "answer", "schema": wanted.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _say_that_nothing_can_be_called(messages: list[dict[str, Any]]) -> None:
    """Tell the model, so that it tells the user, instead of letting it write calls as text."""
    if messages[0]["role"] == "system":
        text = f"{messages[0]['content']}{TEXT_SEPARATOR}{_NO_TOOL_PARSER}"
        messages[0] = {**messages[0], "content": text}
    elif isinstance(messages[0]["content"], str):
        text = f"{_NO_TOOL_PARSER}{TEXT_SEPARATOR}{messages[0]['content']}"
        messages[0] = {**messages[0], "content": text}


def _continues(message: dict[str, Any]) -> bool:
    """Whether the answer goes on from this last message, and make it fit to be continued."""
    if "tool_calls" in message or not message["content"].strip():
        return False
    # Chat templates strip it, and vLLM then does not find the text that it shall continue.
    message["content"] = message["content"].rstrip()
    return True
