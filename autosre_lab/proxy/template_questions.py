"""What a chat template does and insists on, asked by rendering a few conversations.

vLLM's `/tokenize` renders without generating, so every question here costs milliseconds and no GPU
time. What cannot be learned this way keeps its cautious default.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from autosre_lab.proxy.profile import DeferredTools, OpensThinking
from autosre_lab.proxy.upstream import RenderFailedError, TemplateRejectedError, Upstream

__all__ = [
    "Insists",
    "TemplateRenderer",
    "continues",
    "deferred_tools",
    "efforts",
    "insists_on",
    "opens_thinking",
    "renders_mid_system",
    "sees_images",
    "thinking_switch",
]

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_USER = {"role": "user", "content": "first question"}
_ANSWER = {"role": "assistant", "content": "first answer"}
_LONGER = {"role": "assistant", "content": "first answer, and then more of it"}
_LATER = {"role": "user", "content": "second question"}
_SYSTEM = {"role": "system", "content": "be brief"}
_REMARK = {"role": "system", "content": "an unmistakable remark"}
_LAST_TOKENS = 12
_HARMONY = "<|start|>"
_LONG_ID, _SHORT_ID = "toolu_0123456789abcdef01234567", "abcdef123"
# Grey, 32 by 32: small, and large enough for any vision tower's preprocessing.
_IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAFklEQVR42mNoIAAYRhWMKhhV"
    "MFIVAABCAAAfN5c2AAAAAABJRU5ErkJggg=="
)


class Insists(NamedTuple):
    """What a template refuses; the names are those of `EngineProfile`."""

    alternating: bool = False
    user_after_results: bool = True
    tool_role: bool = True
    system_role: bool = True
    short_call_ids: bool = False


class TemplateRenderer:
    """Renders conversations with the engine's template.

    Args:
        upstream: The engine.
        model: The served name.
    """

    def __init__(self, upstream: Upstream, model: str) -> None:
        self._upstream = upstream
        self._model = model

    async def tokens(
        self, messages: list[dict[str, Any]], *, unfinished: bool = False, **template: str | bool
    ) -> list[int] | None:
        """Return the rendered token ids without a generation prompt, or None if refused.

        Args:
            messages: What to render.
            unfinished: The last one is an answer that is not over.
            template: Arguments of the template.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "add_generation_prompt": bool(template),
        }
        if unfinished:
            body["continue_final_message"] = True
        if template:
            body["chat_template_kwargs"] = template
        return _tokens(await self._rendered(body))

    async def with_tools(
        self,
        tools: list[dict[str, Any]],
        *messages: dict[str, Any],
        listed: list[dict[str, Any]] | None = None,
    ) -> list[int] | None:
        """Return the token ids of a prompt with tools, or None if refused.

        Args:
            tools: What the request declares.
            messages: The conversation.
            listed: What the template's own argument says instead.
        """
        body: dict[str, Any] = {"model": self._model, "messages": list(messages), "tools": tools}
        if listed is not None:
            body["chat_template_kwargs"] = {"tools": listed}
        return _tokens(await self._rendered(body))

    async def takes(self, *messages: dict[str, Any]) -> bool:
        """Whether the template renders these messages at all."""
        return await self.tokens(list(messages)) is not None

    async def prompt_end(self, **template: str | bool) -> str:
        """Return the last words of a prompt that waits for its answer, as far as known."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [_USER],
            "add_generation_prompt": True,
            "return_token_strs": True,
        }
        if template:
            body["chat_template_kwargs"] = template
        words = (await self._rendered(body) or {}).get("token_strs")
        return "".join(map(str, words[-_LAST_TOKENS:])) if isinstance(words, list) else ""

    async def _rendered(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the engine made of it; None where its template refuses.

        A template that fails with something else than its own refusal is a 500 of some versions: no
        reason to take an engine that is well for gone.
        """
        try:
            return await self._upstream.tokenize(body)
        except TemplateRejectedError:
            return None
        except RenderFailedError:
            if await self._upstream.healthy():
                return None
            raise


def _tokens(answer: dict[str, Any] | None) -> list[int] | None:
    return None if answer is None else list(answer.get("tokens") or ())


