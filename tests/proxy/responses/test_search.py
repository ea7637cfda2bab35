"""Searches that a Responses client expects of its server: made here, and read by OpenAI's SDK."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from autosre_lab.proxy.responses.search import SOURCES
from autosre_lab.scripted.chat_engine import ToolCall, Turn
from tests.proxy.conftest import StartLab
from tests.proxy.responses.bodies import FUNCTION, ask
from tests.proxy.responses.reading import read_stream
from tests.proxy.responses.test_served import PATH, client, events
from tests.support.search_source import PAGES, LocalSearch, local_search
from tests.web.site import Answer

pytestmark = pytest.mark.anyio

SEARCH = {"type": "web_search", "external_web_access": True}
CITED = Turn(text="It hovers [1].")


@pytest.fixture
def source() -> Iterator[LocalSearch]:
    with local_search() as one:
        yield one


def searches(query: str) -> ToolCall:
    return ToolCall(name="web_search", arguments=json.dumps({"query": query}))


async def test_a_search_is_an_item_with_its_events_and_the_text_cites_it(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(text="I look.", tool_calls=[searches("kestrels")]), CITED, search=source
    )
    read = read_stream(await events(lab, ask("Which?", tools=[SEARCH], include=[SOURCES])))
    _, search, said = read.items
    assert search["action"] == {
        "type": "search",
        "query": "kestrels",
        "queries": ["kestrels"],
        "sources": [{"type": "url", "url": page[1]} for page in PAGES],
    }
    assert (search["type"], search["status"]) == ("web_search_call", "completed")
    kinds = [
        (event["type"], event.get("item_id"))
        for event in read.events
        if "web_search_call" in event["type"]
    ]
    assert kinds == [
        (f"response.web_search_call.{state}", search["id"])
        for state in ("in_progress", "searching", "completed")
    ]
    (cited,) = said["content"][0]["annotations"]
    assert cited == {
        "type": "url_citation",
        "start_index": 10,
        "end_index": 13,
        "url": PAGES[0][1],
        "title": PAGES[0][0],
    }
    added = [event for event in read.events if event["type"].endswith("annotation.added")]
    assert [event["annotation"] for event in added] == [cited]


async def test_the_sdk_reads_it_streamed_and_whole(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(*(Turn(tool_calls=[searches("a")]), CITED) * 2, search=source)
    asked: Any = {"model": "any", "input": "Which?", "tools": [{"type": "web_search_preview"}]}
    async with client(lab) as sdk:
        async with sdk.responses.stream(**asked) as stream:
            streamed: Any = await stream.get_final_response()
        whole: Any = await sdk.responses.create(**asked)
    for response in (streamed, whole):
        search, said = response.output
        assert (search.type, search.status, search.action.query) == (
            *("web_search_call", "completed"),
            "a",
        )
        assert search.action.sources is None
        assert said.content[0].annotations[0].url == PAGES[0][1]
        assert response.status == "completed"


async def test_filters_a_bound_and_the_size_hold(start_lab: StartLab, source: LocalSearch) -> None:
    lab = await start_lab(
        Turn(tool_calls=[searches("a"), searches("b")]), Turn(text="Done."), search=source
    )
    tool = {
        **SEARCH,
        "filters": {"allowed_domains": ["birds.example"]},
        "user_location": {"type": "approximate", "country": "DE"},
        "search_context_size": "low",
    }
    body = ask("Which?", tools=[tool], max_tool_calls=1, include=[SOURCES])
    _, answer, _ = await lab.post(body, PATH)
    first, second, _ = answer["output"]
    assert [one["url"] for one in first["action"]["sources"]] == [PAGES[0][1], PAGES[1][1]]
    assert (first["status"], second["status"]) == ("completed", "failed")
    assert source.queries == ["site:birds.example a"]
    assert "language=de-DE" in source.site.paths[0]
    assert answer["tools"] == [tool]


async def test_filters_that_cannot_be_kept_are_a_400(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(search=source)
    filters = {"allowed_domains": ["a.x"], "blocked_domains": ["b.x"]}
    status, body, _ = await lab.post(ask("Hi", tools=[{**SEARCH, "filters": filters}]), PATH)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert "blocked_domains" in body["error"]["message"]


async def test_each_question_begins_with_the_one_before_also_out_of_the_history(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(thinking="hm", text="I look.", tool_calls=[searches("a"), searches("b")]),
        Turn(tool_calls=[searches("c")]),
        Turn(tool_calls=[searches("d")]),
        Turn(text="Done [2]."),
        search=source,
    )
    body = ask("Which?", tools=[FUNCTION, SEARCH])
    read = read_stream(await events(lab, body))
    body["input"] += [*read.items, *ask("Thanks.")["input"]]
    again = read_stream(await events(lab, body))
    chats = [chat.body["messages"] for chat in lab.upstream.chats]
    assert len(chats) == 5
    for shorter, longer in itertools.pairwise(chats):
        assert json.dumps(longer[: len(shorter)]) == json.dumps(shorter)
    assert again.items[-1]["content"][0]["annotations"][0]["url"] == PAGES[1][1]


async def test_a_search_that_nobody_remembers_is_said_to_the_model(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(search=source)
    old = {
        "type": "web_search_call",
        "id": "ws_elsewhere",
        "status": "completed",
        "action": {"type": "search", "query": "a"},
    }
    await lab.post(ask("Hi", old, "And?", tools=[SEARCH]), PATH)
    called, result = lab.upstream.chats[0].body["messages"][1:3]
    assert called["tool_calls"][0]["function"]["arguments"] == '{"query":"a"}'
    assert "not known any more" in result["content"]


async def test_a_failed_search_is_told_and_the_model_answers(
    start_lab: StartLab, source: LocalSearch
) -> None:
    source.site.answers["/search"] = Answer("{}", 429)
    lab = await start_lab(Turn(tool_calls=[searches("a")]), Turn(text="Sorry."), search=source)
    read = read_stream(await events(lab, ask("Which?", tools=[SEARCH])))
    assert [item.get("status") for item in read.items] == ["failed", "completed"]
    assert "takes no more searches" in lab.upstream.chats[1].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "web_search"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
    ],
)
async def test_a_search_can_be_forced(
    start_lab: StartLab, source: LocalSearch, choice: dict[str, Any]
) -> None:
    lab = await start_lab(Turn(tool_calls=[searches("a")]), Turn(text="Done."), search=source)
    await lab.post(ask("Which?", tools=[FUNCTION, SEARCH], tool_choice=choice), PATH)
    first, second = (chat.body.get("tool_choice") for chat in lab.upstream.chats)
    assert first == {"type": "function", "function": {"name": "web_search"}}
    assert second is None


async def test_a_compaction_shows_the_search_and_does_not_make_one(
    start_lab: StartLab, source: LocalSearch
) -> None:
    """The tools are rendered for the prefix cache; the model may call none of them."""
    lab = await start_lab(Turn(text="Hi."), Turn(text="A summary."), search=source)
    body = ask("Hi", tools=[FUNCTION, SEARCH])
    await lab.post(body, PATH)
    body["input"] += [{"type": "compaction_trigger"}]
    _, answer, _ = await lab.post(body, PATH)
    assert answer["output"][0]["type"] == "compaction"
    first, second = (chat.body for chat in lab.upstream.chats)
    assert second["tools"] == first["tools"]
    assert second["tool_choice"] == "none"
