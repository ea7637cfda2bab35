"""Learn from a live engine what it serves and what its chat template allows, once."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.logs import get_logger
from autosre_lab.proxy import template_questions as ask
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.upstream import EngineUnreachableError, Upstream

__all__ = ["ProfileSource", "images_by_config", "probe_profile"]

logger = get_logger(__name__)


async def probe_profile(upstream: Upstream) -> EngineProfile:
    """Ask the engine what it serves and what its template does.

    Whether the model sees images is read from its configuration where that lies on this machine.
    Elsewhere it is left open until a client shows one: asking a model that sees none makes older
    versions of vLLM write a long traceback into their log.

    Raises:
        EngineUnreachableError: The engine does not answer.
    """
    served = (await upstream.models())[0]
    render = ask.TemplateRenderer(upstream, served.id)
    mid_system, switch, efforts, insists, deferred = await asyncio.gather(
        ask.renders_mid_system(render),
        ask.thinking_switch(render),
        ask.efforts(render),
        ask.insists_on(render),
        ask.deferred_tools(render),
    )
    images = images_by_config(served.root)
    return EngineProfile(
        model=served.id,
        max_model_len=served.max_model_len,
        mid_system="system" if mid_system and not insists.alternating else "reminder",
        thinking_switch=switch,
        efforts=efforts,
        images=bool(images),
        images_known=images is not None,
        priorities=True,  # vLLM ignores them silently under fcfs
        opens_thinking=await ask.opens_thinking(render, switch),
        deferred_tools=deferred,
        **insists._asdict(),
    )


def images_by_config(root: str) -> bool | None:
    """Whether a model sees images, by its `config.json`; None if that is not on this machine.

    Args:
        root: A folder, or a repository's name, which is looked for in the hub's cache.
    """
    for path in _config_files(root):
        try:
            config = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (OSError, ValueError):
            continue
        return "vision_config" in config or "image_token_id" in config or "visual" in config
    return None


def _config_files(root: str) -> list[Path]:
    if root.startswith("/"):
        return [Path(root) / "config.json"]
    try:
        home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
        hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
        found = (hub / f"models--{root.replace('/', '--')}" / "snapshots").glob("*/config.json")
        return sorted(found)
    except (OSError, ValueError, RuntimeError):
        return []


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

    async def current(self, *, images: bool = False) -> EngineProfile:
        """Return the profile; only the first call, and one after `forget`, waits for the engine.

        Args:
            images: The request shows images, so that it has to be known whether the model sees.

        Raises:
            EngineUnreachableError: The engine does not answer.
        """
        if self._profile is not None:
            if time.monotonic() - self._probed_at > self._ttl_s:
                self._begin()
            profile = self._profile
        else:
            # Shielded: one client that goes away must not end the probe that others wait for.
            profile = await asyncio.shield(self._begin())
        if images and not profile.images_known:
            render = ask.TemplateRenderer(self._upstream, profile.model)
            self.learn(images=await ask.sees_images(render), images_known=True)
        return self._profile or profile

    def learn(self, **facts: bool) -> None:
        """Keep what a request showed of the engine, for as long as it lives."""
        if self._profile is not None:
            self._profile = msgspec.structs.replace(self._profile, **facts)

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
        known = self._profile
        if known is not None and known.model == profile.model:
            profile = msgspec.structs.replace(profile, tools=known.tools)
            if known.images_known:
                profile = msgspec.structs.replace(profile, images=known.images, images_known=True)
        if profile != known:
            logger.info("the engine at %s: %s", self._upstream.url, profile)
        self._profile = profile
        return profile


def _retrieve(task: asyncio.Task[EngineProfile]) -> None:
    if not task.cancelled():
        task.exception()
