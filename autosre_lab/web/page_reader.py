"""Reads pages: may they be read, fetch once, extract, keep for paging, show a piece."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Literal, TypeAlias

from autosre_lab.errors import BotWallError, ConfigError
from autosre_lab.settings import Settings
from autosre_lab.web.address_guard import AddressGuard, shown_url
from autosre_lab.web.allow_list import AllowList
from autosre_lab.web.bot_wall import find_bot_wall
from autosre_lab.web.documents import Document, is_readable_type, is_risky, read_document
from autosre_lab.web.guarded_client import GuardedClient, Reply
from autosre_lab.web.hygiene import one_line
from autosre_lab.web.reading_process import read_apart
from autosre_lab.web.robots import Robots
from autosre_lab.web.slices import find_passages, slice_text
from autosre_lab.web.untrusted import mark_untrusted

__all__ = ["Page", "PageFormat", "PageReader", "guarded_client", "make_page", "show_page"]

PageFormat: TypeAlias = Literal["markdown", "text", "raw"]

KEPT_S = 600.0
"""Seconds that a page is kept, so that reading on does not fetch it again."""
KEPT_FAILURE_S = 30.0
MOST_PAGES = 64
MOST_CHARS = 60_000_000
"""Characters of all pages kept together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page that was read.

    Attributes:
        asked: The URL that was asked for.
        url: The URL that answered, after redirects.
        status: HTTP status code.
        content_type: Its media type; empty where none was sent.
        document: Its text.
        notes: What a reader should know, a sentence each.
    """

    asked: str
    url: str
    status: int
    content_type: str
    document: Document
    notes: tuple[str, ...] = ()


class PageReader:
    """Reads pages through a guarded client, each once in a while.

    Args:
        client: Fetches.
        robots: Says what may be read; None where robots.txt is ignored on purpose.
        clock: Seconds on a clock that only goes forward.
    """

    def __init__(
        self,
        client: GuardedClient,
        *,
        robots: Robots | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._robots = robots
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Page]] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> PageReader:
        """Make a reader as the settings say.

        Raises:
            ConfigError: The allow list cannot be read.
        """
        client = guarded_client(settings)
        return cls(client, robots=Robots(client) if settings.fetch_robots == "respect" else None)

    def read(self, url: str) -> Page:
        """Return a page, kept from before or fetched. Blocks; call it in a thread.

        Raises:
            BlockedError: The URL, or where it leads, must not be fetched.
            RobotsError: The site asks programs not to.
            BotWallError: The site lets only browsers in.
            UnreadableError: There is no text in what came.
            FetchError: It cannot be had.
        """
        kept = self._recall(url)
        if kept is not None:
            return kept
        permit = self._robots.require if self._robots is not None else None
        reply = self._client.get(url, wanted=is_readable_type, permit=permit)
        wall = find_bot_wall(reply.status, reply.headers, reply.body)
        if wall:
            raise BotWallError(
                f"{shown_url(reply.url)} is closed to programs by {wall} (status {reply.status})",
                remedy="try browser_render_markdown, or use another source",
                wall=wall,
            )
        page = make_page(url, reply)
        if self._robots is None:
            page = replace(page, notes=(*page.notes, "robots.txt was ignored, as configured"))
        self._keep(page)
        return page

    def _recall(self, url: str) -> Page | None:
        with self._lock:
            until, page = self._kept.get(url, (0.0, None))
            return page if until > self._clock() else None

    def _keep(self, page: Page) -> None:
        until = self._clock() + (KEPT_S if page.status < 400 else KEPT_FAILURE_S)
        with self._lock:
            for url in {page.asked, page.url}:
                self._kept.pop(url, None)
                self._kept[url] = (until, page)
            while len(self._kept) > 1 and (
                len(self._kept) > MOST_PAGES or self._size() > MOST_CHARS
            ):
                self._kept.popitem(last=False)

    def _size(self) -> int:
        documents = {id(page): page.document for _, page in self._kept.values()}
        return sum(
            len(document.markdown) + len(document.text) + len(document.raw)
            for document in documents.values()
        )


def guarded_client(settings: Settings) -> GuardedClient:
    """Make the client that the settings describe.

    Raises:
        ConfigError: The allow list cannot be read.
    """
    guard = AddressGuard(allow=AllowList.parse(settings.fetch_allow))
    return GuardedClient(guard, proxy=settings.fetch_proxy)


def make_page(asked: str, reply: Reply) -> Page:
    """Return what came as a page.

    Raises:
        UnreadableError: There is no text in it.
    """
    document = read_apart(reply) if is_risky(reply) else read_document(reply)
    notes = list(document.notes)
    if reply.is_cut:
        notes.append(f"it is longer than {len(reply.body):,} bytes; the rest was not read")
    return Page(
        asked=asked,
        url=reply.url,
        status=reply.status,
        content_type=reply.content_type,
        document=document,
        notes=tuple(notes),
    )


def show_page(
    page: Page,
    *,
    offset: int = 0,
    max_chars: int = 20_000,
    format: PageFormat = "markdown",  # noqa: A002 - the tool's argument has this name
    find: str | None = None,
) -> str:
    """Return a piece of a page for a model: a few lines about it, then the piece, marked as data.

    Args:
        page: What was read.
        offset: Where the piece begins, in characters.
        max_chars: Characters of the piece.
        format: ``markdown``, ``text``, or ``raw`` for the source.
        find: Show only the passages with this text.

    Raises:
        ConfigError: The offset lies behind the end, or a number is negative.
    """
    text: str = getattr(page.document, format)
    if offset < 0 or max_chars < 1 or (offset and offset >= len(text)):
        raise ConfigError(
            f"offset {offset}, max_chars {max_chars}: the page has {len(text)} characters",
            remedy=f"take an offset from 0 to {max(len(text) - 1, 0)} and max_chars from 1",
        )
    notes = list(page.notes)
    if page.status >= 400:
        notes.insert(0, f"the site answers {page.status}; this is its error page")
    if format == "raw":
        notes.append("the source includes what a reader does not see")
    header = [f"url: {page.url}", f"status: {page.status} {page.content_type}".rstrip()]
    if find:
        body, count = find_passages(text, find, max_chars=max_chars)
        header.append(f"total_chars: {len(text)}, found: {count}")
        if not count:
            notes.append("the text looked for is not in it; leave out find to read it")
    else:
        piece = slice_text(text, offset=offset, max_chars=max_chars)
        body = piece.text
        where = f"total_chars: {piece.total}, offset: {piece.offset}"
        header.append(
            f"{where}, next_offset: {piece.next_offset}" if piece.next_offset else f"{where}, end"
        )
    if notes:
        header.append(f"note: {'; '.join(notes)}")
    # The title is the page's own words, so it stands inside the marks.
    title = f"# {page.document.title}\n\n" if page.document.title and not offset else ""
    marked = mark_untrusted(title + body, source=one_line(page.url, 300))
    return "\n".join([*header, "", marked])
