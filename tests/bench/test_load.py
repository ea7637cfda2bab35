"""Sessions driven against a scripted engine."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from autosre_lab.bench.arrivals import Arrivals, parse_arrivals
from autosre_lab.bench.load import run_load
from autosre_lab.bench.workload import Session, SessionTurn
from autosre_lab.proxy.messages.claude_code import AGENT_HEADER, SESSION_HEADER
from autosre_lab.scripted.chat_engine import HttpError, ScriptedVllm, ToolCall
from autosre_lab.scripted.chat_engine import Turn as Answer
from tests.bench.sessions import WEATHER, session, target_at, workload

HEADERS = (SESSION_HEADER, AGENT_HEADER)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_live_history_holds_what_the_server_said() -> None:
    async with ScriptedVllm([Answer(text="first answer"), Answer(text="second")]) as upstream:
        run = await run_load(
            workload(session("s", "one", "two")), target_at(upstream.url), Arrivals()
        )
        sent = upstream.requests[1].body["messages"]
    assert [timing.turn for timing in run.timings] == [0, 1]
    assert [one["role"] for one in sent] == ["system", "user", "assistant", "user"]
    assert sent[2]["content"] == "first answer"
    assert all(timing.output_tokens for timing in run.timings)


async def test_a_scripted_history_is_the_same_on_every_run() -> None:
    turns = (
        SessionTurn(text="look", max_tokens=8, answer="I look.", tool="weather"),
        SessionTurn(text="sunny", max_tokens=8),
    )
    one = Session(id="s", system="x", turns=turns, tools=(WEATHER,))
    async with ScriptedVllm([Answer(text="whatever"), Answer(text="ok")]) as upstream:
        await run_load(workload(one, history="scripted"), target_at(upstream.url), Arrivals())
        sent = upstream.requests[1].body["messages"]
    assert sent[-2]["tool_calls"][0]["function"]["name"] == "weather"
    assert sent[-1] == {"role": "tool", "tool_call_id": "toolu_s_0", "content": "sunny"}


async def test_a_call_of_the_live_answer_gets_the_turns_text_as_its_result() -> None:
    called = Answer(tool_calls=[ToolCall(name="weather", arguments='{"city":"Rome"}', id="c1")])
    async with ScriptedVllm([called, Answer(text="ok")]) as upstream:
        one = Session(
            id="s",
            system="x",
            tools=(WEATHER,),
            turns=(SessionTurn(text="go", max_tokens=8), SessionTurn(text="sunny", max_tokens=8)),
        )
        run = await run_load(workload(one), target_at(upstream.url), Arrivals())
        sent = upstream.requests[1].body["messages"]
    assert run.timings[0].ttfa_s is not None
    assert json.loads(sent[-2]["tool_calls"][0]["function"]["arguments"]) == {"city": "Rome"}
    assert sent[-1]["content"] == "sunny"


async def test_a_failure_is_kept_and_ends_its_session_only() -> None:
    answers = [Answer(http_error=HttpError(status=503)), Answer(text="ok"), Answer(text="ok")]
    async with ScriptedVllm(answers) as upstream:
        run = await run_load(
            workload(session("a", "1", "2", "3"), session("b", "1", "2")),
            target_at(upstream.url),
            Arrivals(),
        )
    assert [(one.session, one.failed) for one in run.timings] == [
        ("a", True),
        ("b", False),
        ("b", False),
    ]
    assert run.timings[0].status == 503
    assert run.timings[0].error.startswith("HTTP 503")
    assert run.unsent == 2


async def test_a_stream_that_stops_early_is_a_failure() -> None:
    async with ScriptedVllm([Answer(text="a b c d e", die_after_chunks=3)]) as upstream:
        run = await run_load(workload(), target_at(upstream.url), Arrivals())
    assert run.timings[0].failed
    assert run.timings[0].e2el_s is None


async def test_nobody_there_is_a_failure_with_its_reason() -> None:
    run = await run_load(workload(), target_at("http://127.0.0.1:9"), Arrivals())
    assert run.timings[0].status == 0
    assert "127.0.0.1" in run.timings[0].error


async def test_a_closed_loop_never_has_more_requests_under_way_than_users() -> None:
    sessions = [session(str(n)) for n in range(9)]
    answers = [Answer(text="a b c", chunk_interval_s=0.01)] * 9
    async with ScriptedVllm(answers) as upstream:
        run = await run_load(
            workload(*sessions), target_at(upstream.url), parse_arrivals("closed:3")
        )
    assert len(run.timings) == 9
    moments = sorted(
        [(one.sent_ns, 1) for one in run.timings] + [(one.ended_ns or 0, -1) for one in run.timings]
    )
    under_way = most = 0
    for _, step in moments:
        under_way += step
        most = max(most, under_way)
    assert most == 3


async def test_an_open_loop_sends_on_time_whatever_the_server_does() -> None:
    answers = [Answer(text="a", headers_delay_s=0.3)] * 5
    async with ScriptedVllm(answers) as upstream:
        run = await run_load(
            workload(*(session(str(n)) for n in range(5))),
            target_at(upstream.url),
            parse_arrivals("constant:50"),
        )
    due = sorted(one.scheduled_ns - run.started_ns for one in run.timings)
    assert due == [round(n * 0.02 * 1e9) for n in range(5)]
    last_sent = max(one.sent_ns for one in run.timings)
    first_end = min(one.ended_ns or 0 for one in run.timings)
    assert last_sent < first_end
    assert all(one.dispatch_delay_s >= 0 for one in run.timings)


async def test_a_subagent_runs_when_its_parents_turn_has_ended_and_the_parent_waits() -> None:
    parent = session("parent", "one", "two")
    child = session("child", parent="parent", after_turn=0)
    async with ScriptedVllm([Answer(text="ok")] * 3) as upstream:
        run = await run_load(workload(parent, child), target_at(upstream.url), Arrivals())
    assert [one.session for one in run.timings] == ["parent", "child", "parent"]


async def test_requests_of_the_first_seconds_are_marked_as_warm_up() -> None:
    async with ScriptedVllm([Answer(text="ok")] * 4) as upstream:
        run = await run_load(
            workload(*(session(str(n)) for n in range(4))),
            target_at(upstream.url),
            parse_arrivals("constant:20"),
            warmup_s=0.075,
        )
    marks = {one.session: one.warmup for one in run.timings}
    assert marks == {"0": True, "1": True, "2": False, "3": False}


async def test_nothing_is_started_after_the_duration() -> None:
    async with ScriptedVllm([Answer(text="ok")] * 10) as upstream:
        run = await run_load(
            workload(*(session(str(n), "a", "b") for n in range(5))),
            target_at(upstream.url),
            parse_arrivals("constant:10"),
            duration_s=0.25,
        )
    started = {one.session for one in run.timings}
    assert started == {"0", "1", "2"}
    assert len(run.timings) + run.cut == 10
    assert run.unsent == 0


async def test_sessions_and_subagents_say_who_they_are_as_claude_code_does() -> None:
    # Without ids the proxy counted every turn's prompt again: 18.4 ms instead of 0.18.
    parent = session("a", "one", "two")
    agent = session("a-agent", "three", parent="a")
    inner = session("a-agent-agent", "four", parent="a-agent")
    work = workload(parent, agent, inner, session("b", "five"))
    asked: list[dict[str, str | None]] = []
    app = web.Application()

    async def messages(request: web.Request) -> web.Response:
        text = (await request.json())["messages"][-1]["content"]
        asked.append({"text": text} | {name: request.headers.get(name) for name in HEADERS})
        events = [
            {"type": "content_block_delta", "index": 0, "delta": {"text": "ok"}},
            {"type": "message_stop"},
        ]
        body = "".join(f"data: {json.dumps(one)}\n\n" for one in events)
        return web.Response(text=body, content_type="text/event-stream")

    app.router.add_post("/v1/messages", messages)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        target = target_at(f"http://127.0.0.1:{runner.addresses[0][1]}", "messages")
        for _ in range(2):
            run = await run_load(work, target, Arrivals())
            assert [one.error for one in run.timings] == [""] * 5
    finally:
        await runner.cleanup()
    told = [{one["text"]: one for one in half} for half in (asked[:5], asked[5:])]
    session_id, agent_id = HEADERS
    for one in told:
        assert len({one[text][session_id] for text in ("one", "two", "three", "four")}) == 1
        assert one["five"][session_id] != one["one"][session_id]
        assert [one[text][agent_id] for text in ("one", "two", "five")] == [None] * 3
        assert one["three"][agent_id] != one["four"][agent_id]
        assert all(one[text][agent_id] for text in ("three", "four"))
    assert told[0]["one"][session_id] != told[1]["one"][session_id], "new in each run"
