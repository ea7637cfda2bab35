"""Searches that a Messages API request asks for: its rules hold, and each outcome has a code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.web import (
    AddressGuard,
    GuardedClient,
    SearchOutcome,
    SearchRules,
    WebSearch,
    answer_searches,
    search_rules,
)
from tests.web.site import Answer, Site, serving

JSON = {"Content-Type": "application/json"}
URLS = (
    "https://docs.python.org/3/library/asyncio.html",
    "https://python.org/about",
    "https://evilpython.org/",
    "https://example.com/blog/a",
    "https://example.com/shop",
)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        one.answers["/search"] = Answer(found(*URLS), headers=JSON)
        yield one


def found(*urls: str) -> str:
    return json.dumps({"results": [{"title": url, "url": url, "content": "x"} for url in urls]})


def source(site: Site) -> WebSearch:
    client = GuardedClient(site.guard())
    return WebSearch(client, backends=("searxng",), searxng=site.url, sleep=lambda _: None)


def asked(
    site: Site, *queries: object, rules: SearchRules | None = None, used: int = 0
) -> tuple[SearchOutcome, ...]:
    return asyncio.run(
        answer_searches(queries, rules or SearchRules(), search=source(site), used=used)
    )


def test_a_search_returns_what_was_found_and_who_searched(site: Site) -> None:
    (one,) = asked(site, "asyncio")
    assert (one.code, one.backend, one.query) == ("results", "searxng", "asyncio")
    assert tuple(result.url for result in one.results) == URLS


def test_nothing_found_is_a_result_without_entries(site: Site) -> None:
    site.answers["/search"] = Answer(found(), headers=JSON)
    (one,) = asked(site, "asyncio")
    assert (one.code, one.results, one.message) == ("results", (), "")


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ({"allowed_domains": ["python.org"]}, URLS[:2]),
        ({"allowed_domains": ["docs.python.org"]}, URLS[:1]),
        ({"allowed_domains": ["example.com/blog"]}, URLS[3:4]),
        ({"allowed_domains": ["example.com/*op"]}, URLS[4:]),
        ({"allowed_domains": ["PYTHON.org", "example.com"]}, (*URLS[:2], *URLS[3:])),
        ({"allowed_domains": ["a.x", "b.x", "c.x", "example.com"]}, URLS[3:]),
        ({"blocked_domains": ["python.org", "example.com/shop"]}, URLS[2:4]),
        ({"allowed_domains": []}, URLS),
    ],
)
def test_results_are_of_the_domains_that_the_request_admits(
    site: Site, rules: dict[str, object], left: tuple[str, ...]
) -> None:
    (one,) = asked(site, "asyncio", rules=search_rules(rules))
    assert {result.url for result in one.results} == set(left)


def test_a_few_allowed_domains_are_asked_for_one_by_one_and_mixed(site: Site) -> None:
    for domain in ("a.example", "b.example"):
        site.answers[f"/search?q=site%3A{domain}+x&format=json&pageno=1"] = Answer(
            found(f"https://{domain}/1", f"https://{domain}/2"), headers=JSON
        )
    (one,) = asked(site, "x", rules=SearchRules(allowed=("a.example", "b.example")))
    urls = [result.url for result in one.results]
    assert urls == [f"https://{site}.example/{rank}" for rank in (1, 2) for site in "ab"]


def test_searches_beyond_max_uses_are_not_made(site: Site) -> None:
    outcomes = asked(site, "a", "b", "c", rules=SearchRules(max_uses=3), used=1)
    assert [one.code for one in outcomes] == ["results", "results", "max_uses_exceeded"]
    assert len(site.paths) == 2


def test_a_failed_search_does_not_count_and_does_not_spoil_the_next(site: Site) -> None:
    outcomes = asked(site, "", 7, "x " * 300, "good", rules=SearchRules(max_uses=1))
    assert [one.code for one in outcomes] == [
        "invalid_tool_input",
        "invalid_tool_input",
        "query_too_long",
        "results",
    ]


@pytest.mark.parametrize(("status", "code"), [(429, "too_many_requests"), (500, "unavailable")])
def test_a_source_that_refuses_or_fails_is_told_as_such(site: Site, status: int, code: str) -> None:
    site.answers["/search"] = Answer("{}", status)
    (one,) = asked(site, "x")
    assert (one.code, one.results) == (code, ())
    assert str(status) in one.message


def test_a_source_out_of_reach_is_unavailable() -> None:
    client = GuardedClient(AddressGuard(resolve=lambda host, port: []))
    search = WebSearch(
        client, backends=("searxng",), searxng="http://gone.test", sleep=lambda _: None
    )
    (one,) = asyncio.run(answer_searches(["x"], SearchRules(), search=search))
    assert one.code == "unavailable"
    assert "nothing was searched" in one.message


@pytest.mark.parametrize(
    ("country", "language"),
    [("DE", "de-DE"), ("us", "en-US"), ("GB", "en-GB"), ("JP", "ja-JP"), ("XX", None)],
)
def test_the_users_country_chooses_the_region(
    site: Site, country: str, language: str | None
) -> None:
    rules = search_rules({"user_location": {"type": "approximate", "country": country}})
    asked(site, "x", rules=rules)
    assert (f"language={language}" in site.paths[0]) == (language is not None)


@pytest.mark.parametrize(
    "tool",
    [
        {"allowed_domains": ["a.x"], "blocked_domains": ["b.x"]},
        {"allowed_domains": ["https://a.x"]},
        {"allowed_domains": "a.x"},
        {"blocked_domains": [7]},
        {"max_uses": 0},
        {"max_uses": True},
        {"max_uses": "3"},
    ],
)
def test_rules_that_cannot_be_kept_are_refused(tool: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="web_search"):
        search_rules(tool)
