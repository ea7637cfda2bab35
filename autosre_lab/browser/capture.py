"""Pages as pictures and as PDF, in files; pictures in a size that vision models take."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.browser.actions import locate
from autosre_lab.browser.session import BrowserSession
from autosre_lab.browser.tab import Tab
from autosre_lab.errors import BrowserError

if TYPE_CHECKING:
    from playwright.async_api import Page

__all__ = ["Area", "Picture", "fitting_scale", "save_pdf", "take_screenshot"]

LONGEST_SIDE = 1568
MOST_PIXELS = 1_150_000
"""Above either, Claude's models scale a picture down themselves, after it was paid for."""

TALLEST = 16_000
"""Chromium's pictures end here."""


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a document, in CSS pixels from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A screenshot.

    Attributes:
        path: Its PNG file.
        png: The same bytes.
        area: What of the document it shows.
        scale: Its pixels a CSS pixel.
        cut: Whether the page goes on below it.
    """

    path: Path
    png: bytes
    area: Area
    scale: float
    cut: bool


def fitting_scale(width: float, height: float) -> float:
    """Return by how much a picture is made smaller to be taken as it is; 1 at most."""
    return min(1.0, LONGEST_SIDE / max(width, height), math.sqrt(MOST_PIXELS / (width * height)))


async def take_screenshot(
    session: BrowserSession, tab: Tab, *, target: str | None = None, full_page: bool = False
) -> Picture:
    """Save a picture of what a tab shows.

    Args:
        session: The tab's session, into whose folder it is saved.
        tab: The tab.
        target: Only this element, a ref or a selector.
        full_page: The whole page, not only what is in view.

    Raises:
        BrowserError: The element is not there, or has no size.
    """
    page = tab.page
    area = await _area(page, target, full_page=full_page)
    cut = area.height > TALLEST
    if cut:
        area = Area(area.x, area.y, area.width, TALLEST)
    scale = fitting_scale(area.width, area.height)
    cdp = await session.context.new_cdp_session(page)
    try:
        clip = {"x": area.x, "y": area.y, "width": area.width, "height": area.height}
        answer = await cdp.send(
            "Page.captureScreenshot",
            {"format": "png", "captureBeyondViewport": True, "clip": {**clip, "scale": scale}},
        )
    finally:
        await cdp.detach()
    png = base64.b64decode(answer["data"])
    path = session.write_file("screenshot", ".png", png)
    return Picture(path=path, png=png, area=area, scale=scale, cut=cut)


async def save_pdf(session: BrowserSession, tab: Tab) -> Path:
    """Save a tab's page as a PDF and return its path."""
    pdf = await tab.page.pdf(print_background=True)
    return session.write_file("page", ".pdf", pdf)


async def _area(page: Page, target: str | None, *, full_page: bool) -> Area:
    width, height, left, top, whole_width, whole_height = await page.evaluate(
        "[innerWidth, innerHeight, scrollX, scrollY, document.documentElement.scrollWidth, "
        "document.documentElement.scrollHeight]"
    )
    if target is None:
        if full_page:
            return Area(0, 0, max(width, whole_width), max(height, whole_height))
        return Area(left, top, width, height)
    locator, shown = await locate(page, target)
    await locator.scroll_into_view_if_needed(timeout=5000)
    left, top = await page.evaluate("[scrollX, scrollY]")
    box = await locator.bounding_box()
    if box is None or box["width"] < 1 or box["height"] < 1:
        raise BrowserError(
            f"{shown} is not visible, so there is no picture of it",
            remedy="take one of the whole page, or of another element",
        )
    return Area(box["x"] + left, box["y"] + top, box["width"], box["height"])
