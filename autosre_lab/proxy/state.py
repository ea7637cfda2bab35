"""What all requests of one proxy share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from autosre_lab.engine.protocol import ServedModel
from autosre_lab.errors import ConfigError
from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.counting import KnownPrompts
from autosre_lab.proxy.key_gate import KeyGate
from autosre_lab.proxy.leading import LeadingPrompts
from autosre_lab.proxy.metrics import ProxyMetrics
from autosre_lab.proxy.prefix_memory import PrefixMemory
from autosre_lab.proxy.probe import ProfileSource
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import EngineBrokeError, engine_down
from autosre_lab.proxy.request_log import RequestLog
from autosre_lab.proxy.running import RunningRequests
from autosre_lab.proxy.upstream import EngineUnreachableError, Upstream

__all__ = ["ProxyState"]

_PAUSES_S = (0.05, 1.0, 5.0)
"""Before the first, second and every later try of one answer: it may be what kills the engine."""

_POLL_S = 0.5


class ProxyState:
    """The engine, and what is remembered of earlier requests.

    Attributes:
        config: What the proxy was told.
        upstream: The engine.
        profiles: What the engine allows.
        known: Exact counts of earlier prompts.
        prefixes: How earlier prompts began.
        metrics: The Prometheus metrics.
        leading: How sessions begin, to compute it ahead.
        running: The requests under way.
        log: The request log.
        gate: Who may ask, and how much.
        closing: The proxy was told to end.

    Raises:
        ConfigError: The request log cannot be written, or the keys cannot be read.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self.upstream = Upstream(
            config.upstream,
            connect_timeout_s=config.connect_timeout_s,
            api_key=config.engine_key,
        )
        self.profiles = ProfileSource(self.upstream, ttl_s=config.profile_ttl_s)
        self.known = KnownPrompts()
        self.prefixes = PrefixMemory()
        self.metrics = ProxyMetrics()
        log = config.request_log
        self.leading = LeadingPrompts(None if log is None else log.with_name("leading.json"))
        self.running = RunningRequests(config.max_running)
        self.log = RequestLog(
            config.request_log,
            max_bytes=config.request_log_bytes,
            of_keys=config.keys_file is not None,
        )
        try:
            self.gate = KeyGate(config, self.log.spending, self.metrics)
        except ConfigError:
            self.log.close()
            raise
        self.closing = False

    async def open(self) -> None:
        """Open the connections; to be called inside the event loop."""
        await self.upstream.open()

    async def models(self) -> Sequence[ServedModel]:
        """Return the engine's models.

        Raises:
            EngineUnreachableError: It does not answer.
        """
        return await self.upstream.models()

    async def sees_images(self) -> bool:
        """Whether they see images; found out once.

        Raises:
            EngineUnreachableError: The engine does not answer.
        """
        return (await self.profiles.current(images=True)).images

    async def drain(self) -> None:
        """Let running requests end for a while, then end them."""
        self.closing = True
        await self.leading.give_way()
        await self.running.drain(self.config.shutdown_grace_s)

    async def engine_back(self, tries: int, *, images: bool) -> EngineProfile:
        """Wait until the engine works, for as long as the settings allow.

        Args:
            tries: Which try this is; the first comes at once, the others later and later.
            images: The request shows images.

        Raises:
            EngineBrokeError: It did not come back in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.config.resume_for_s
        pause_s = _PAUSES_S[min(tries, len(_PAUSES_S)) - 1]
        self.profiles.forget()
        while True:
            await asyncio.sleep(min(pause_s, max(0.0, deadline - loop.time())))
            if await self.upstream.healthy():
                with contextlib.suppress(EngineUnreachableError):
                    return await self.profiles.current(images=images)
            if loop.time() >= deadline:
                raise EngineBrokeError(
                    engine_down(
                        self.upstream.url,
                        f"it broke off and did not come back in {self.config.resume_for_s:.0f} s",
                    )
                )
            pause_s = _POLL_S

    async def close(self) -> None:
        """End what is left, and write the log's last lines."""
        await self.profiles.close()
        await self.upstream.close()
        if self.config.search is not None:
            await self.config.search.close()
        self.log.close()
