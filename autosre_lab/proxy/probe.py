"""Learn from a live engine what its chat template allows, by rendering a few conversations.

vLLM's `/tokenize` renders without generating, so every question here costs milliseconds and no GPU
time. What cannot be learned this way keeps its cautious default.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from autosre_lab.logs import get_logger
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.upstream import EngineUnreachableError, TemplateRejectedError, Upstream

__all__ = ["ProfileSource", "probe_profile"]

logger = get_logger(__name__)

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_USER = {"role": "user", "content": "first question"}
_ANSWER = {"role": "assistant", "content": "first answer"}
_LATER = {"role": "user", "content": "second question"}
_SYSTEM = {"role": "system", "content": "be brief"}
_REMARK = {"role": "system", "content": "an unmistakable remark"}
# Grey, 32 by 32: small, and large enough for any vision tower's preprocessing.
_IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAFklEQVR42mNoIAAYRhWMKhhV"
    "MFIVAABCAAAfN5c2AAAAAABJRU5ErkJggg=="
)


async def probe_profile(upstream: Upstream) -> EngineProfile:
    """Ask the engine what it serves and what its template does.

    Raises:
        EngineUnreachableError: The engine does not answer.
    """
    served = (await upstream.models())[0]
    render = _Renderer(upstream, served.id)
    mid_system, switch, efforts, images = await asyncio.gather(
        _renders_mid_system(render),
        _thinking_switch(render),
        _efforts(render),
        _sees_images(render),
    )
    return EngineProfile(
        model=served.id,
        max_model_len=served.max_model_len,
        mid_system="system" if mid_system else "reminder",
        thinking_switch=switch,
        efforts=efforts,
        images=images,
        priorities=True,  # vLLM ignores them silently under fcfs
    )


class ProfileSource:
    """The engine's profile, probed when first needed and again when it may have changed.

    Args:
        upstream: The engine.
        ttl_s: Seconds after which the served model is asked for again, in the background.
    """

    def __init__(self, upstream: Upstream, *, ttl_s: float) -> None:
        self._upstream = upstream
        self._ttl_s = ttl_s
        self._profile: EngineProfile | None = None
        self._probed_at = 0.0
        self._probing: asyncio.Task[EngineProfile] | None = None

    async def current(self) -> EngineProfile:
        """Return the profile; only the first call, and one after `forget`, waits for the engine.

        Raises:
            EngineUnreachableError: The engine does not answer.
        """
        if self._profile is not None:
            if time.monotonic() - self._probed_at > self._ttl_s:
                self._begin()
            return self._profile
        # Shielded: one client that goes away must not end the probe that others wait for.
        return await asyncio.shield(self._begin())

    def forget(self) -> None:
        """The engine went away or refused our model: what comes back may be another one."""
        self._profile = None

    async def close(self) -> None:
        """End a probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def _begin(self) -> asyncio.Task[EngineProfile]:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
            # A background probe that fails is nobody's to await; the next request sees it.
            self._probing.add_done_callback(_retrieve)
        return self._probing

    async def _probe(self) -> EngineProfile:
        self._probed_at = time.monotonic()
        try:
            profile = await probe_profile(self._upstream)
        except EngineUnreachableError:
            self._profile = None
            raise
        if profile != self._profile:
            logger.info("the engine at %s: %s", self._upstream.url, profile)
        self._profile = profile
        return profile


def _retrieve(task: asyncio.Task[EngineProfile]) -> None:
    if not task.cancelled():
        task.exception()


class _Renderer:
    def __init__(self, upstream: Upstream, model: str) -> None:
        self._upstream = upstream
        self._model = model

    async def tokens(
        self, messages: list[dict[str, Any]], **template: str | bool
    ) -> list[int] | None:
        """Return the rendered token ids without a generation prompt, or None if refused."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "add_generation_prompt": bool(template),
        }
        if template:
            body["chat_template_kwargs"] = template
        try:
            answer = await self._upstream.tokenize(body)
        except TemplateRejectedError:
            return None
        return list(answer.get("tokens") or ())


async def _renders_mid_system(render: _Renderer) -> bool:
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


async def _thinking_switch(render: _Renderer) -> str | None:
    for name in ("enable_thinking", "thinking"):
        on, off = await asyncio.gather(
            render.tokens([_USER], **{name: True}), render.tokens([_USER], **{name: False})
        )
        if on is not None and off is not None and on != off:
            return name
    return None


async def _efforts(render: _Renderer) -> frozenset[str]:
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


async def _sees_images(render: _Renderer) -> bool:
    parts = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": _IMAGE}},
    ]
    return bool(await render.tokens([{"role": "user", "content": parts}]))
