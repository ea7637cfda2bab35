"""Doing things in a page and telling what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.browser.session import BrowserSession
from autosre_lab.browser.settle import settled, wait_until_loaded
from autosre_lab.browser.snapshot import changed_lines, cut_snapshot
from autosre_lab.browser.steps import BrowserStep, ref_of
from autosre_lab.browser.tab import Tab, one_line, stale_ref
from autosre_lab.errors import AutosreError, BlockedError, BrowserError

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

__all__ = ["ActionOutcome", "act", "go_to", "locate"]

ACTION_S = 5.0
NAVIGATION_S = 20.0
WAIT_S = 20.0
CHANGES_AT_MOST = 60
NEW_PAGE_CHARS = 6000
SCROLL_PX = 700

_KEEPS_QUIET = """element => element instanceof HTMLInputElement && (
  element.type === 'password' || /password|one-time-code|cc-/.test(element.autocomplete))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOutcome:
    """What came of some steps.

    Attributes:
        done: A line a step, with the element's lasting name, and why one failed.
        page: What the page made of it: dialogs, downloads, new tabs, refusals, where the tab is
            now, and the changed lines of its snapshot or the new page's beginning.
        url: Where the tab is now; empty without a tab.
    """

    done: str
    page: str
    url: str


async def act(
    session: BrowserSession, steps: Sequence[BrowserStep], *, tab: str | None = None
) -> ActionOutcome:
    """Do the steps in order, up to the first that fails, and tell what changed.

    Raises:
        BrowserError: The first step failed, so nothing was done.
    """
    from playwright.async_api import Error

    current = session.tab(tab) if session.tabs else await session.new_tab()
    before = (current, current.page.url, current.seen)
    done: list[str] = []
    failure: AutosreError | None = None
    for number, step in enumerate(steps, start=1):
        try:
            done.append(f"{number}. {await _do(session, current, step)}")
        except AutosreError as error:
            failure = error
        except Error as error:
            if session.connection.ended:
                raise
            failure = _as_told(step, error)
        if failure is not None:
            if number == 1:
                raise failure
            done.append(f"{number}. {step.action} FAILED: {failure.message} ({failure.remedy})")
            if left := len(steps) - number:
                done.append(f"({left} more steps were not done)")
            break
        if not session.tabs:
            break
        current = session.tab()
    await session.downloads()
    page, url = session.take_news(), ""
    if session.tabs:
        page += await _what_changed(session.tab(), *before)
        url = session.tab().page.url
    return ActionOutcome(done="\n".join(done), page="\n".join(page), url=url)


async def go_to(session: BrowserSession, tab: Tab, url: str) -> None:
    """Open a URL in a tab and wait until it has loaded; a page that never ends is left loading.

    Raises:
        BlockedError: The URL, or one that it redirects to, must not be asked for.
        BrowserError: The page cannot be had.
    """
    from playwright.async_api import Error
    from playwright.async_api import TimeoutError as PlaywrightTimeout

    if "://" not in url and not url.startswith(("about:", "data:", "file:", "javascript:")):
        url = f"https://{url}"
    requests = session.connection.requests
    # about:blank is the only page that is no web page and may be opened.
    refusal = None if url == "about:blank" else await requests.judge_page(url)
    if refusal is not None:
        raise refusal
    try:
        async with settled(tab.page):
            await tab.page.goto(url, wait_until="commit", timeout=NAVIGATION_S * 1000)
    except PlaywrightTimeout as error:
        raise BrowserError(
            f"{one_line(url)} has not answered within {NAVIGATION_S:g} s",
            remedy="try again later, or look for the page elsewhere",
        ) from error
    except Error as error:
        if "Download is starting" in error.message or "ERR_ABORTED" in error.message:
            return  # an answer that is no page: the download is told as news
        reason = requests.last_reason()
        if reason and "ERR_BLOCKED_BY_CLIENT" in error.message:
            raise BlockedError(
                f"{one_line(url)} leads where it must not: {reason}",
                remedy="open a page that does not lead there",
                url=one_line(url),
                reason=reason,
            ) from error
        raise BrowserError(
            f"{one_line(url)} cannot be opened: {one_line(error.message)}",
            remedy="check the address; the fetch tool may say more",
        ) from error


