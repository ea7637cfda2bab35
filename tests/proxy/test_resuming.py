"""An engine that breaks off: the answer goes on, no word twice and none lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from autosre_lab.proxy.resuming import Delivered, Overlap
from autosre_lab.scripted.chat_engine import HttpError, ScriptedVllm, ToolCall, Turn, chunks_of
from tests.proxy.chunks import CALLS, call, chunk, make_stream
from tests.proxy.conftest import Lab, StartLab, ask
from tests.proxy.event_grammar import events_of, read_stream
from tests.proxy.responses.bodies import FUNCTION
from tests.proxy.responses.bodies import ask as responses_ask
from tests.proxy.responses.reading import read_stream as read_responses
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

THINKING = "let me see what this is"
TEXT = "The answer has seven words in it."
CALL = ToolCall(name="look", arguments='{"path": "/tmp/a b"}', fragments=4)
WHOLE = Turn(thinking=THINKING, text=TEXT, tool_calls=[CALL])
TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]
CHUNKS = len(chunks_of(WHOLE, prompt_tokens=1)) - 1  # behind the reason to stop nothing is lost
QUICK = {"keepalive_after_s": 0.05, "keepalive_every_s": 0.05}


class Model:
    """Answers the same each time, goes on with half an answer, and dies where it is told to."""

    def __init__(self, *deaths: int | None, whole: Turn = WHOLE, then: Turn | None = None) -> None:
        self.deaths = list(deaths)
        self.whole = whole
        self.then = then or whole

    def __call__(self, body: Mapping[str, Any]) -> Turn:
        turn = self.whole
        if body.get("continue_final_message"):
            assert body["add_generation_prompt"] is False
            given = body["messages"][-1]
            assert given["reasoning"] == THINKING
            assert turn.text.startswith(given["content"])
            turn = replace(turn, thinking="", text=turn.text[len(given["content"]) :])
        death = self.deaths.pop(0) if self.deaths else None
        self.whole = self.then
        return replace(turn, die_after_chunks=death)


def resumed(lab: Lab) -> list[tuple[int, str]]:
    return [(one["resumed"], one["resume"]) for one in logged(lab)]


def logged(lab: Lab) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lab.log_path.read_text().splitlines()]


async def outcomes(lab: Lab) -> str:
    async with lab.http.get(lab.url + "/metrics") as response:
        return await response.text()


async def responses(lab: Lab) -> bytes:
    body = {**responses_ask(), "tools": [FUNCTION], "stream": True}
    async with lab.http.post(f"{lab.url}/v1/responses", json=body) as response:
        return await response.read()


@pytest.mark.parametrize("dialect", ["messages", "responses"])
async def test_killed_at_each_point_the_answer_is_the_same(
    start_lab: StartLab, dialect: str
) -> None:
    lab = await start_lab()
    call_begins = CHUNKS - 1 - CALL.fragments - 1
    points = range(CHUNKS) if dialect == "messages" else (0, 3, 9, call_begins + 2, CHUNKS - 1)
    for point in points:
        lab.upstream.script = Model(point)
        if dialect == "messages":
            read = read_stream(await lab.raw_events(ask(tools=TOOLS)))
            assert read.joined("thinking") == THINKING, point
            assert read.joined("text") == TEXT, point
            (call,) = (block for block in read.blocks if block.type == "tool_use")
            assert (call.start["name"], call.content) == ("look", CALL.arguments), point
            assert read.stop_reason == "tool_use"
        else:
            items = read_responses(await responses(lab)).items
            assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
            assert items[0]["content"][0]["text"] == THINKING, point
            assert items[1]["content"][0]["text"] == TEXT, point
            assert items[2]["arguments"] == CALL.arguments, point
    await until(lambda: len(logged(lab)) == len(points), "the log")
    found = dict(zip(points, [one["resume"] for one in logged(lab)], strict=True))
    assert [found[at] for at in (0, 3, 9, call_begins + 2, CHUNKS - 1)] == [
        "again",
        "again",
        "continued",
        "call_again",
        "ended",
    ]
    assert 'autosre_proxy_resumes_total{outcome="ended"}' in await outcomes(lab)
    # What was generated for nothing is not counted, and what was continued once.
    whole = max(one["output_tokens"] for one in logged(lab))
    assert whole <= len(chunks_of(WHOLE, prompt_tokens=1)) + CALL.fragments


async def test_killed_again_and_again_it_still_is_one_answer(start_lab: StartLab) -> None:
    lab = await start_lab(script=Model(3, 10, 2))
    read = read_stream(await lab.raw_events(ask(tools=TOOLS)))
    assert (read.joined("thinking"), read.joined("text")) == (THINKING, TEXT)
    assert read.joined("tool_use") == CALL.arguments
    await until(lambda: bool(logged(lab)), "the log")
    assert resumed(lab) == [(3, "continued")]
    priorities = {one.body["priority"] for one in lab.upstream.chats}
    assert len(lab.upstream.chats) == 4
    assert len(priorities) == 1


async def test_a_call_that_comes_out_different_is_the_only_one_that_can_run(
    start_lab: StartLab,
) -> None:
    other = ToolCall(name="look", arguments='{"path": "elsewhere"}', fragments=4)
    at = CHUNKS - 2
    lab = await start_lab()
    lab.upstream.script = Model(at, then=replace(WHOLE, tool_calls=[other]))
    read = read_stream(await lab.raw_events(ask(tools=TOOLS)))
    half, call = (block for block in read.blocks if block.type == "tool_use")
    with pytest.raises(json.JSONDecodeError):
        json.loads(half.content)
    assert call.content == other.arguments
    assert read.joined("text") == TEXT

    lab.upstream.script = Model(at, then=replace(WHOLE, tool_calls=[other]))
    events = events_of(await responses(lab))
    done = [one["item"] for one in events if one["type"] == "response.output_item.done"]
    assert [item["arguments"] for item in done if item["type"] == "function_call"] == [
        other.arguments
    ]
    assert events[-1]["response"]["output"] == done


async def test_a_call_without_arguments_yet_is_never_run_without_any(start_lab: StartLab) -> None:
    lab = await start_lab(
        script=Model(
            CHUNKS - 5, then=replace(WHOLE, tool_calls=[ToolCall(name="list", arguments="{}")])
        )
    )
    read = read_stream(await lab.raw_events(ask(tools=TOOLS)))
    half, call = (block for block in read.blocks if block.type == "tool_use")
    assert (half.start["name"], half.content) == ("look", "{")
    assert (call.start["name"], call.content) == ("list", "{}")


async def test_behind_a_whole_call_nothing_is_asked_again(start_lab: StartLab) -> None:
    two = [CALL, replace(CALL, arguments='{"path": "b"}')]
    whole = replace(WHOLE, tool_calls=two)
    lab = await start_lab(script=Model(len(chunks_of(whole, prompt_tokens=1)) - 4, whole=whole))
    read = read_stream(await lab.raw_events(ask(tools=TOOLS)))
    first, half = (block for block in read.blocks if block.type == "tool_use")
    assert json.loads(first.content) == {"path": "/tmp/a b"}
    with pytest.raises(json.JSONDecodeError):
        json.loads(half.content)
    assert read.stop_reason == "tool_use"
    assert len(lab.upstream.chats) == 1


async def test_an_engine_that_comes_back_as_another_model_goes_on(start_lab: StartLab) -> None:
    lab = await start_lab(script=Model(None, whole=replace(WHOLE, hold=True)), **QUICK)
    asked = asyncio.create_task(lab.raw_events(ask(tools=TOOLS)))
    await until(lambda: lab.upstream.running == 1, "the answer's start")
    port = lab.upstream.port
    await lab.upstream.__aexit__(None, None, None)
    later = Model()
    async with ScriptedVllm(later, port=port, model="another", max_model_len=65_536) as again:
        read = read_stream(await asked)
        assert [one.body["model"] for one in again.chats] in ([], ["another"])
    assert (read.joined("thinking"), read.joined("text")) == (THINKING, TEXT)


async def test_a_request_while_the_engine_restarts_waits_for_it(start_lab: StartLab) -> None:
    lab = await start_lab(**QUICK)
    assert (await lab.post(ask()))[0] == 200
    port = lab.upstream.port
    await lab.upstream.__aexit__(None, None, None)
    asked = [
        asyncio.create_task(lab.raw_events(ask("one"))),
        asyncio.create_task(lab.raw_events(ask("two"))),
    ]
    whole = asyncio.create_task(lab.post(ask("three")))
    await waiting_for(lab, 3)
    async with ScriptedVllm([Turn(text="back")], port=port):
        for task in asked:
            assert read_stream(await task).joined("text") == "back"
        assert (await whole)[1]["content"][0]["text"] == "back"


async def health(lab: Lab) -> bytes:
    async with lab.http.get(lab.url + "/health") as response:
        return await response.read()


async def test_an_engine_that_never_comes_back_is_told_in_the_clients_words(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(resume_for_s=0.2, **QUICK)
    lab.upstream.guarded = {"/v1/models", "/v1/chat/completions"}

    def last(body: Mapping[str, Any]) -> Turn:
        lab.upstream.key = "nobody has it"  # whoever asks afterwards finds no engine
        return replace(WHOLE, die_after_chunks=9)

    for dialect in ("messages", "responses"):
        lab.upstream.key, lab.upstream.script = "", [Turn(text="well")]
        await lab.post(ask())
        lab.upstream.script = last
        received = await (
            lab.raw_events(ask(tools=TOOLS)) if dialect == "messages" else responses(lab)
        )
        end = events_of(received)[-1]
        error = end["error"] if dialect == "messages" else end["response"]["error"]
        assert end["type"] == ("error" if dialect == "messages" else "response.failed")
        assert "did not come back" in error["message"]


async def test_a_client_that_goes_while_it_waits_is_asked_nothing_for(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(**QUICK)
    assert (await lab.post(ask()))[0] == 200
    port = lab.upstream.port
    await lab.upstream.__aexit__(None, None, None)
    asked = asyncio.create_task(lab.raw_events(ask()))
    await waiting_for(lab, 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: len(logged(lab)) == 2, "the log")
    assert logged(lab)[1]["resume"] == "client_gone"
    assert logged(lab)[1]["disconnected"]
    async with ScriptedVllm([Turn(text="back")], port=port) as again:
        assert (await lab.post(ask("now")))[1]["content"][0]["text"] == "back"
        assert len(again.chats) == 1


async def waiting_for(lab: Lab, count: int) -> None:
    async with asyncio.timeout(10):
        while json.loads(await health(lab))["running"] < count:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("settings", "chats"), [({"resume_tries": 2}, 3), ({"resume_tokens": 2}, 1)]
)
async def test_it_is_not_asked_for_ever(
    start_lab: StartLab, settings: dict[str, int], chats: int
) -> None:
    lab = await start_lab(script=Model(5, 5, 5, 5, 5), **settings)
    events = await lab.events(ask(tools=TOOLS))
    assert (events[-1]["type"], events[-1]["error"]["type"]) == ("error", "api_error")
    assert len(lab.upstream.chats) == chats
    await until(lambda: bool(logged(lab)), "the log")
    assert resumed(lab) == [(chats - 1, "gave_up")]


async def test_text_that_the_template_cannot_continue_ends_with_an_error(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(
        script=Model(10),
        refuses=lambda body: "not this template" if body.get("continue_final_message") else "",
    )
    assert (await lab.events(ask(tools=TOOLS)))[-1]["type"] == "error"
    # Thinking is thought again all the same.
    lab.upstream.script = Model(3)
    assert read_stream(await lab.raw_events(ask(tools=TOOLS))).joined("text") == TEXT


async def test_an_answer_of_a_given_form_is_not_continued(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text='{"a": 1, "b": 2}', die_after_chunks=3))
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert (await lab.events(ask(output_config=form)))[-1]["type"] == "error"
    assert len(lab.upstream.chats) == 1


@pytest.mark.parametrize("status", [502, 503, 404])
async def test_an_engine_that_refuses_for_a_moment_is_asked_again(
    start_lab: StartLab, status: int
) -> None:
    lab = await start_lab(Turn(http_error=HttpError(status=status)), Turn(text="well"))
    code, body, _ = await lab.post(ask())
    assert (code, body["content"][0]["text"]) == (200, "well")
    await until(lambda: bool(logged(lab)), "the log")
    assert len(logged(lab)) == 1


@pytest.mark.parametrize(
    ("given", "continuing", "pieces", "expected"),
    [
        (Delivered(text="one "), True, [" two"], "two"),
        (Delivered(text="one \n"), True, [" ", "\n", "two"], "two"),
        (Delivered(text="one"), True, [" two", " three"], " two three"),
        (Delivered(text="one\n"), True, ["\n\ntwo"], "\ntwo"),
        (Delivered(thinking="one two"), False, ["one", " two", " three"], " three"),
        (Delivered(thinking="one two"), False, ["one two three"], " three"),
        (Delivered(thinking="one two"), False, ["one", " tree"], "\n\nree"),
        (Delivered(thinking="one"), False, ["else"], "\n\nelse"),
    ],
)
async def test_what_the_client_has_is_not_written_twice(
    given: Delivered, continuing: bool, pieces: list[str], expected: str
) -> None:
    overlap = Overlap(given, continuing=continuing)
    kind: Any = "text" if continuing else "thinking"
    assert "".join(overlap.new(kind, piece) for piece in pieces) == expected


@pytest.mark.parametrize("end", ["2", "3"])
def test_a_call_that_is_made_again_is_compared_once(end: str) -> None:
    class Unread(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            if len(self) < len(fragments):
                raise AssertionError("what came before was read again")
            return super().__iter__()

    fragments = ['{"a": [', *["1, "] * 500]
    stream = make_stream()
    events = stream.feed(chunk(tool_calls=[call(0, name="look", id="x")]))
    for fragment in [*fragments, "2"]:
        events += stream.feed(chunk(tool_calls=[call(0, fragment)]))
    stream.rewind(continuing=False)
    stream._calls._again = Unread()
    events += stream.feed(chunk(tool_calls=[call(0, name="look", id="y")]))
    for fragment in fragments:
        assert stream.feed(chunk(tool_calls=[call(0, fragment)])) == b""
    events += stream.feed(chunk(tool_calls=[call(0, f"{end}]}}")]))
    events += stream.feed(CALLS) + stream.finish()
    *half, whole = read_stream(events).blocks
    assert whole.content == "".join(fragments) + end + "]}"
    assert len(half) == (0 if end == "2" else 1)


def test_what_came_of_a_call_before_the_engine_broke_again_is_forgotten() -> None:
    stream = make_stream()
    events = stream.feed(chunk(tool_calls=[call(0, '{"a": "long', name="look", id="x")]))
    for _ in range(2):
        stream.rewind(continuing=False)
        assert stream.feed(chunk(tool_calls=[call(0, '{"a": ', name="look", id="x")])) == b""
    events += stream.feed(chunk(tool_calls=[call(0, '"long"}')]))
    events += stream.feed(CALLS) + stream.finish()
    (block,) = read_stream(events).blocks
    assert block.content == '{"a": "long"}'
