"""A page as its scripts leave it, ready to be read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from autosre_lab.browser.actions import go_to
from autosre_lab.browser.session import BrowserSession
from autosre_lab.browser.settle import WaitUntil
from autosre_lab.errors import BrowserError
from autosre_lab.web.guarded_client import Reply
from autosre_lab.web.page_reader import Page, make_page

if TYPE_CHECKING:
    from playwright.async_api import Page as BrowserPage

__all__ = ["RenderedPage", "as_reply", "readable", "render_page"]

SILENT_S = 10.0
"""Seconds that `networkidle` is waited for; pages with a stream of events never reach it."""

LOAD_S = 20.0
SELECTOR_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPage:
    """A page after its scripts have run.

    Attributes:
        url: Where it is, after redirects.
        status: Its HTTP status; None where it has none.
        html: Its DOM as HTML, frames of the page put in where they stand.
        news: What happened beside: dialogs, downloads, refused requests.
    """

    url: str
    status: int | None
    html: str
    news: tuple[str, ...]


async def render_page(
    session: BrowserSession,
    url: str,
    *,
    wait_until: WaitUntil = "domcontentloaded",
    wait_for_selector: str | None = None,
) -> RenderedPage:
    """Open a URL in a session's tab and return what it has become.

    Args:
        session: Where to open it.
        url: The page.
        wait_until: ``domcontentloaded``, after which the page gets five seconds to load;
            ``load``, twenty; ``networkidle``, ten more.
        wait_for_selector: What has to be visible then, in twenty seconds.

    Raises:
        BlockedError: The page must not be asked for.
        BrowserError: It cannot be had, or the selector has not come.
    """
    from playwright.async_api import TimeoutError as PlaywrightTimeout

    tab = session.tab() if session.tabs else await session.new_tab()
    await go_to(session, tab, url)
    if wait_until != "domcontentloaded":
        # A page whose stream never ends is shown all the same, as it is then.
        with suppress(PlaywrightTimeout):
            await tab.page.wait_for_load_state("load", timeout=LOAD_S * 1000)
    if wait_until == "networkidle":
        with suppress(PlaywrightTimeout):
            await tab.page.wait_for_load_state("networkidle", timeout=SILENT_S * 1000)
    if wait_for_selector:
        try:
            await tab.page.locator(wait_for_selector).first.wait_for(timeout=SELECTOR_S * 1000)
        except PlaywrightTimeout as error:
            raise BrowserError(
                f"nothing fits the selector {wait_for_selector!r} after {SELECTOR_S:g} s",
                remedy="leave out wait_for_selector, or look at the page with browser_snapshot",
            ) from error
    await session.downloads()
    return RenderedPage(
        url=tab.page.url,
        status=tab.status,
        html=await _html(tab.page),
        news=tuple(session.take_news()),
    )


_DOM = r"""() => {
  // As a reader meets it: shadow roots stand in their place, what is hidden is left out.
  function copy(node) {
    if (node.nodeType === Node.TEXT_NODE) return unread(node) ? null : node.cloneNode();
    if (node.nodeType !== Node.ELEMENT_NODE) return null;
    if (['SCRIPT', 'NOSCRIPT', 'TEMPLATE', 'STYLE'].includes(node.tagName)) return null;
    if (node.tagName !== 'BODY' && node.tagName !== 'HTML' && node.tagName !== 'HEAD'
        && !document.head?.contains(node) && unseen(node)) return null;
    const made = document.implementation.createHTMLDocument('').importNode(node, false);
    const children = node.shadowRoot ? node.shadowRoot.childNodes
      : node.tagName === 'SLOT' && node.assignedNodes().length ? node.assignedNodes({flatten: true})
      : node.childNodes;
    for (const child of children) { const one = copy(child); if (one) made.append(one); }
    return made;
  }
  function unseen(node) {
    const style = getComputedStyle(node);
    return style.display === 'none' || parseFloat(style.opacity) < 0.06
      || style.contentVisibility === 'hidden';
  }
  function unread(text) {
    const holder = text.parentElement;
    if (!holder || !text.data.trim() || document.head?.contains(holder)) return false;
    const style = getComputedStyle(holder);
    if (style.visibility !== 'visible' || parseFloat(style.fontSize) < 2) return true;
    if (/^rgba.*, 0\)$/.test(style.color) && style.backgroundClip !== 'text') return true;
    if (style.display === 'contents') return false;
    const box = holder.getBoundingClientRect();
    const cut = ['hidden', 'clip'].includes(style.overflowX) || style.clip !== 'auto';
    return box.right + scrollX <= 0 || box.bottom + scrollY <= 0
      || cut && (box.width <= 1 || box.height <= 1);
  }
  return copy(document.documentElement).outerHTML;
}"""


async def _html(page: BrowserPage) -> str:
    from playwright.async_api import Error

    parts = [str(await page.evaluate(_DOM))]
    for frame in page.frames[1:]:
        with suppress(Error, TimeoutError):  # of another origin and slow, or gone meanwhile
            async with asyncio.timeout(3.0):
                inner = str(await frame.evaluate(_DOM))
                _, _, body = inner.partition("<body")
                text = body.partition(">")[2].rpartition("</body>")[0]
                if text.strip():
                    parts.append(f"<section>{text}</section>")
    whole = parts[0]
    if len(parts) > 1:
        head, end, rest = whole.rpartition("</body>")
        whole = head + "".join(parts[1:]) + end + rest
    return whole


def readable(asked: str, rendered: RenderedPage) -> Page:
    """Return a rendered page as the fetch tool's own kind of page: same extraction, same pieces.

    Raises:
        UnreadableError: There is no text in it.
    """
    page = make_page(asked, as_reply(rendered.url, rendered.status, rendered.html))
    return replace(page, notes=("rendered by a browser", *page.notes, *rendered.news))


def as_reply(url: str, status: int | None, html: str) -> Reply:
    """Return a page of a browser as what a client would have received."""
    return Reply(
        url=url,
        status=status or 200,
        headers={"content-type": "text/html; charset=utf-8"},
        body=html.encode("utf-8", "replace"),
    )