async def _what_changed(tab: Tab, was: Tab, was_url: str, seen: str) -> list[str]:
    if await tab.is_large():
        tab.seen = ""
        said = "(a very large page: browser_snapshot with find or ref, or browser_render_markdown)"
        return [await tab.header(), said]
    try:
        now = await tab.snapshot()
    except BrowserError as error:
        return [await tab.header(), f"(no snapshot: {error.message})"]
    lines = [await tab.header()]
    if tab is not was or tab.page.url.partition("#")[0] != was_url.partition("#")[0] or not seen:
        cut = cut_snapshot(now, NEW_PAGE_CHARS)
        lines.append(cut.text)
        if cut.lines_left_out:
            lines.append(f"({cut.lines_left_out} more lines: browser_snapshot with find)")
        return lines
    changes = changed_lines(seen, now, most=CHANGES_AT_MOST)
    return [*lines, *(changes or ["(nothing else changed)"])]


async def _do(session: BrowserSession, tab: Tab, step: BrowserStep) -> str:
    page, action, value = tab.page, step.action, step.value
    if action == "goto":
        await go_to(session, tab, value)
        return f"goto {one_line(tab.page.url)}"
    if action in ("dialog_accept", "dialog_dismiss"):
        session.answer_next_dialog(accept=action == "dialog_accept", text=value or None)
        return f"{action}: for the next dialog"
    if action == "wait_for":
        return await _wait_for(page, value)
    if action == "close_tab":
        await page.close()
        return f"tab {tab.name} closed"
    if action in ("back", "forward", "reload"):
        return await _move(page, action)
    locator, shown = await _locate(page, step)
    if session.recording is not None and action in ("fill", "type", "press"):
        await _refuse_secret(page, locator)
    async with settled(page):
        await _perform(page, locator, step)
    return f"{action} {shown}".rstrip()


async def _locate(page: Page, step: BrowserStep) -> tuple[Locator | None, str]:
    """Return the element and its lasting name; a ref that names none fails at once."""
    if not step.target:
        return None, ""
    return await locate(page, step.target)


async def locate(page: Page, target: str) -> tuple[Locator, str]:
    """Return an element and a name for it that outlives the snapshot.

    Raises:
        BrowserError: There is none, or a selector names several.
    """
    from playwright.async_api import Error

    if (ref := ref_of(target)) is not None:
        locator = page.get_by_ref(ref)
        try:
            return locator, str(await locator.normalize())
        except Error as error:
            if "aria-ref" in error.message:
                raise stale_ref(ref) from error
            return locator, ref
    locator = page.locator(target)
    count = await locator.count()
    if count != 1:
        raise BrowserError(
            f"{one_line(target)} fits {count} elements",
            remedy="use a ref of browser_snapshot, or a selector that fits one",
        )
    return locator, one_line(target)


async def _perform(page: Page, locator: Locator | None, step: BrowserStep) -> None:
    if locator is None:
        await _perform_anywhere(page, step)
    else:
        await _perform_on(page, locator, step)


async def _perform_anywhere(page: Page, step: BrowserStep) -> None:
    match step.action:
        case "press":
            await page.keyboard.press(step.value)
        case "type":
            await page.keyboard.type(step.value)
        case "scroll":
            await page.mouse.wheel(0, _distance(step.value))
        case action:
            raise BrowserError(f"{action} needs a target", remedy="give a ref of the snapshot")


