"""Searches that a Messages client expects of its server: made here, and read by Anthropic's SDK."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from autosre_lab.proxy.searching import MOST_QUESTIONS
from autosre_lab.scripted.chat_engine import HttpError, ToolCall, Turn
from tests.proxy.conftest import Lab, StartLab, ask
from tests.proxy.waiting import until
from tests.support.search_source import PAGES, LocalSearch, found, local_search
from tests.web.site import Answer

pytestmark = pytest.mark.anyio

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
READ = {"name": "Read", "input_schema": {"type": "object", "properties": {}}}
CLAUDE_CODES = "Perform a web search for the query: kestrels"
CITED = Turn(text="It hovers [1] and is a train too [3]. `a[2]`")


@pytest.fixture
def source() -> Iterator[LocalSearch]:
    with local_search() as one:
        yield one


def searches(query: str, **more: Any) -> ToolCall:
    return ToolCall(name="web_search", arguments=json.dumps({"query": query, **more}))


async def streamed(lab: Lab, **body: Any) -> Any:
    async with lab.sdk.messages.stream(**body) as stream:
        return await stream.get_final_message()


async def logged(lab: Lab) -> dict[str, Any]:
    """Return the first line of the request log, which a thread writes."""
    await until(lambda: lab.log_path.exists() and b"\n" in lab.log_path.read_bytes(), "the log")
    record: dict[str, Any] = json.loads(lab.log_path.read_text("utf-8").splitlines()[0])
    return record


async def whole(lab: Lab, **body: Any) -> Any:
    return await lab.sdk.messages.create(**body)


@pytest.mark.parametrize("send", [streamed, whole])
async def test_claude_codes_own_search_is_made_and_summed_up_with_citations(
    start_lab: StartLab, source: LocalSearch, send: Any
) -> None:
    lab = await start_lab(CITED, search=source)
    message = await send(lab, **ask(CLAUDE_CODES, tools=[SEARCH]))
    use, result, text = message.content
    assert (use.type, use.name, use.input) == (
        "server_tool_use",
        "web_search",
        {"query": "kestrels"},
    )
    assert (result.type, result.tool_use_id) == ("web_search_tool_result", use.id)
    assert [(one.title, one.url) for one in result.content] == [page[:2] for page in PAGES]
    assert text.text == CITED.text
    assert [(one.type, one.url, one.cited_text) for one in text.citations] == [
        ("web_search_result_location", url, said) for _, url, said in (PAGES[0], PAGES[2])
    ]
    assert message.stop_reason == "end_turn"
    assert message.usage.server_tool_use.web_search_requests == 1
    assert source.queries == ["kestrels"]
    # The model is asked once, with what was found, and is not to call anything.
    (chat,) = lab.upstream.chats
    assert "tools" not in chat.body
    assert "[2] Swifts\n    https://birds.example/swift" in chat.body["messages"][-1]["content"]


async def test_the_model_searches_by_itself_and_everything_keeps_its_order(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(thinking="hm", text="I look.", tool_calls=[searches("kestrels")]),
        Turn(text="And again.", tool_calls=[searches("swifts")]),
        Turn(text="A swift sleeps in the air [5].", tool_calls=[ToolCall(name="Read")]),
        search=source,
    )
    body = ask("Which birds?", tools=[READ, SEARCH])
    message = await streamed(lab, **body)
    assert [block.type for block in message.content] == [
        *("thinking", "text", "server_tool_use", "web_search_tool_result"),
        *("text", "server_tool_use", "web_search_tool_result", "text", "tool_use"),
    ]
    assert message.stop_reason == "tool_use"
    assert message.usage.server_tool_use.web_search_requests == 2
    assert [one.url for one in message.content[7].citations] == ["https://birds.example/swift"]
    assert source.queries == ["kestrels", "swifts"]
    names = [tool["function"]["name"] for tool in lab.upstream.chats[0].body["tools"]]
    assert names == ["Read", "web_search"]
    assert (await logged(lab))["searches"] == 2


async def test_each_question_begins_with_the_one_before_also_out_of_the_history(
    start_lab: StartLab, source: LocalSearch
) -> None:
    """The prefix cache is hit: what was searched is written to the letter as it was first."""
    lab = await start_lab(
        Turn(thinking="hm", text="I look.", tool_calls=[searches("a"), searches("b")]),
        Turn(tool_calls=[searches("c")]),
        Turn(tool_calls=[searches("d")]),
        Turn(text="Done [2]."),
        search=source,
    )
    body = ask("Which?", tools=[READ, SEARCH])
    message = await streamed(lab, **body)
    spoken = [block.model_dump(exclude_unset=True) for block in message.content]
    body["messages"] += [
        {"role": "assistant", "content": spoken},
        {"role": "user", "content": "Thanks."},
    ]
    await streamed(lab, **body)
    chats = [chat.body["messages"] for chat in lab.upstream.chats]
    assert len(chats) == 5
    for shorter, longer in itertools.pairwise(chats):
        assert json.dumps(longer[: len(shorter)]) == json.dumps(shorter)
    assert chats[4][-2:] == [
        {"role": "assistant", "content": "Done [2]."},
        {"role": "user", "content": "Thanks."},
    ]


async def test_a_source_of_the_history_is_cited_and_numbers_go_on(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(tool_calls=[searches("a")]),
        Turn(text="One [1]."),
        Turn(tool_calls=[searches("b")]),
        Turn(text="Old [1], new [4]."),
        search=source,
    )
    body = ask("Which?", tools=[SEARCH])
    first = await whole(lab, **body)
    spoken = [block.model_dump(exclude_unset=True) for block in first.content]
    body["messages"] += [
        {"role": "assistant", "content": spoken},
        {"role": "user", "content": "More."},
    ]
    second = await whole(lab, **body)
    assert [one.url for one in second.content[-1].citations] == [PAGES[0][1], PAGES[0][1]]
    assert "[4] Kestrels" in lab.upstream.chats[-1].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Answer("{}", 429), "too_many_requests"), (Answer("{}", 500), "unavailable")],
)
@pytest.mark.parametrize("send", [streamed, whole])
async def test_a_search_that_fails_is_told_and_no_model_makes_results_up(
    start_lab: StartLab, source: LocalSearch, answer: Answer, code: str, send: Any
) -> None:
    source.site.answers["/search"] = answer
    lab = await start_lab(search=source)
    message = await send(lab, **ask(CLAUDE_CODES, tools=[SEARCH]))
    _, result, text = message.content
    assert (result.content.type, result.content.error_code) == (
        "web_search_tool_result_error",
        code,
    )
    assert text.text.startswith("The web was not searched:")
    assert not lab.upstream.chats
    assert message.usage.server_tool_use.web_search_requests == 0


async def test_nothing_found_is_no_error(start_lab: StartLab, source: LocalSearch) -> None:
    source.site.answers["/search"] = found()
    lab = await start_lab(search=source)
    message = await whole(lab, **ask(CLAUDE_CODES, tools=[SEARCH]))
    assert message.content[1].content == []
    assert message.content[2].text == "The web was searched, and nothing was found."
    assert not lab.upstream.chats


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('{"query": ""}', "invalid_tool_input"),
        ('{"query": 7}', "invalid_tool_input"),
        ('{"query": ', "invalid_tool_input"),
        (json.dumps({"query": "x " * 300}), "query_too_long"),
    ],
)
async def test_a_query_that_is_none_goes_back_to_the_model_as_an_error(
    start_lab: StartLab, source: LocalSearch, arguments: str, code: str
) -> None:
    call = ToolCall(name="web_search", arguments=arguments)
    lab = await start_lab(Turn(tool_calls=[call]), Turn(text="Sorry."), search=source)
    message = await streamed(lab, **ask("Which?", tools=[SEARCH]))
    assert message.content[1].content.error_code == code
    assert message.content[2].text == "Sorry."
    told = lab.upstream.chats[1].body["messages"][-1]
    assert told["role"] == "tool"
    assert told["content"].startswith("[nothing was searched: ")
    json.loads(lab.upstream.chats[1].body["messages"][-2]["tool_calls"][0]["function"]["arguments"])


async def test_no_more_searches_are_made_than_the_request_allows(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(tool_calls=[searches("a"), searches("b")]), Turn(text="Done."), search=source
    )
    message = await whole(lab, **ask("Which?", tools=[{**SEARCH, "max_uses": 1}]))
    assert message.content[3].content.error_code == "max_uses_exceeded"
    assert source.queries == ["a"]
    assert message.usage.server_tool_use.web_search_requests == 1


async def test_a_model_that_searches_for_ever_is_stopped(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(Turn(tool_calls=[searches("a")]), search=source)
    message = await whole(lab, **ask("Which?", tools=[SEARCH]))
    assert len(lab.upstream.chats) == MOST_QUESTIONS
    assert lab.upstream.chats[-1].body["tool_choice"] == "none"
    assert message.stop_reason == "end_turn"


async def test_the_rules_of_the_request_hold(start_lab: StartLab, source: LocalSearch) -> None:
    lab = await start_lab(
        Turn(tool_calls=[searches("a")]),
        Turn(text="Done."),
        Turn(tool_calls=[searches("b")]),
        Turn(text="Done."),
        search=source,
    )
    blocked = {**SEARCH, "blocked_domains": ["trains.example"]}
    message = await whole(lab, **ask("Which?", tools=[blocked]))
    assert [one.url for one in message.content[1].content] == [PAGES[0][1], PAGES[1][1]]
    allowed = {
        **SEARCH,
        "allowed_domains": ["birds.example/swift"],
        "user_location": {"type": "approximate", "country": "DE", "city": "Bonn"},
    }
    message = await whole(lab, **ask("Which?", tools=[allowed]))
    assert [one.url for one in message.content[1].content] == [PAGES[1][1]]
    assert source.queries[-1] == "site:birds.example/swift b"
    assert "language=de-DE" in source.site.paths[-1]


@pytest.mark.parametrize(
    "rules",
    [
        {"allowed_domains": ["a.x"], "blocked_domains": ["b.x"]},
        {"allowed_domains": ["https://a.x"]},
        {"max_uses": 0},
    ],
)
async def test_rules_that_cannot_be_kept_are_a_400_except_to_claude_code(
    start_lab: StartLab, source: LocalSearch, rules: dict[str, Any]
) -> None:
    lab = await start_lab(search=source)
    status, body, _ = await lab.post(ask("Which?", tools=[{**SEARCH, **rules}]))
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert next(iter(rules)) in body["error"]["message"]
    # It would send a 400 six times and lose tools by it; its model reads this answer.
    status, body, _ = await lab.post(ask(CLAUDE_CODES, tools=[{**SEARCH, **rules}]))
    assert status == 200
    assert body["content"][1]["content"]["error_code"] == "invalid_tool_input"
    assert next(iter(rules)) in body["content"][2]["text"]
    assert not source.queries


async def test_a_forced_search_is_forced_once(start_lab: StartLab, source: LocalSearch) -> None:
    lab = await start_lab(Turn(tool_calls=[searches("a")]), Turn(text="Done."), search=source)
    choice = {"type": "tool", "name": "web_search"}
    await whole(lab, **ask("Which?", tools=[READ, SEARCH], tool_choice=choice))
    first, second = (chat.body.get("tool_choice") for chat in lab.upstream.chats)
    assert first == {"type": "function", "function": {"name": "web_search"}}
    assert second is None


async def test_a_search_and_a_tool_of_the_clients_at_once(
    start_lab: StartLab, source: LocalSearch
) -> None:
    """The search is made, the client runs its tool, and the history goes on from both."""
    calls = [ToolCall(name="Read"), searches("a"), ToolCall(name="Read")]
    lab = await start_lab(Turn(text="Both.", tool_calls=calls), Turn(text="Done."), search=source)
    body = ask("Which?", tools=[READ, SEARCH])
    message = await streamed(lab, **body)
    assert [block.type for block in message.content] == [
        *("text", "tool_use", "server_tool_use", "web_search_tool_result", "tool_use"),
    ]
    assert message.stop_reason == "tool_use"
    assert len(lab.upstream.chats) == 1
    uses = [block for block in message.content if block.type == "tool_use"]
    body["messages"] += [
        {
            "role": "assistant",
            "content": [block.model_dump(exclude_unset=True) for block in message.content],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": use.id, "content": f"file {number}"}
                for number, use in enumerate(uses)
            ],
        },
    ]
    await streamed(lab, **body)
    spoken, *results = lab.upstream.chats[1].body["messages"][1:]
    ids = [call["id"] for call in spoken["tool_calls"]]
    assert [one["tool_call_id"] for one in results] == ids
    assert [one["content"][:6] for one in results] == ["file 0", "result", "file 1"]


async def test_an_engine_that_breaks_behind_a_search_is_told_in_the_stream(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(tool_calls=[searches("a")]), Turn(http_error=HttpError(status=400)), search=source
    )
    events = await lab.events(ask("Which?", tools=[SEARCH]))
    assert events[-1]["type"] == "error"


async def test_results_that_do_not_fit_the_window_end_the_answer_and_say_so(
    start_lab: StartLab, source: LocalSearch
) -> None:
    source.site.answers["/search"] = found(
        *((f"T{n}", f"https://x.example/{n}", "long " * 80) for n in range(10))
    )
    lab = await start_lab(Turn(tool_calls=[searches("a")]), search=source, max_model_len=1100)
    message = await whole(lab, **ask("Which?", tools=[SEARCH]))
    assert [block.type for block in message.content][:2] == [
        "server_tool_use",
        "web_search_tool_result",
    ]
    assert message.stop_reason == "model_context_window_exceeded"
    assert len(lab.upstream.chats) == 1


async def test_counts_are_those_of_the_last_question_and_all_that_was_said(
    start_lab: StartLab, source: LocalSearch
) -> None:
    lab = await start_lab(
        Turn(text="one two three", tool_calls=[searches("a")]),
        Turn(text="four five"),
        search=source,
    )
    message = await whole(lab, **ask("Which?", tools=[SEARCH]))
    prompts = [chat.body for chat in lab.upstream.chats]
    record = await logged(lab)
    assert len(prompts) == 2
    assert record["input_tokens"] > message.usage.input_tokens
    assert record["output_tokens"] == message.usage.output_tokens


async def test_a_request_to_sum_up_a_fetched_page_needs_nothing_but_the_model(
    start_lab: StartLab, source: LocalSearch
) -> None:
    """As Claude Code's WebFetch asks: the page in the question, no tools."""
    lab = await start_lab(Turn(text="It is about [1] birds."), search=source)
    page = "Web page content:\n---\n# Birds\n---\n\nWhat is it about?"
    message = await streamed(lab, **ask(page, system="", model="claude-haiku-5-5"))
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].citations is None
    assert message.usage.server_tool_use is None
    assert not source.queries


async def test_the_searcher_is_let_go_with_the_proxy(source: LocalSearch) -> None:
    from autosre_lab.proxy import ProxyConfig, running_proxy

    async with running_proxy(ProxyConfig(upstream="http://127.0.0.1:1", port=0, search=source)):
        assert not source.closed
    assert source.closed


async def test_without_a_searcher_it_is_refused_as_before(start_lab: StartLab) -> None:
    lab = await start_lab()
    message = await whole(lab, **ask(CLAUDE_CODES, tools=[SEARCH]))
    assert message.content[1].content.error_code == "unavailable"
    assert "autosre-lab[web]" in message.content[2].text
    await whole(lab, **ask("Which?", tools=[READ, SEARCH]))
    assert [tool["function"]["name"] for tool in lab.upstream.chats[0].body["tools"]] == ["Read"]
