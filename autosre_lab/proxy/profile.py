"""What the translation has to know about the engine behind the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

__all__ = ["DeferredTools", "EngineProfile", "MidSystem", "OpensThinking"]

MidSystem = Literal["system", "reminder"]
OpensThinking = Literal["never", "on", "always"]
DeferredTools = Literal["left_out", "argument", "template"]


class EngineProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The served model and what its chat template and engine flags allow.

    The defaults are the cautious ones: a plain model that renders system messages only at the
    start, does not think, sees no images and is not scheduled by priority.

    Attributes:
        model: The served name that the engine answers to.
        max_model_len: The context window in tokens.
        mid_system: How a system message inside the conversation is written: "system" in place if
            the template renders it there, else "reminder", a `<system-reminder>` user text.
        thinking_switch: Name of the `chat_template_kwargs` key that turns thinking on and off
            ("enable_thinking"), or None if the template has none.
        efforts: Values of `reasoning_effort` that change what the template renders. Empty: the
            field is not sent.
        thinking_budget: The engine enforces `thinking_token_budget` (it has a reasoning parser).
        images: The model sees images.
        images_known: Whether it does was found out; if not, it is when a client shows one.
        tools: The engine parses tool calls. If not, tools are not sent, so that a plain model
            still answers instead of refusing the whole turn.
        priorities: The engine runs with `--scheduling-policy priority`; without it any priority
            other than 0 is refused.
        alternating: The template refuses two messages of one role in a row; they are merged.
        user_after_results: What a user says may follow results of tools; if not, it goes into the
            last result.
        tool_role: The template takes results of tools; if not, calls and results are written as
            text.
        system_role: The template takes a system message; if not, it goes into the first thing
            that a user says.
        short_call_ids: The template takes ids of calls only of nine letters and digits.
        opens_thinking: The prompt ends with an opened `<think>`, so that the answer begins inside
            of it: "never", "always", or "on" if thinking is on.
        deferred_tools: How tools that a conversation fetched are kept out of the list at the head
            of the prompt, and known to the engine's parser all the same: "argument" if the
            template prints the list that `chat_template_kwargs` holds, "template" if it knows
            `defer_loading` and `tool_reference` itself, else "left_out": the parser is not told.
        template_kwargs: Sent as `chat_template_kwargs` with every request, e.g.
            `{"preserve_thinking": True}` where it keeps the rendered prefix stable.
    """

    model: str
    max_model_len: int
    mid_system: MidSystem = "reminder"
    thinking_switch: str | None = None
    efforts: frozenset[str] = frozenset()
    thinking_budget: bool = False
    images: bool = False
    images_known: bool = True
    tools: bool = True
    priorities: bool = False
    alternating: bool = False
    user_after_results: bool = True
    tool_role: bool = True
    system_role: bool = True
    short_call_ids: bool = False
    opens_thinking: OpensThinking = "never"
    deferred_tools: DeferredTools = "left_out"
    template_kwargs: Mapping[str, bool | int | float | str] = {}
