"""Web search through the browser, for when a search engine lets only browsers in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from autosre_lab.browser.actions import go_to
from autosre_lab.browser.rendered import as_reply
from autosre_lab.browser.session import BrowserSession
from autosre_lab.browser.settle import settled
from autosre_lab.web.duckduckgo import (
    DUCKDUCKGO_PAGES,
    DuckDuckGoPage,
    ResultPage,
    first_form,
    read_result_page,
)
from autosre_lab.web.search_results import SearchQuery, SearchResults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autosre_lab.browser.tab import Tab

__all__ = ["search_in_browser"]

_SUBMIT = """([action, fields]) => {
  const form = document.createElement('form');
  form.method = 'post'; form.action = action;
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement('input');
    field.type = 'hidden'; field.name = name; field.value = value; form.append(field);
  }
  document.body.append(form); form.submit();
}"""


async def search_in_browser(
    session: BrowserSession, query: SearchQuery, *, engine: DuckDuckGoPage | None = None
) -> SearchResults:
    """Search with DuckDuckGo's page for browsers without scripts, read as the search tool reads it.

    Args:
        session: Where to search.
        query: What for.
        engine: The page of the search engine; DuckDuckGo's HTML one when not given.

    Raises:
        SearchBlockedError: It wants to see a person, or that we wait.
        SearchDriftError: Its page is not known here.
        BrowserError: It does not answer.
    """
    page = engine or DUCKDUCKGO_PAGES["ddg_html"]
    tab = session.tab() if session.tabs else await session.new_tab()
    await go_to(session, tab, f"{page.url}?{urlencode(first_form(query))}")
    found = await _read(tab, page)
    for _ in range(query.page - 1):
        if not found.next_form:
            found = ResultPage(results=())
            break
        await _submit(tab, page.url, found.next_form)
        found = await _read(tab, page)
    return SearchResults(
        query=query,
        backend=f"{page.name} in a browser",
        results=found.results,
        answer=found.answer,
        has_more=bool(found.next_form),
    )


async def _read(tab: Tab, page: DuckDuckGoPage) -> ResultPage:
    return read_result_page(as_reply(tab.page.url, tab.status, await tab.page.content()), page)


async def _submit(tab: Tab, action: str, fields: Mapping[str, str]) -> None:
    async with settled(tab.page):
        await tab.page.evaluate(_SUBMIT, [action, dict(fields)])
