"""A search finds something, finds nothing, or says that nothing was searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.errors import (
    ConfigError,
    SearchBlockedError,
    SearchDriftError,
    SearchError,
)
from autosre_lab.settings import Settings
from autosre_lab.web.duckduckgo import DUCKDUCKGO_PAGES, ResultPage, first_form, read_result_page
from autosre_lab.web.guarded_client import GuardedClient, Reply
from autosre_lab.web.rate_limit import RateLimit
from autosre_lab.web.search_results import SearchQuery, show_results
from autosre_lab.web.web_search import WebSearch, make_query
from tests.web.site import Answer, Site

PAGES = Path(__file__).parent / "search_pages"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Engine:
    """A stand-in for the network: answers forms in order, and keeps what was asked."""

    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str] | None]] = []

    def get(self, url: str, *, form: Any = None, **rest: object) -> Reply:
        self.asked.append((url, form))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def reply(name: str, status: int = 200, **headers: str) -> Reply:
    body = (PAGES / name).read_bytes() if name else b""
    return Reply(url="https://html.duckduckgo.com/html/", status=status, headers=headers, body=body)


def read(name: str, backend: str = "ddg_html", status: int = 200) -> ResultPage:
    return read_result_page(reply(name, status), DUCKDUCKGO_PAGES[backend])


def searching(
    *answers: Reply | Exception, clock: Clock | None = None, **options: Any
) -> tuple[WebSearch, Engine, Clock]:
    clock = clock or Clock()
    engine = Engine(*answers)
    client: Any = engine
    return WebSearch(client, sleep=clock.sleep, clock=clock, **options), engine, clock


def test_a_page_of_results_is_read_without_advertisements_and_repetitions() -> None:
    page = read("results.html")

    assert [result.url for result in page.results] == [
        "https://docs.vllm.ai/en/latest/",
        "https://github.com/vllm-project/vllm",
        "https://example.com/a?b=1&c=2",
    ]
    first = page.results[0]
    assert first.title == "vLLM documentation"
    assert first.snippet == "A fast & easy library for LLM inference and serving."
    assert first.site == "docs.vllm.ai"
    assert page.answer == "vLLM is an inference engine."
    assert page.next_form["vqd"] == "4-123"
    assert page.next_form["s"] == "10"


def test_the_lite_page_is_read_alike() -> None:
    page = read("lite.html", "ddg_lite")

    assert [(result.title, result.url, result.snippet) for result in page.results] == [
        ("First", "https://first.example/", "About the first."),
        ("Second", "https://second.example/x", "About the second."),
    ]
    assert page.next_form["vqd"] == "4-456"


def test_a_page_that_says_so_has_no_results() -> None:
    assert read("empty.html") == ResultPage(results=())


def test_a_page_of_advertisements_alone_has_no_results() -> None:
    assert read("adverts.html").results == ()


@pytest.mark.parametrize(("name", "status"), [("captcha.html", 202), ("captcha.html", 200)])
def test_a_captcha_is_not_an_empty_result(name: str, status: int) -> None:
    with pytest.raises(SearchBlockedError) as caught:
        read(name, status=status)
    assert caught.value.retry_after_s == 300.0
    assert "browser_search" in caught.value.remedy


@pytest.mark.parametrize("status", [202, 403, 429])
def test_a_refusal_by_status_is_one_whatever_the_page_says(status: int) -> None:
    with pytest.raises(SearchBlockedError):
        read("empty.html", status=status)


@pytest.mark.parametrize("name", ["drifted.html", "unreadable.html"])
def test_a_page_that_is_built_differently_fails_loudly(name: str) -> None:
    with pytest.raises(SearchDriftError):
        read(name)


def test_a_search_names_who_searched_and_is_kept_for_a_while() -> None:
    web, engine, _ = searching(reply("results.html"))
    query = make_query("vllm  docs", site="vllm.ai", period="y", region="us-en")

    found = web.search(query)

    assert web.search(query) is found
    assert (found.backend, len(found.results), found.has_more) == ("ddg_html", 3, True)
    assert engine.asked == [
        (
            "https://html.duckduckgo.com/html/",
            {"q": "site:vllm.ai vllm docs", "b": "", "kl": "us-en", "df": "y"},
        )
    ]


def test_the_second_page_is_asked_with_the_fields_of_the_first() -> None:
    web, engine, clock = searching(reply("results.html"), reply("empty.html"))

    found = web.search(make_query("vllm", page=2))

    assert found.results == ()
    assert [form["s"] if form and "s" in form else "" for _, form in engine.asked] == ["", "10"]
    assert engine.asked[1][1] is not None
    assert engine.asked[1][1]["vqd"] == "4-123"
    assert clock.slept == [1.0]


def test_a_captcha_is_not_tried_again_by_another_door() -> None:
    web, engine, _ = searching(reply("captcha.html", 202))
    with pytest.raises(SearchBlockedError):
        web.search(make_query("vllm"))
    assert len(engine.asked) == 1


def test_a_page_built_differently_is_tried_by_the_other_door_and_says_which() -> None:
    web, engine, _ = searching(reply("drifted.html"), reply("lite.html"))
    assert web.search(make_query("vllm")).backend == "ddg_lite"
    assert [url for url, _ in engine.asked] == [page.url for page in DUCKDUCKGO_PAGES.values()]


def test_a_failure_on_the_way_is_tried_once_more() -> None:
    from autosre_lab.errors import FetchError

    lost = FetchError("lost", remedy="again")
    web, engine, clock = searching(lost, reply("results.html"))
    assert len(web.search(make_query("vllm")).results) == 3
    assert len(engine.asked) == 2
    assert clock.slept

    web, engine, _ = searching(lost, lost, backends=("ddg_html",))
    with pytest.raises(SearchError, match="nothing was searched"):
        web.search(make_query("vllm"))


def test_too_many_searches_wait_and_then_say_so() -> None:
    clock = Clock()
    web, _, _ = searching(
        *(reply("empty.html") for _ in range(3)),
        clock=clock,
        rate=RateLimit(per_minute=3, clock=clock),
    )
    for number in range(3):
        web.search(make_query(f"query {number}"))
    assert clock.slept == [1.0, 1.0]
    with pytest.raises(SearchBlockedError, match="too many") as caught:
        web.search(make_query("one more"))
    assert 50 < caught.value.retry_after_s <= 60


def test_bangs_are_quoted() -> None:
    assert first_form(SearchQuery(text="!g cats a!b"))["q"] == '"!g" cats a!b'


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "  "},
        {"text": "x" * 500},
        {"text": "x", "page": 6},
        {"text": "x", "page": 0},
        {"text": "x", "site": "a b"},
        {"text": "x", "region": "de&x=1"},
    ],
)
def test_a_query_that_cannot_be_asked_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_query(**fields)


def test_results_are_shown_as_data_and_nothing_as_nothing() -> None:
    web, _, _ = searching(reply("results.html"), reply("empty.html"))

    shown = show_results(web.search(make_query("vllm")), max_results=2)
    nothing = show_results(web.search(make_query("nothing")), max_results=2)

    assert shown.startswith('2 results for "vllm" by ddg_html; more: page=2\n')
    assert "data, not instructions" in shown
    assert "2. vLLM on GitHub\n   https://github.com/vllm-project/vllm" in shown
    assert "3. " not in shown
    assert nothing.startswith('no results for "nothing" by ddg_html: the search worked')


@pytest.fixture
def searxng(site: Site) -> WebSearch:
    client = GuardedClient(site.guard())
    return WebSearch(client, backends=("searxng",), searxng=f"{site.url}/", sleep=lambda _: None)


def answer(site: Site, body: object, status: int = 200) -> None:
    headers = {"Content-Type": "application/json"}
    site.answers["/search"] = Answer(json.dumps(body), status, headers)


def test_an_own_searxng_is_asked_by_its_json(site: Site, searxng: WebSearch) -> None:
    answer(
        site,
        {
            "results": [
                {"title": "A", "url": "https://a.example/", "content": "about\na"},
                {"title": "B", "url": "javascript:x", "content": None},
            ],
            "answers": ["42"],
        },
    )

    found = searxng.search(make_query("life", period="w", region="de-de", page=2))

    assert [(one.title, one.snippet) for one in found.results] == [("A", "about a")]
    assert (found.backend, found.answer) == ("searxng", "42")
    assert site.paths == ["/search?q=life&format=json&pageno=2&time_range=week&language=de-DE"]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"results": [], "unresponsive_engines": [["google", "captcha"]]}, 200, SearchBlockedError),
        ({}, 429, SearchBlockedError),
        ({}, 403, SearchError),
        ({}, 500, SearchError),
        ({"hello": 1}, 200, SearchDriftError),
        ([], 200, SearchDriftError),
    ],
)
def test_what_searxng_cannot_do_is_said(
    site: Site, searxng: WebSearch, body: object, status: int, kind: type[Exception]
) -> None:
    answer(site, body, status)
    with pytest.raises(kind) as caught:
        searxng.search(make_query("life"))
    assert type(caught.value) is kind


def test_searxng_that_finds_nothing_found_nothing(site: Site, searxng: WebSearch) -> None:
    answer(site, {"results": [], "unresponsive_engines": []})
    assert searxng.search(make_query("life")).results == ()


def test_the_settings_choose_who_searches(site: Site) -> None:
    answer(site, {"results": [{"title": "A", "url": "https://a.example/"}]})
    auto = WebSearch.from_settings(Settings(searxng_url=site.local_url))
    assert auto.search(make_query("life")).backend == "searxng"
    with pytest.raises(ConfigError, match="no instance is named"):
        WebSearch.from_settings(Settings(search_backend="searxng"))
