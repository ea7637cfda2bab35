"""One tab: what it shows, and what has happened in it since somebody last asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from autosre_lab.browser.snapshot import mask_values
from autosre_lab.errors import BrowserError
from autosre_lab.web import hygiene

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Frame, Page, Response

__all__ = ["Tab", "one_line"]

SNAPSHOT_S = 40.0
"""Seconds that a snapshot may take: a page of 120,000 elements needs about 20 on two cores."""

MANY_ELEMENTS = 15_000
"""Elements from which on a snapshot takes seconds, and is only taken when it is asked for."""

STUCK_S = 6.0
"""Seconds that a snapshot may wait for a frame that has no document yet."""

_EMPTY_FRAME = """(frame, onlyLocal) => {
  if (!onlyLocal || !/^https?:/i.test(frame.src)) frame.removeAttribute('src');
}"""

_PASSWORDS = "input[type=password]"


def one_line(text: str, most: int = 120) -> str:
    """Return a page's text fit to stand in a line of ours."""
    return hygiene.one_line(text, most)


class Tab:
    """A page of a session.

    Attributes:
        name: As the session calls it, ``t1``, ``t2`` …
        page: Playwright's handle.
        console_errors: Errors that its scripts have written since the last navigation.
        status: The HTTP status of its document; None where it has none.
        seen: The snapshot that was last taken; changes are told against it.
        crashed: Whether its renderer ended.
    """

    def __init__(self, name: str, page: Page) -> None:
        self.name = name
        self.page = page
        self.console_errors = 0
        self.status: int | None = None
        self.seen = ""
        self.crashed = False
        page.on("console", self._note_console)
        page.on("response", self._note_response)
        page.on("crash", self._note_crash)

    async def title(self) -> str:
        """Return its title on one line; empty while it navigates."""
        from playwright.async_api import Error

        try:
            async with asyncio.timeout(2.0):
                return one_line(await self.page.title())
        except (Error, TimeoutError):
            return ""

    async def is_large(self) -> bool:
        """Whether a snapshot of it would take seconds."""
        from playwright.async_api import Error

        try:
            async with asyncio.timeout(2.0):
                count = await self.page.evaluate("document.getElementsByTagName('*').length")
        except (Error, TimeoutError):
            return False
        return int(count) > MANY_ELEMENTS

    async def header(self) -> str:
        """Return one line on where it is and how that went."""
        parts = [f"tab {self.name}", one_line(self.page.url, 300)]
        if title := await self.title():
            parts.append(f'"{title}"')
        if self.status is not None and not 200 <= self.status < 300:
            parts.append(f"status {self.status}")
        if self.console_errors:
            parts.append(f"{self.console_errors} console errors")
        return " | ".join(parts)

    async def snapshot(
        self, *, ref: str | None = None, depth: int | None = None, boxes: bool = False
    ) -> str:
        """Return its accessibility tree with element refs, password values masked.

        Args:
            ref: Only the tree below this element.
            depth: Levels of the tree.
            boxes: Also where each element is, as x,y,width,height.

        Raises:
            BrowserError: It takes too long, or the element is not there.
        """
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as PlaywrightTimeout

        source = self.page if ref is None else self.page.get_by_ref(ref)
        await self._free_stuck_frames(only_local=True)
        try:
            async with asyncio.timeout(SNAPSHOT_S + 2.0):
                if ref is not None:
                    await self.page.get_by_ref(ref).normalize()
                try:
                    async with asyncio.timeout(STUCK_S if self._stuck_frames() else None):
                        text = await source.aria_snapshot(
                            mode="ai", depth=depth, boxes=boxes, timeout=SNAPSHOT_S * 1000
                        )
                except TimeoutError:
                    await self._free_stuck_frames(only_local=False)
                    text = await source.aria_snapshot(mode="ai", depth=depth, boxes=boxes)
                text = hygiene.strip_unseen(mask_values(text, await self._passwords()))
        except (TimeoutError, PlaywrightTimeout) as error:
            raise BrowserError(
                f"a snapshot of {one_line(self.page.url)} takes longer than {SNAPSHOT_S:g} s",
                remedy="the page is very large or busy: use browser_render_markdown, or give the "
                "ref of a part of it",
            ) from error
        except Error as error:
            if ref is not None and "aria-ref" in error.message:
                raise stale_ref(ref) from error
            raise
        if ref is None and depth is None and not boxes:
            self.seen = text
        return text

    def _stuck_frames(self) -> list[Frame]:
        return [frame for frame in self.page.frames[1:] if not frame.url]

    async def _free_stuck_frames(self, *, only_local: bool) -> None:
        """Empty the frames that never got a document: a snapshot would wait for them for ever.

        Args:
            only_local: Only those that never will, as a file: in a page from the web.
        """
        from playwright.async_api import Error

        for frame in self._stuck_frames():
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(1.0):
                    element = await frame.frame_element()
                    await element.evaluate(_EMPTY_FRAME, only_local)

    async def _passwords(self) -> list[str]:
        from playwright.async_api import Error

        values: list[str] = []
        for frame in self.page.frames:
            try:
                found = await frame.locator(_PASSWORDS).evaluate_all(
                    "fields => fields.map(field => field.value)"
                )
            except Error:  # the frame went away meanwhile
                continue
            values += [str(value) for value in found if value]
        return values

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors += 1

    def _note_response(self, response: Response) -> None:
        from playwright.async_api import Error

        try:
            request = response.request
            if request.is_navigation_request() and response.frame == self.page.main_frame:
                self.status, self.console_errors = response.status, 0
        except Error:  # of a frame that is gone
            return

    def _note_crash(self, _: Page) -> None:
        self.crashed = True


def stale_ref(ref: str) -> BrowserError:
    """Return the error for a ref that names no element."""
    return BrowserError(
        f"no element {ref} is on the page, or not any more",
        remedy="take a new browser_snapshot and use a ref that is in it",
    )
