"""What a response repeats of its request: every field that the API's schema asks for."""

from __future__ import annotations

from typing import Any

import msgspec

from autosre_lab.proxy.responses.request import ResponsesRequest, TextConfig, Tool

__all__ = ["echoed"]


def echoed(request: ResponsesRequest, *, stored: bool) -> dict[str, Any]:
    """Return the fields.

    Args:
        request: What was asked.
        stored: The response is stored.
    """
    reasoning = request.reasoning
    return {
        "background": request.in_background is True,
        "frequency_penalty": request.frequency_penalty or 0.0,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": request.model,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "presence_penalty": request.presence_penalty or 0.0,
        "previous_response_id": request.continued_from,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {
            "effort": reasoning.effort if reasoning is not None else None,
            "summary": reasoning.summary if reasoning is not None else None,
        },
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": stored,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": _text(request.text),
        "tool_choice": request.tool_choice or "auto",
        "tools": [_tool(tool) for tool in request.tools or ()],
        "top_logprobs": 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        # Nothing is dropped from an input: a server that did would break its own prefix cache.
        "truncation": "disabled",
        "user": request.user,
    }


def _text(text: TextConfig | None) -> dict[str, Any]:
    wanted = text.format if text is not None else None
    verbosity = text.verbosity if text is not None else None
    shown: Any = {"type": "text"}
    if wanted is not None and wanted.type == "json_schema":
        shown = {
            "type": "json_schema",
            "name": wanted.name or "answer",
            "description": None,
            "schema": wanted.schema,
            "strict": wanted.strict is True,
        }
    elif wanted is not None:
        shown = {"type": wanted.type}
    return {"format": shown, "verbosity": verbosity or "medium"}


def _tool(tool: Tool) -> Any:
    if tool.type != "function":
        return tool
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or msgspec.Raw(b"null"),
        "strict": tool.strict is True,
    }
