"""A Responses request as a vLLM Chat Completions request."""

from __future__ import annotations

from typing import Any

from autosre_lab.proxy.engine_fields import engine_fields, switched
from autosre_lab.proxy.messages.thinking import nearest_effort
from autosre_lab.proxy.messages.turns import fit_template
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import BadRequestError
from autosre_lab.proxy.responses.compaction import compaction_prompt, is_triggered
from autosre_lab.proxy.responses.conversation import chat_messages
from autosre_lab.proxy.responses.request import ResponsesRequest
from autosre_lab.proxy.responses.search import FoundBefore
from autosre_lab.proxy.responses.tools import DeclaredTools, tool_fields
from autosre_lab.proxy.responses.warming import question

__all__ = ["begins_inside", "to_chat_request"]

_INSTEAD = {
    "response_format": "text.format",
    "include_reasoning": "reasoning",
    "continue_final_message": "a last message of the assistant",
}


def to_chat_request(
    request: ResponsesRequest,
    tools: DeclaredTools,
    engine: EngineProfile,
    *,
    priority: int = 0,
    may_call: bool = True,
    found: FoundBefore | None = None,
) -> dict[str, Any]:
    """Translate a request, without a limit of the answer.

    Args:
        request: What the client sent.
        tools: Its tools, flattened.
        engine: What the engine and its chat template allow.
        priority: vLLM's scheduling priority, lower is earlier; sent if the engine schedules by it.
        may_call: The model may call tools; otherwise they are only rendered, for the prefix cache.
        found: What earlier searches found.

    Raises:
        BadRequestError: There is nothing to answer.
    """
    messages = chat_messages(request.instructions, request.items, engine, tools, found)
    if is_triggered(request):
        messages.append({"role": "user", "content": compaction_prompt()})
    if request.warms and all(message["role"] == "system" for message in messages):
        messages.append(question())
    if not messages:
        raise BadRequestError("The input holds no message.")
    body: dict[str, Any] = {
        "model": engine.model,
        "messages": fit_template(messages, engine),
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    if engine.tools:
        body |= tool_fields(request, tools)
        if "tools" in body and not may_call:
            body["tool_choice"] = "none"
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if bytes(request.top_k) not in (b"", b"null"):
        body["top_k"] = request.top_k
    own = _thinking_fields(request, engine)
    asked = engine_fields(
        request,
        answers="responses",
        instead=_INSTEAD,
        handed_on=("stop",),
        judged=("top_logprobs",),
    )
    kwargs = own.pop("chat_template_kwargs", {}) | asked.pop("chat_template_kwargs", {})
    body |= own | asked
    if kwargs:
        body["chat_template_kwargs"] = kwargs
    body |= _format_fields(request)
    if engine.priorities and priority:
        body["priority"] = priority
    return body


def begins_inside(request: ResponsesRequest, engine: EngineProfile) -> bool:
    """Whether the template has opened the thoughts, so that the answer begins inside of them."""
    on = switched(request, engine.thinking_switch)
    if on is None:
        on = request.reasoning is None or request.reasoning.effort != "none"
    return engine.opens_thinking == "always" or (engine.opens_thinking == "on" and on)


def _thinking_fields(request: ResponsesRequest, engine: EngineProfile) -> dict[str, Any]:
    """Say how deep the model shall think. Silence leaves it to the model, unlike with Anthropic."""
    fields: dict[str, Any] = {}
    effort = request.reasoning.effort if request.reasoning is not None else None
    template_kwargs: dict[str, Any] = dict(engine.template_kwargs)
    if engine.thinking_switch is not None:
        template_kwargs[engine.thinking_switch] = effort != "none"
        effort = None if effort == "none" else effort
    if template_kwargs:
        fields["chat_template_kwargs"] = template_kwargs
    chosen = nearest_effort(effort, engine.efforts)
    if chosen is not None:
        fields["reasoning_effort"] = chosen
    return fields


def _format_fields(request: ResponsesRequest) -> dict[str, Any]:
    wanted = request.text.format if request.text is not None else None
    if wanted is None or wanted.type == "text":
        return {}
    if wanted.type == "json_object":
        return {"response_format": {"type": "json_object"}}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.strict:
        schema["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
