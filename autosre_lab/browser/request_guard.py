"""Every request of a browser is judged before it is sent: pages, frames, popups, workers, hops.

The browser's own Fetch domain is told to pause requests, not a page's: it sees what popups and
frames in other processes ask for from their first request on, and each hop of a redirect, which
Playwright's routes do not.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from autosre_lab.errors import AutosreError, BlockedError
from autosre_lab.web.address_guard import AddressGuard

if TYPE_CHECKING:
    from playwright.async_api import CDPSession

__all__ = ["RequestGuard"]

INERT_SCHEMES = frozenset({"about", "blob", "data"})
"""What asks nobody. Chromium itself keeps pages from opening data: in the address bar."""

REMEMBERED_S = 2.0
"""Seconds that a host's verdict is kept: a page asks one host for dozens of files at once."""

_REASONS = 500


class RequestGuard:
    """Judges a browser's requests and remembers why it refused some.

    Args:
        guard: Judges where a request goes.
        clock: Seconds.
    """

    def __init__(self, guard: AddressGuard, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._guard = guard
        self._clock = clock
        self._verdicts: OrderedDict[str, tuple[float, AutosreError | None]] = OrderedDict()
        self._reasons: OrderedDict[str, str] = OrderedDict()
        self._answering: set[asyncio.Task[None]] = set()

    async def watch(self, cdp: CDPSession) -> None:
        """Judge every request from now on.

        Args:
            cdp: A session with the browser, not with a page.
        """
        cdp.on("Fetch.requestPaused", lambda event: self._begin(cdp, event))
        await cdp.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})

    def reason(self, url: str) -> str | None:
        """Return why a URL was refused; None if it was not."""
        return self._reasons.get(url)

    def last_reason(self) -> str | None:
        """Return why the latest refused request was refused; None if there was none."""
        return next(reversed(self._reasons.values()), None)

    async def judge_page(self, url: str) -> AutosreError | None:
        """Return why a URL must not be opened as a page, with the whole URL looked at."""
        try:
            await self._guard.check_async(url)
        except AutosreError as error:
            return error
        return None

    async def judge(self, url: str) -> AutosreError | None:
        """Return why a URL must not be asked for, or has nobody to ask; None if it may be."""
        scheme = urlsplit(url).scheme
        if scheme in INERT_SCHEMES:
            return None
        # The browser has canonicalised the URL; what matters is who would be asked.
        origin = f"{scheme}://{urlsplit(url).netloc}/"
        known = self._verdicts.get(origin)
        if known is not None and known[0] > self._clock():
            return known[1]
        verdict: AutosreError | None = None
        try:
            await self._guard.check_async(origin)
        except AutosreError as error:
            verdict = error
        _keep(self._verdicts, origin, (self._clock() + REMEMBERED_S, verdict))
        return verdict

    def _begin(self, cdp: CDPSession, event: dict[str, Any]) -> None:
        task = asyncio.ensure_future(self._answer(cdp, event))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, cdp: CDPSession, event: dict[str, Any]) -> None:
        from playwright.async_api import Error

        url = str(event["request"]["url"])
        verdict = await self.judge(url)
        answer: dict[str, Any] = {"requestId": event["requestId"]}
        try:
            if verdict is None:
                await cdp.send("Fetch.continueRequest", answer)
                return
            _keep(self._reasons, url, verdict.message)
            refused = isinstance(verdict, BlockedError)
            answer["errorReason"] = "BlockedByClient" if refused else "NameNotResolved"
            await cdp.send("Fetch.failRequest", answer)
        except Error:
            # The page went away meanwhile, and its request with it.
            return


def _keep(store: OrderedDict[str, Any], key: str, value: object) -> None:
    store[key] = value
    store.move_to_end(key)
    while len(store) > _REASONS:
        store.popitem(last=False)