async def insists_on(render: TemplateRenderer) -> Insists:
    """Ask for what some vendors' templates refuse.

    A template that renders not even a question is asked nothing: its refusals say nothing.
    """
    plain, twice, system = await asyncio.gather(
        render.takes(_USER), render.takes(_USER, _LATER), render.takes(_SYSTEM, _USER)
    )
    if not plain:
        return Insists()
    id_, tool_role = _LONG_ID, True
    if not await render.takes(*_called(_LONG_ID)):
        id_ = _SHORT_ID
        tool_role = await render.takes(*_called(_SHORT_ID))
    follows = not tool_role or await render.takes(*_called(id_), _LATER)
    return Insists(
        alternating=not twice,
        user_after_results=follows,
        tool_role=tool_role,
        system_role=system,
        short_call_ids=tool_role and id_ == _SHORT_ID,
    )


async def deferred_tools(render: TemplateRenderer) -> DeferredTools:
    """How a tool can be known to the engine's parser and not stand at the head of the prompt."""
    first, later, other = _tool("look", "look"), _tool("go", "go there"), _tool("go", "leave")
    for tool in (later, other):
        tool["function"]["defer_loading"] = True
    fetched = _called(_LONG_ID)
    fetched[-1]["content"] = [{"type": "tool_reference", "name": "go"}]
    alone, hidden, told, otherwise = await asyncio.gather(
        render.with_tools([first], _USER),
        render.with_tools([first, later], _USER),
        render.with_tools([first, later], *fetched),
        render.with_tools([first, other], *fetched),
    )
    if alone and alone == hidden and told and otherwise and told != otherwise:
        return "template"
    plain = _tool("go", "go there")
    one, two, end = await asyncio.gather(
        render.with_tools([first], _USER, listed=[first]),
        render.with_tools([first, plain], _USER, listed=[first]),
        render.prompt_end(),
    )
    # For gpt-oss vLLM renders /tokenize by the template, but answers by its own harmony renderer,
    # which prints each declared tool.
    return "argument" if one and one == two and _HARMONY not in end else "left_out"


def _tool(name: str, description: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _called(id_: str) -> list[dict[str, Any]]:
    function = {"name": "look", "arguments": "{}"}
    call = {"id": id_, "type": "function", "function": function}
    return [
        _USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "content": "seen"},
    ]


async def opens_thinking(render: TemplateRenderer, switch: str | None) -> OpensThinking:
    """Whether the prompt itself ends with an opened `<think>`."""
    if switch is None:
        return "always" if _opened(await render.prompt_end()) else "never"
    on, off = await asyncio.gather(
        render.prompt_end(**{switch: True}), render.prompt_end(**{switch: False})
    )
    if _opened(off):
        return "always"
    return "on" if _opened(on) else "never"


def _opened(end: str) -> bool:
    # Byte-level tokenizers write a space as U+0120, a line's end as U+010A; others as U+2581.
    return end.rstrip(" \n\u0120\u010a\u2581").endswith("<think>")


async def renders_mid_system(render: TemplateRenderer) -> bool:
    """In place means: the longer conversation's tokens begin with the shorter one's."""
    before = [_SYSTEM, _USER, _ANSWER]
    shorter, longer, without = await asyncio.gather(
        render.tokens(before),
        render.tokens([*before, _REMARK, _LATER]),
        render.tokens([*before, _LATER]),
    )
    if not shorter or not longer or not without:
        return False
    return longer[: len(shorter)] == shorter and len(longer) > len(without)


async def continues(render: TemplateRenderer) -> bool:
    """Whether an unfinished answer is rendered as the beginning of the longer one."""
    begun, longer = await asyncio.gather(
        render.tokens([_USER, _ANSWER], unfinished=True), render.tokens([_USER, _LONGER])
    )
    return bool(begun and longer and longer[: len(begun)] == begun)


async def thinking_switch(render: TemplateRenderer) -> str | None:
    """The template's argument that turns thinking on and off, if it has one."""
    for name in ("enable_thinking", "thinking"):
        on, off = await asyncio.gather(
            render.tokens([_USER], **{name: True}), render.tokens([_USER], **{name: False})
        )
        if on is not None and off is not None and on != off:
            return name
    return None


async def efforts(render: TemplateRenderer) -> frozenset[str]:
    """The words that change the prompt; a template that ignores them all takes none."""
    rendered = await asyncio.gather(
        *(render.tokens([_USER], reasoning_effort=effort) for effort in _EFFORTS)
    )
    accepted = {
        effort: tuple(tokens)
        for effort, tokens in zip(_EFFORTS, rendered, strict=True)
        if tokens is not None
    }
    return frozenset(accepted) if len(set(accepted.values())) > 1 else frozenset()


async def sees_images(render: TemplateRenderer) -> bool:
    """Whether the engine takes an image at all."""
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": _IMAGE}},
    ]
    return bool(await render.tokens([{"role": "user", "content": parts}]))
