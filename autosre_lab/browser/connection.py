"""One browser with the guards around it: our own Chromium, or one that a service gives us."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.browser.chromium import LocalChromium, find_chromium
from autosre_lab.browser.config import BrowserConfig
from autosre_lab.browser.devtools import WebSocketDoor
from autosre_lab.browser.egress import EgressProxy
from autosre_lab.browser.request_guard import RequestGuard
from autosre_lab.browser.service import BrowserService
from autosre_lab.browser.video import ffmpeg_folder
from autosre_lab.errors import BrowserError, MissingExtraError
from autosre_lab.web.address_guard import AddressGuard
from autosre_lab.web.environment import web_environment

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["BrowserConnection"]

CONNECT_S = 20.0
"""Seconds until a connection is given up: browserless queues clients without a word."""

_REFUSED_FULL = re.compile(r" (429|503) ")


class BrowserConnection:
    """A connected browser. Made by `open`, ended by `close`.

    Attributes:
        browser: Playwright's handle.
        requests: What judged and refused requests.
        remote: Whether it runs on another machine, or in a Pod.
        described: What it is and where, in words.
        ended: Whether it is gone.
        pid: The process of our own Chromium; None for a service's.
    """

    def __init__(
        self,
        browser: Browser,
        *,
        requests: RequestGuard,
        resources: AsyncExitStack,
        remote: bool,
        described: str,
        pid: int | None,
    ) -> None:
        self.browser = browser
        self.requests = requests
        self.remote = remote
        self.described = described
        self.pid = pid
        self.ended = False
        self._resources = resources

    @classmethod
    async def open(
        cls, config: BrowserConfig, guard: AddressGuard, *, on_end: Callable[[], None]
    ) -> BrowserConnection:
        """Start or ask for a browser and put the guards around it.

        Args:
            config: Which browser.
            guard: Judges where its requests go.
            on_end: Called when the browser is gone, however that came.

        Raises:
            BrowserError: There is none, or it does not answer.
            MissingExtraError: Playwright is not installed.
        """
        try:
            from playwright.async_api import Error, async_playwright
        except ImportError as error:
            raise MissingExtraError("driving a browser", extra="web") from error
        async with AsyncExitStack() as stack:
            pid: int | None = None
            service: BrowserService | None = None
            if config.url:
                service = BrowserService.from_config(config)
                await _refuse_when_full(service)
                health = await service.health()
                ws_url, headers = health.ws_url, service.headers
                described = f"{health.browser} at {config.url}"
            else:
                egress = await stack.enter_async_context(EgressProxy(guard))
                executable = find_chromium(config.chromium)
                chromium = LocalChromium(
                    executable=executable, proxy_url=egress.url, sandbox=config.sandbox
                )
                stack.push_async_callback(chromium.close)
                door = await stack.enter_async_context(WebSocketDoor(await chromium.start()))
                ws_url, headers = door.url, door.headers
                described, pid = f"{executable} on this machine", chromium.pid
            with _tools_in(ffmpeg_folder()):
                playwright = await async_playwright().start()
            stack.push_async_callback(playwright.stop)
            try:
                browser = await playwright.chromium.connect_over_cdp(
                    ws_url, headers=headers, timeout=CONNECT_S * 1000
                )
                requests = RequestGuard(guard)
                await requests.watch(await browser.new_browser_cdp_session())
            except Error as error:
                if service is not None and _REFUSED_FULL.search(error.message):
                    # It filled up between the question and the connection.
                    raise service.busy("another client was faster") from error
                raise BrowserError(
                    f"no connection to {described}: {error.message.splitlines()[0]}",
                    remedy="a busy browser service answers nothing for a while: close sessions or "
                    "try again; otherwise look at its log",
                ) from error
            connection = cls(
                browser,
                requests=requests,
                resources=stack.pop_all(),
                remote=bool(config.url),
                described=described,
                pid=pid,
            )
        browser.on("disconnected", lambda _: connection._note_end(on_end))
        return connection

    async def close(self) -> None:
        """End the connection, and the browser if it is ours."""
        from playwright.async_api import Error

        try:
            if not self.ended:
                await self.browser.close()
        except Error:
            pass
        finally:
            self.ended = True
            await self._resources.aclose()

    def _note_end(self, on_end: Callable[[], None]) -> None:
        if not self.ended:
            self.ended = True
            on_end()


async def _refuse_when_full(service: BrowserService) -> None:
    pressure = await service.pressure()
    if pressure is not None and pressure.full:
        raise service.busy(
            f"{pressure.running} of {pressure.most} browsers are in use and "
            f"{pressure.queued} clients wait"
        )


@contextmanager
def _tools_in(folder: Path) -> Iterator[None]:
    """Let Playwright's driver, which is started inside, look for its ffmpeg in a folder of ours.

    It takes this process's environment as it is: what it must not have is hidden meanwhile.
    """
    inside = web_environment(os.environ) | {"PLAYWRIGHT_BROWSERS_PATH": str(folder)}
    hidden = {name: value for name, value in os.environ.items() if inside.get(name) != value}
    for name in hidden:
        del os.environ[name]
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(folder)
    try:
        yield
    finally:
        del os.environ["PLAYWRIGHT_BROWSERS_PATH"]
        os.environ.update(hidden)