async def _perform_on(page: Page, there: Locator, step: BrowserStep) -> None:
    limit = ACTION_S * 1000
    value = step.value
    doing: dict[str, Callable[[], Awaitable[object]]] = {
        "scroll": lambda: there.scroll_into_view_if_needed(timeout=limit),
        "click": lambda: there.click(timeout=limit),
        "dblclick": lambda: there.dblclick(timeout=limit),
        "hover": lambda: there.hover(timeout=limit),
        "fill": lambda: there.fill(value, timeout=limit),
        "type": lambda: there.press_sequentially(value, timeout=limit),
        "press": lambda: there.press(value, timeout=limit),
        "select": lambda: there.select_option(value, timeout=limit),
        "check": lambda: there.set_checked(checked=True, timeout=limit),
        "uncheck": lambda: there.set_checked(checked=False, timeout=limit),
        "upload": lambda: there.set_input_files(_uploadable(value), timeout=limit),
        "drag": lambda: _drag(page, there, value),
    }
    await doing[step.action]()


async def _drag(page: Page, what: Locator, onto: str) -> None:
    there, _ = await locate(page, onto)
    await what.drag_to(there, timeout=ACTION_S * 1000)


async def _move(page: Page, action: str) -> str:
    move = {"back": page.go_back, "forward": page.go_forward, "reload": page.reload}[action]
    before = page.url
    await move(wait_until="commit", timeout=NAVIGATION_S * 1000)
    await wait_until_loaded(page)
    if action != "reload" and page.url == before:
        return f"{action}: there is no page to go to"
    return action


async def _wait_for(page: Page, value: str) -> str:
    from playwright.async_api import TimeoutError as PlaywrightTimeout

    try:
        seconds = float(value)
    except ValueError:
        gone = value.startswith("!") and len(value) > 1
        text = value[1:] if gone else value
        wanted = page.get_by_text(text).first
        try:
            await wanted.wait_for(state="hidden" if gone else "visible", timeout=WAIT_S * 1000)
        except PlaywrightTimeout as error:
            state = "is still there" if gone else "has not come"
            raise BrowserError(
                f"{one_line(text)!r} {state} after {WAIT_S:g} s",
                remedy="take a browser_snapshot to see what the page shows instead",
            ) from error
        return f"wait_for {one_line(value)}"
    await asyncio.sleep(min(max(seconds, 0.0), WAIT_S))
    return f"waited {min(max(seconds, 0.0), WAIT_S):g} s"


async def _refuse_secret(page: Page, locator: Locator | None) -> None:
    field = locator if locator is not None else page.locator("*:focus")
    if await field.count() == 1 and await field.evaluate(_KEEPS_QUIET):
        raise BrowserError(
            "this session is recorded, and films hold no passwords",
            remedy="open a session without record for pages that ask for one",
        )


def _uploadable(value: str) -> Path:
    """Return a file that may leave this machine: one of the folder that the server works in."""
    root = Path.cwd().resolve()
    path = (root / value).resolve()
    if not path.is_relative_to(root):
        raise BrowserError(
            f"{value} is outside {root}, and only files in it are uploaded",
            remedy="copy it there first",
        )
    if root == Path("/") or any(part.startswith(".") for part in path.relative_to(root).parts):
        raise BrowserError(
            f"{value} is not uploaded: nothing hidden is, and nothing if the working folder is /",
            remedy="copy what is meant into the working folder",
        )
    if not path.is_file():
        raise BrowserError(f"{path} is not a file", remedy=f"give the path of a file in {root}")
    return path


def _distance(value: str) -> float:
    try:
        return float(value) if value else SCROLL_PX
    except ValueError:
        raise BrowserError(
            f"{value!r} is not a distance", remedy="give pixels, for example 700 or -700"
        ) from None


def _as_told(step: BrowserStep, error: Exception) -> BrowserError:
    said = str(getattr(error, "message", error))
    head, _, log = said.partition("\nCall log:")
    # The log's last lines say what stood in the way: an overlay, a disabled button.
    causes = [
        line.strip(" -") for line in log.splitlines() if "intercepts" in line or "not" in line
    ]
    shown = one_line(head, 300) + (f" ({one_line(causes[-1], 200)})" if causes else "")
    return BrowserError(
        f"{step.action} {step.target}: {shown}",
        remedy="take a browser_snapshot: something may cover the element, or it is another one",
    )
