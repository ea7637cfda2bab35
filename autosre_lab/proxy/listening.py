"""Run a proxy in this process until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autosre_lab.logs import get_logger
from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.server import Proxy
from autosre_lab.serving.http_server import running_app
from autosre_lab.serving.listener import allow_descriptors

__all__ = ["running_proxy", "serve"]

logger = get_logger(__name__)

_GARBAGE_AFTER = 10_000
"""New objects after which Python looks for circles of them that nobody holds any more."""


@asynccontextmanager
async def running_proxy(config: ProxyConfig) -> AsyncIterator[str]:
    """Serve inside a block of an event loop that runs already.

    Yields:
        The proxy's base URL, with the port it got.

    Raises:
        PortTakenError: Somebody else listens on the port.
        ConfigError: The address is not one of this machine's.
    """
    proxy = Proxy(config)
    async with running_app(
        proxy.app,
        host=config.host,
        port=config.port,
        say_error=proxy.say_error,
        idle_s=config.idle_s,
        shutdown_s=config.shutdown_grace_s + 1.0,
    ) as url:
        yield url


def serve(config: ProxyConfig) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end for a while.

    Raises:
        PortTakenError: Somebody else listens on the port.
        ConfigError: The address is not one of this machine's.
    """
    import uvloop

    # A running request holds two: the client's and the engine's.
    allow_descriptors(2 * config.max_running + 64)

    async def main() -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        async with running_proxy(config) as url:
            # What was imported lives as long as the process; looked through at every full
            # collection, it would hold up all streams for ten milliseconds.
            gc.freeze()
            # A stream's objects live for seconds: to look for garbage among those of hundreds of
            # streams at every 700th (Python's own number) finds next to none.
            gc.set_threshold(_GARBAGE_AFTER)
            logger.info("serving %s for %s", url, config.upstream)
            await told.wait()

    uvloop.run(main())
