"""Slow engines, clients that go away, clients that ask again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from autosre_lab.proxy import read_request_log
from autosre_lab.scripted.chat_engine import HttpError, Turn
from tests.proxy.conftest import StartLab, ask
from tests.proxy.event_grammar import events_of, read_stream
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

QUICK = {"keepalive_after_s": 0.05, "keepalive_every_s": 0.05}


async def test_silence_is_filled_with_empty_thinking_and_the_true_count(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(Turn(text="at last", first_chunk_delay_s=0.4), **QUICK)
    received = await lab.raw_events(ask())
    read_stream(received)
    events = events_of(received)
    _, counted, _ = await lab.post(
        {"model": "m", "messages": ask()["messages"]}, "/v1/messages/count_tokens"
    )
    assert events[0]["message"]["usage"]["input_tokens"] == counted["input_tokens"]
    thinking = [e for e in events if e.get("delta", {}).get("type") == "thinking_delta"]
    assert len(thinking) >= 3
    assert {delta["delta"]["thinking"] for delta in thinking} == {""}
    text = [e["delta"]["text"] for e in events if e.get("delta", {}).get("type") == "text_delta"]
    assert "".join(text) == "at last"


async def test_silence_before_the_status_line_is_filled_too(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="at last", headers_delay_s=0.4), **QUICK)
    received = await lab.raw_events(ask())
    read_stream(received)
    events = events_of(received)
    assert sum(e.get("delta", {}).get("type") == "thinking_delta" for e in events) >= 3


async def test_a_stall_in_the_middle_of_the_text_is_filled(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="one two", chunk_interval_s=0.3), **QUICK)
    received = await lab.raw_events(ask())
    read_stream(received)
    events = events_of(received)
    texts = [e["delta"]["text"] for e in events if e.get("delta", {}).get("type") == "text_delta"]
    assert "".join(texts) == "one two"
    assert "" in texts


async def test_an_engine_that_fails_before_the_first_sign_of_life_keeps_its_status(
    start_lab: StartLab,
) -> None:
    turn = Turn(http_error=HttpError(status=500))
    lab = await start_lab(turn)
    status, body, _ = await lab.post(ask(stream=True))
    assert (status, body["error"]["type"]) == (500, "api_error")


async def test_an_engine_that_fails_after_it_ends_the_stream_with_an_error_event(
    start_lab: StartLab,
) -> None:
    turn = Turn(headers_delay_s=0.3, http_error=HttpError(status=500))
    lab = await start_lab(turn, **QUICK)
    events = await lab.events(ask())
    assert events[0]["type"] == "message_start"
    assert (events[-1]["type"], events[-1]["error"]["type"]) == ("error", "api_error")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("stage", ["headers", "prefill", "middle"])
async def test_a_client_that_goes_away_ends_the_engines_work(
    start_lab: StartLab, stream: bool, stage: str
) -> None:
    turn = Turn(
        text="one two three",
        headers_delay_s=60 if stage == "headers" else 0,
        first_chunk_delay_s=60 if stage == "prefill" else 0,
        hold=stage == "middle",
    )
    lab = await start_lab(turn)
    data = json.dumps(ask(stream=stream)).encode()
    async with aiohttp.ClientSession() as client:

        async def read() -> bytes:
            async with client.post(f"{lab.url}/v1/messages", data=data) as response:
                return await response.read()

        request = asyncio.create_task(read())
        await until(lambda: lab.upstream.running == 1, "the engine's start")
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await until(lambda: lab.upstream.running == 0, "the engine's end")
    assert lab.upstream.disconnects == 1
    await until(lambda: bool(lab.log_path.read_text()), "a line in the log")
    record = read_request_log(lab.log_path).iloc[0]
    assert record["disconnected"]


async def test_a_re_send_ends_the_first_and_is_answered(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="never read", hold=True), Turn(text="the second"))
    first = asyncio.create_task(lab.events(ask(), x_claude_code_session_id="s"))
    await until(lambda: lab.upstream.running == 1, "the first one's start")
    # Claude Code's second try has no `stream` key.
    status, body, _ = await lab.post(ask(), x_claude_code_session_id="s")
    assert (status, body["content"][0]["text"]) == (200, "the second")
    assert (lab.upstream.disconnects, lab.upstream.running) == (1, 0)
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], Exception)
    await until(lambda: len(read_request_log(lab.log_path)) == 2, "two lines in the log")
    assert list(read_request_log(lab.log_path)["resend"]) == [False, True]


@pytest.mark.parametrize(
    "headers",
    [
        ({}, {}),
        ({"x_claude_code_session_id": "s"}, {"x_claude_code_session_id": "t"}),
        (
            {"x_claude_code_session_id": "s", "x_claude_code_agent_id": "a"},
            {"x_claude_code_session_id": "s", "x_claude_code_agent_id": "b"},
        ),
    ],
)
async def test_equal_requests_of_others_are_not_re_sends(
    start_lab: StartLab, headers: tuple[dict[str, str], dict[str, str]]
) -> None:
    lab = await start_lab(Turn(text="both", chunk_interval_s=0.1))
    both = [asyncio.create_task(lab.events(ask(), **one)) for one in headers]
    for events in await asyncio.gather(*both):
        assert events[-1]["type"] == "message_stop"
    assert lab.upstream.disconnects == 0


@pytest.mark.parametrize("first_chunk_delay_s", [0.0, 0.12, 0.2])
async def test_nothing_overtakes_or_is_lost_while_the_status_line_waits(
    start_lab: StartLab, monkeypatch: pytest.MonkeyPatch, first_chunk_delay_s: float
) -> None:
    prepare = web.StreamResponse.prepare

    async def slow(self: web.StreamResponse, request: web.BaseRequest) -> Any:
        if request.path == "/v1/messages":
            await asyncio.sleep(0.4)
        return await prepare(self, request)

    monkeypatch.setattr(web.StreamResponse, "prepare", slow)
    turn = Turn(
        text="one two three", first_chunk_delay_s=first_chunk_delay_s, chunk_interval_s=0.05
    )
    lab = await start_lab(turn, keepalive_after_s=0.05, keepalive_every_s=0.05)
    whole = read_stream(await lab.raw_events(ask()))
    assert whole.joined("text") == "one two three"
