"""One browsing session: a browser context of its own, its tabs, and what happens in them."""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.browser.recordings import mark_finished
from autosre_lab.browser.tab import Tab, one_line
from autosre_lab.errors import BrowserError
from autosre_lab.logs import get_logger

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Dialog, Download, Page, Request

    from autosre_lab.browser.connection import BrowserConnection

__all__ = ["BrowserSession", "Closed"]

DOWNLOAD_S = 60.0
DOWNLOAD_BYTES = 200 * 1024**2
NEWS_AT_MOST = 40

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a session has left.

    Attributes:
        recordings: Films, one a tab.
        files: Downloads, screenshots, PDFs and snapshots.
    """

    recordings: tuple[Path, ...]
    files: tuple[Path, ...]


class BrowserSession:
    """A browser context and its tabs. Made by `BrowserSessions.open`.

    Attributes:
        name: As callers name it, ``s1``, ``s2`` …
        context: Playwright's handle.
        connection: The browser it lives in.
        folder: Where its files are written.
        recording: Where its films are written; None for a session that is not recorded.
        tabs: Its tabs by name, oldest first.
        used: Monotonic seconds of its last use.
        lock: Held by whoever acts in it.
    """

    def __init__(
        self,
        name: str,
        context: BrowserContext,
        *,
        connection: BrowserConnection,
        folder: Path,
        recording: Path | None,
    ) -> None:
        self.name = name
        self.context = context
        self.connection = connection
        self.folder = folder
        self.recording = recording
        self.tabs: dict[str, Tab] = {}
        self.used = time.monotonic()
        self.lock = asyncio.Lock()
        self._news: list[str] = []
        self._numbers = {"t": 0, "file": 0}
        self._current = ""
        self._next_dialog: tuple[bool, str | None] | None = None
        self._work: set[asyncio.Task[None]] = set()
        context.on("page", self._note_page)
        context.on("dialog", self._note_dialog)
        context.on("requestfailed", self._note_failed)

    def tab(self, name: str | None = None) -> Tab:
        """Return a tab; the newest or last named one where none is named.

        Raises:
            BrowserError: There is no such tab.
        """
        wanted = name or self._current
        if wanted not in self.tabs:
            raise BrowserError(
                f"session {self.name} has no tab {wanted or 'at all'}",
                remedy=f"its tabs are: {', '.join(self.tabs) or 'none; goto opens one'}",
            )
        self._current = wanted
        tab = self.tabs[wanted]
        if tab.crashed:
            self._forget(tab.page)
            self._run(tab.page.close())
            raise BrowserError(
                f"the page in tab {wanted} crashed: {one_line(tab.page.url)}; the tab is closed",
                remedy="open it again with the action goto; a page that crashes twice needs more "
                "memory than the browser has",
            )
        return tab

    async def new_tab(self) -> Tab:
        """Open an empty tab and return it."""
        page = await self.context.new_page()
        return self._tab_of(page)

    def answer_next_dialog(self, *, accept: bool, text: str | None = None) -> None:
        """Say how the next dialog is answered; without that it is dismissed."""
        self._next_dialog = (accept, text)

    def take_news(self) -> list[str]:
        """Return what has happened since the last call, a line each."""
        news, self._news = self._news, []
        return news

    def new_file(self, stem: str, suffix: str) -> Path:
        """Return a path for a file of this session that does not exist yet."""
        self._numbers["file"] += 1
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.folder / f"{self._numbers['file']:03d}-{stem}{suffix}"

    def write_file(self, stem: str, suffix: str, content: bytes) -> Path:
        """Write a file that only its owner reads, and return its path."""
        path = self.new_file(stem, suffix)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return path

    async def downloads(self) -> None:
        """Wait a moment for downloads that have begun."""
        if self._work:
            await asyncio.wait(set(self._work), timeout=3.0)

    async def close(self) -> Closed:
        """End it; films are finished by this."""
        from playwright.async_api import Error

        try:
            await self.context.close()
        except Error as error:  # the browser is gone already, and the films are whole all the same
            _logger.info("session %s: %s", self.name, error.message.splitlines()[0])
        if self.recording is not None:
            mark_finished(self.recording)
        return Closed(recordings=_files(self.recording), files=_files(self.folder))

    def _note_page(self, page: Page) -> None:
        self._tab_of(page)

    def _tab_of(self, page: Page) -> Tab:
        for tab in self.tabs.values():
            if tab.page == page:
                return tab
        self._numbers["t"] += 1
        tab = Tab(f"t{self._numbers['t']}", page)
        if self.tabs:
            self._tell(f"new tab {tab.name}: {one_line(page.url) or 'about:blank'}")
        self.tabs[tab.name] = tab
        self._current = tab.name
        page.on("close", self._forget)
        page.on("download", lambda download: self._run(self._save(download)))
        return tab

    def _forget(self, page: Page) -> None:
        for name, tab in list(self.tabs.items()):
            if tab.page == page:
                del self.tabs[name]
                if self._current == name:
                    self._current = next(reversed(self.tabs), "")
                self._tell(f"tab {name} was closed")

    def _note_dialog(self, dialog: Dialog) -> None:
        # A listener that does not answer stops the page, and every later call with it.
        accept, text = self._next_dialog or (dialog.type in ("alert", "beforeunload"), None)
        self._next_dialog = None
        done = "accepted" if accept else "dismissed"
        hint = "" if accept else " (to accept one, let dialog_accept go before the step)"
        self._tell(f'{dialog.type} "{one_line(dialog.message)}" was {done}{hint}')
        self._run(dialog.accept(text) if accept and text is not None else _answer(dialog, accept))

    def _note_failed(self, request: Request) -> None:
        if reason := self.connection.requests.reason(request.url):
            self._tell(f"refused: {one_line(reason, 240)}")

    async def _save(self, download: Download) -> None:
        from playwright.async_api import Error

        name = (
            re.sub(r"[^\w.-]+", "_", download.suggested_filename).lstrip(".")[-100:] or "download"
        )
        if self.connection.remote:
            await download.cancel()
            self._tell(
                f"download {name} from {one_line(download.url)} was not kept: the browser is on "
                "another machine; use the fetch tool, or a local Chromium"
            )
            return
        stem, dot, suffix = name.rpartition(".")
        path = self.new_file(stem or name, f".{suffix}" if dot and stem else "")
        try:
            async with asyncio.timeout(DOWNLOAD_S):
                await download.save_as(path)
            size = path.stat().st_size
            if size > DOWNLOAD_BYTES:
                path.unlink()
                self._tell(f"download {name} was not kept: {size} bytes, {DOWNLOAD_BYTES} may be")
            else:
                self._tell(f"download {name}, {size} bytes: {path}")
        except TimeoutError:
            await download.cancel()
            self._tell(f"download {name} was ended: it took longer than {DOWNLOAD_S:g} s")
        except Error as error:
            self._tell(f"download {name} failed: {one_line(error.message)}")

    def _tell(self, line: str) -> None:
        if line not in self._news and len(self._news) < NEWS_AT_MOST:
            self._news.append(line)

    def _run(self, coroutine: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(_quietly(coroutine))
        self._work.add(task)
        task.add_done_callback(self._work.discard)


async def _quietly(coroutine: object) -> None:
    from playwright.async_api import Error

    try:
        await coroutine  # type: ignore[misc]
    except Error as error:  # what it was about is gone
        _logger.info("%s", error.message.splitlines()[0])


async def _answer(dialog: Dialog, accept: bool) -> None:  # noqa: FBT001 - the dialog's own word
    await (dialog.accept() if accept else dialog.dismiss())


def _files(folder: Path | None) -> tuple[Path, ...]:
    if folder is None or not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir() if path.is_file()))
