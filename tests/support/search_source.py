"""A search source on loopback, and our own search over it as the proxy is given one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from autosre_lab.web import (
    GuardedClient,
    SearchOutcome,
    SearchRules,
    WebSearch,
    answer_searches,
)
from tests.web.site import Answer, Site, serving

PAGES = (
    ("Kestrels", "https://birds.example/kestrel", "A kestrel hovers."),
    ("Swifts", "https://birds.example/swift", "A swift sleeps in the air."),
    ("Trains", "https://trains.example/", "The Kestrel was a locomotive."),
)


def found(*pages: tuple[str, str, str]) -> Answer:
    """Return SearXNG's answer with these pages: title, URL, what is said there."""
    results = [{"title": title, "url": url, "content": text} for title, url, text in pages]
    return Answer(json.dumps({"results": results}), headers={"Content-Type": "application/json"})


@dataclass
class LocalSearch:
    """Searches a site on loopback, in this process; `SearchProcess` does it in another."""

    site: Site
    closed: bool = False
    _search: WebSearch = field(init=False)

    def __post_init__(self) -> None:
        self._search = WebSearch(
            GuardedClient(self.site.guard()),
            backends=("searxng",),
            searxng=self.site.url,
            sleep=lambda _: None,
        )

    async def search(self, query: object, rules: SearchRules, *, used: int = 0) -> SearchOutcome:
        (outcome,) = await answer_searches([query], rules, search=self._search, used=used)
        return outcome

    async def close(self) -> None:
        self.closed = True

    @property
    def queries(self) -> list[str]:
        """What the source was asked, in order."""
        return [parse_qs(urlsplit(path).query)["q"][0] for path in self.site.paths]


@contextmanager
def local_search() -> Iterator[LocalSearch]:
    """Run a source that finds `PAGES` for every query."""
    with serving() as site:
        site.answers["/search"] = found(*PAGES)
        yield LocalSearch(site)
