"""Run a proxy in this process until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from autosre_lab.errors import ConfigError, PortTakenError
from autosre_lab.logs import get_logger
from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.server import create_app

__all__ = ["allow_descriptors", "running_proxy", "serve"]

logger = get_logger(__name__)

BACKLOG = 2048
"""Connections the kernel holds for us: a burst of hundreds must not be refused."""


@asynccontextmanager
async def running_proxy(config: ProxyConfig) -> AsyncIterator[str]:
    """Serve inside a block of an event loop that runs already.

    Yields:
        The proxy's base URL, with the port it got.

    Raises:
        PortTakenError: Somebody else listens on the port.
        ConfigError: The address is not one of this machine's.
    """
    runner = web.AppRunner(
        create_app(config),
        handler_cancellation=True,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=config.shutdown_grace_s + 1.0,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port, backlog=BACKLOG)
        try:
            await site.start()
        except socket.gaierror as error:
            raise ConfigError(
                f"{config.host} is no address of this machine",
                remedy="listen on 127.0.0.1, or on 0.0.0.0 with a token",
            ) from error
        except OSError as error:
            raise PortTakenError(
                f"port {config.port} on {config.host} cannot be listened on: {error.strerror}",
                remedy=f"end what listens there (`ss -ltnp 'sport = :{config.port}'` names it), "
                "or choose another port",
            ) from error
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def serve(config: ProxyConfig) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end for a while.

    Raises:
        PortTakenError: Somebody else listens on the port.
        ConfigError: The address is not one of this machine's.
    """
    import uvloop

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
            logger.info("serving %s for %s", url, config.upstream)
            await told.wait()

    uvloop.run(main())


def allow_descriptors(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may, if it is lower than wanted.

    A running request holds two, and the usual limit of 1,024 would refuse the 500th without a word
    to its client.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
