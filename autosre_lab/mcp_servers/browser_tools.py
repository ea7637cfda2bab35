"""The browser's ten tools: each a few lines over `autosre_lab.browser`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from autosre_lab.browser.settle import WaitUntil
from autosre_lab.errors import ConfigError

if TYPE_CHECKING:
    from autosre_lab.browser import BrowserConfig, BrowserSessions
    from autosre_lab.web.duckduckgo import DuckDuckGoPage
    from autosre_lab.web.page_reader import Page

__all__ = ["BrowserTools"]

KEPT_PAGES = 8
"""Rendered pages kept for being read on."""


class BrowserTools:
    """The tools, and what they share while the server runs.

    A method's docstring is what a model reads of the tool; so these are short.

    Args:
        config: Which browser; what the environment says when not given.
        search_engine: Where browser_search asks; DuckDuckGo when not given.
        longest: Characters that a piece of text may have.
    """

    def __init__(
        self,
        config: BrowserConfig | None,
        *,
        search_engine: DuckDuckGoPage | None,
        longest: int,
    ) -> None:
        self._config = config
        self._search_engine = search_engine
        self._longest = longest
        self._sessions: BrowserSessions | None = None
        self._pages: dict[tuple[str, str, str | None], Page] = {}

    @property
    def sessions(self) -> BrowserSessions:
        """The open sessions; only while the server runs."""
        assert self._sessions is not None  # noqa: S101 - tools are called while it does
        return self._sessions

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold the sessions as long as the server runs; they and the browser end with it."""
        from autosre_lab.browser import BrowserSessions, browser_config
        from autosre_lab.web import AddressGuard

        chosen = self._config or browser_config()
        guard = AddressGuard(allow=chosen.allow)
        async with BrowserSessions(chosen, guard) as self._sessions:
            yield

    async def browser_session_open(
        self,
        record: bool = False,  # noqa: FBT001, FBT002 - MCP passes arguments by name
        viewport: str = "1280x800",
        locale: str | None = None,
        login: str | None = None,
    ) -> str:
        """Open a browser session.

        Args:
            record: Film it; no passwords can be typed then.
            viewport: WIDTHxHEIGHT
            locale: As de-DE.
            login: Name of a kept login.
        """
        from autosre_lab.browser import SessionOptions

        options = SessionOptions(
            record=record, viewport=_viewport(viewport), locale=locale, login=login
        )
        session = await self.sessions.open(options)
        filmed = f"; filmed into {session.recording}" if session.recording else ""
        idle = f"closed after {self.sessions.config.idle_s:g} s without use"
        return f"session {session.name} in {session.connection.described}; {idle}{filmed}"

    async def browser_snapshot(
        self,
        session: str | None = None,
        tab: str | None = None,
        find: str | None = None,
        ref: str | None = None,
        depth: int | None = None,
        boxes: bool = False,  # noqa: FBT001, FBT002
        max_chars: int = 20_000,
    ) -> str:
        """See a page as a tree of elements with refs.

        Args:
            session: Needed if several are open.
            tab: As t2; the last used one otherwise.
            find: Only lines with this text or /regex/, and what they stand in.
            ref: Only below it.
            depth: Levels of the tree.
            boxes: With positions.
            max_chars: Default 20000.
        """
        from autosre_lab.browser.snapshot import cut_snapshot, find_in_snapshot
        from autosre_lab.web.untrusted import mark_untrusted

        async with self.sessions.using(session) as one:
            shown = one.tab(tab)
            whole = await shown.snapshot(ref=ref, depth=depth, boxes=boxes)
            text = whole if find is None else find_in_snapshot(whole, find)
            lines = [await shown.header(), *one.take_news()]
            cut = cut_snapshot(text, max(200, min(max_chars, self._longest)))
            lines.append(cut.text)
            marked = mark_untrusted("\n".join(lines), source="the page")
            if find is not None and not text:
                marked += f"\nnothing in its {len(whole)} characters fits {find!r}"
            if cut.lines_left_out:
                path = one.write_file("snapshot", ".txt", whole.encode())
                marked += f"\n{cut.lines_left_out} more lines: use find or ref; whole: {path}"
        return marked

    async def browser_act(
        self,
        action: str | None = None,
        target: str | None = None,
        value: str | None = None,
        steps: list[dict[str, Any]] | None = None,
        session: str | None = None,
        tab: str | None = None,
    ) -> str:
        """Act in a page; returns what changed.

        Put dialog_accept before the step that opens a dialog; else it is dismissed.

        Args:
            action: click dblclick hover fill type press select check uncheck scroll upload drag
                goto back forward reload wait_for dialog_accept dialog_dismiss close_tab
            target: Ref such as e12, or a selector.
            value: Text, key, option, URL, file, pixels, or ref to drop on. wait_for takes a text,
                !text (until gone) or seconds.
            steps: Several {action, target, value} instead; stops at the first failure.
            session: Needed if several are open.
            tab: As t2.
        """
        from autosre_lab.browser import act, parse_steps
        from autosre_lab.web.untrusted import mark_untrusted

        one = {"action": action, "target": target, "value": value}
        given = {key: text for key, text in one.items() if text is not None}
        if given and steps:
            raise ConfigError("both action and steps are given", remedy="give one of them")
        wanted = parse_steps(steps or ([given] if given else []))
        async with self.sessions.using(session) as opened:
            outcome = await act(opened, wanted, tab=tab)
        return f"{outcome.done}\n{mark_untrusted(outcome.page, source='the page')}"

    async def browser_render_markdown(
        self,
        url: str,
        wait_until: WaitUntil = "domcontentloaded",
        wait_for_selector: str | None = None,
        offset: int = 0,
        max_chars: int = 20_000,
        find: str | None = None,
    ) -> str:
        """Read a page whose text is made by JavaScript, as Markdown. Needs no session.

        Args:
            url: http or https.
            wait_until: What to wait for.
            wait_for_selector: Has to appear then.
            offset: next_offset of the piece before.
            max_chars: Default 20000.
            find: Return only the passages with this text.
        """
        import asyncio

        from autosre_lab.browser.rendered import readable, render_page
        from autosre_lab.web.page_reader import show_page

        key = (url, wait_until, wait_for_selector)
        # Only a piece that goes on is of the page as it was: a first one is always fresh.
        if offset == 0 or key not in self._pages:
            async with self.sessions.passing() as one:
                rendered = await render_page(
                    one, url, wait_until=wait_until, wait_for_selector=wait_for_selector
                )
            self._pages[key] = await asyncio.to_thread(readable, url, rendered)
            while len(self._pages) > KEPT_PAGES:
                del self._pages[next(iter(self._pages))]
        chars = min(max_chars, self._longest)
        return show_page(self._pages[key], offset=offset, max_chars=chars, find=find)

    async def browser_screenshot(
        self,
        session: str | None = None,
        tab: str | None = None,
        target: str | None = None,
        full_page: bool = False,  # noqa: FBT001, FBT002
        image: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Save a PNG of a page or of one element; returns its path.

        Args:
            session: Needed if several are open.
            tab: As t2.
            target: Ref or selector of the element.
            full_page: More than what is in view.
            image: Also return the picture, for models that see.
        """
        from autosre_lab.browser import take_screenshot

        async with self.sessions.using(session) as one:
            shown = one.tab(tab)
            picture = await take_screenshot(one, shown, target=target, full_page=full_page)
        scaled = f", scaled by {picture.scale:.2f}" if picture.scale < 1 else ""
        more = "; the page goes on below" if picture.cut else ""
        size = f"{picture.area.width:g}x{picture.area.height:g}"
        text = f"{picture.path} ({size} CSS pixels{scaled}{more})"
        if not image:
            return text
        from mcp.server.mcpserver import Image

        return [text, Image(data=picture.png, format="png")]

    async def browser_pdf(self, session: str | None = None, tab: str | None = None) -> str:
        """Save a page as PDF; returns its path."""
        from autosre_lab.browser import save_pdf

        async with self.sessions.using(session) as one:
            path = await save_pdf(one, one.tab(tab))
        return f"{path} ({path.stat().st_size} bytes)"

    async def browser_search(
        self,
        query: str,
        max_results: int = 8,
        region: str = "wt-wt",
        time: Literal["d", "w", "m", "y"] | None = None,
        site: str | None = None,
        page: int = 1,
    ) -> str:
        """Search the web through the browser, where search is blocked."""
        from autosre_lab.browser.searching import search_in_browser
        from autosre_lab.web.search_results import show_results
        from autosre_lab.web.web_search import make_query

        asked = make_query(query, region=region, period=time, site=site, page=page)
        async with self.sessions.passing() as one:
            found = await search_in_browser(one, asked, engine=self._search_engine)
        return show_results(found, max_results=max_results)

    async def browser_session_list_tabs(self, session: str | None = None) -> str:
        """List the tabs of a session."""
        from autosre_lab.web.untrusted import mark_untrusted

        async with self.sessions.using(session) as one:
            lines = [await tab.header() for tab in one.tabs.values()]
        return mark_untrusted("\n".join(lines), source="the pages") if lines else "no tab is open"

    async def browser_session_close(
        self, session: str | None = None, keep_login: str | None = None
    ) -> str:
        """Close a session; returns its files.

        Args:
            session: Needed if several are open.
            keep_login: Keep its cookies under this name.
        """
        closed = await self.sessions.close(session, keep_login=keep_login)
        films = [f"recording {path}" for path in closed.recordings]
        return "\n".join(["closed", *films, *(str(path) for path in closed.files)])

    async def browser_prune_recordings(
        self,
        ttl_hours: float = 24,
        dry_run: bool = False,  # noqa: FBT001, FBT002
    ) -> str:
        """Delete recordings older than this."""
        from autosre_lab.browser import prune_recordings

        folder = self.sessions.config.recordings
        pruned = prune_recordings(folder, ttl_h=ttl_hours, dry_run=dry_run)
        verb = "would be deleted" if dry_run else "deleted"
        sizes = f"{pruned.size_bytes} bytes, {pruned.kept} kept in {folder}"
        head = f"{len(pruned.paths)} {verb}: {sizes}"
        return "\n".join([head, *(str(path) for path in pruned.paths[:20])])


def _viewport(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"{text!r} is not a viewport size", remedy="for example 1280x800")
    return int(width), int(height)
