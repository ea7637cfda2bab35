"""When a page has answered to an action: not at once, and not only when it is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from playwright.async_api import Page, Request

__all__ = ["WaitUntil", "settled", "wait_until_loaded"]

WaitUntil: TypeAlias = Literal["domcontentloaded", "load", "networkidle"]
"""When a page counts as there, in Playwright's words."""

DOCUMENT_S = 10.0
LOAD_S = 5.0
RESPONSES_S = 5.0
QUIET_MS, QUIET_AT_MOST_MS = 120, 500

_WAITED_FOR = frozenset({"document", "fetch", "script", "stylesheet", "xhr"})
"""Streams of events never end, pictures change nothing."""

_QUIET = """([quiet, most]) => new Promise(done => {
  let timer = setTimeout(finish, quiet);
  const last = setTimeout(finish, most);
  const watch = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(finish, quiet); });
  watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  function finish() { clearTimeout(timer); clearTimeout(last); watch.disconnect(); done(); }
})"""  # noqa: E501


@asynccontextmanager
async def settled(page: Page) -> AsyncIterator[None]:
    """Run an action inside, and leave when the page has dealt with it.

    A navigation is waited for until its document is there (10 s) and loaded (5 s more); else what
    the action has requested is waited for until its answers begin (5 s), and the page until it
    changes no more (120 ms of quiet, half a second at most).
    """
    pending: set[Request] = set()
    navigations: list[Request] = []

    def note_request(request: Request) -> None:
        if _is_main_navigation(page, request):
            navigations.append(request)
        elif request.resource_type in _WAITED_FOR:
            pending.add(request)

    def note_end(request: Request) -> None:
        pending.discard(request)

    page.on("request", note_request)
    page.on("requestfinished", note_end)
    page.on("requestfailed", note_end)
    try:
        yield
        if not page.is_closed():
            await _wait_quiet(page)
        if navigations:
            await wait_until_loaded(page)
        elif pending:
            await _wait_for_answers(pending)
            await _wait_quiet(page)
    finally:
        page.remove_listener("request", note_request)
        page.remove_listener("requestfinished", note_end)
        page.remove_listener("requestfailed", note_end)


async def wait_until_loaded(page: Page) -> None:
    """Wait for the document, then a while for what it loads; a page that never ends is left so."""
    from playwright.async_api import Error

    with suppress(Error):
        await page.wait_for_load_state("domcontentloaded", timeout=DOCUMENT_S * 1000)
        await page.wait_for_load_state("load", timeout=LOAD_S * 1000)
    await _wait_quiet(page)


async def _wait_quiet(page: Page) -> None:
    from playwright.async_api import Error

    with suppress(Error, TimeoutError):  # it navigates, or was closed: others wait for that
        async with asyncio.timeout(2.0):
            await page.evaluate(_QUIET, [QUIET_MS, QUIET_AT_MOST_MS])


async def _wait_for_answers(pending: set[Request]) -> None:
    from playwright.async_api import Error

    async def answered(request: Request) -> None:
        with suppress(Error):
            await request.response()

    with suppress(TimeoutError):
        async with asyncio.timeout(RESPONSES_S), asyncio.TaskGroup() as group:
            for request in list(pending):
                group.create_task(answered(request))


def _is_main_navigation(page: Page, request: Request) -> bool:
    from playwright.async_api import Error

    try:
        return request.is_navigation_request() and request.frame == page.main_frame
    except Error:  # its frame is not there yet: the page's own first document
        return True
