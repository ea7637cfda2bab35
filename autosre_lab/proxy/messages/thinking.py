"""Thinking and effort: what the client wishes, in the words the served template knows."""

from __future__ import annotations

from typing import Any

from autosre_lab.proxy.engine_fields import switched
from autosre_lab.proxy.messages.request import MessagesRequest
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["begins_inside", "nearest_effort", "thinking_fields", "thinks"]

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def thinks(request: MessagesRequest) -> bool:
    """Whether the client wants thinking. As with Anthropic, silence means no."""
    return request.thinking is not None and request.thinking.type != "disabled"


def begins_inside(request: MessagesRequest, engine: EngineProfile) -> bool:
    """Whether the template has opened the thoughts, so that the answer begins inside of them."""
    if request.messages[-1].role == "assistant":
        return False
    on = switched(request, engine.thinking_switch)
    on = thinks(request) if on is None else on
    return engine.opens_thinking == "always" or (engine.opens_thinking == "on" and on)


def thinking_fields(request: MessagesRequest, engine: EngineProfile) -> dict[str, Any]:
    """Return the request fields that turn thinking on or off and say how deep it may go."""
    fields: dict[str, Any] = {}
    template_kwargs: dict[str, Any] = dict(engine.template_kwargs)
    thinking = thinks(request)
    if engine.thinking_switch is not None:
        template_kwargs[engine.thinking_switch] = thinking
    if template_kwargs:
        fields["chat_template_kwargs"] = template_kwargs
    budget = request.thinking.budget_tokens if request.thinking is not None else None
    if thinking and engine.thinking_budget and budget is not None and budget > 0:
        fields["thinking_token_budget"] = budget
    effort = request.output_config.effort if request.output_config is not None else None
    if not thinking:
        # With a switch the template needs no second word; without one the least is asked for.
        effort = "none" if engine.thinking_switch is None else None
    chosen = nearest_effort(effort, engine.efforts)
    if chosen is not None:
        fields["reasoning_effort"] = chosen
    return fields


def nearest_effort(wanted: object, accepted: frozenset[str]) -> str | None:
    """Choose the accepted effort next to the wanted one, rather below than above it.

    Args:
        wanted: The client's word; one that nobody knows counts as none given.
        accepted: The words that the template takes.

    Returns:
        One of `accepted`, or None if nothing should be sent.
    """
    if not isinstance(wanted, str) or wanted not in _EFFORTS:
        return None
    rank = _EFFORTS.index(wanted)
    below = [effort for effort in _EFFORTS[: rank + 1] if effort in accepted and effort != "none"]
    if wanted == "none" and "none" in accepted:
        return "none"
    if below:
        return below[-1]
    above = [effort for effort in _EFFORTS[rank + 1 :] if effort in accepted]
    return above[0] if above else None
