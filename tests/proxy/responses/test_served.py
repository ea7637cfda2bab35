"""The Responses API over HTTP: a real proxy, the scripted engine, and OpenAI's SDK as reader."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from autosre_lab.proxy import read_request_log
from autosre_lab.scripted.chat_engine import HttpError, ToolCall, Turn
from tests.proxy.conftest import Lab, StartLab
from tests.proxy.responses.bodies import FUNCTION, ask, recorded, said_by
from tests.proxy.responses.reading import read_stream
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"


def client(lab: Lab) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{lab.url}/v1", api_key="a-token", max_retries=0)


async def events(lab: Lab, body: dict[str, Any], **headers: str) -> bytes:
    data = json.dumps({**body, "stream": True}).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with lab.http.post(lab.url + PATH, data=data, headers=sent) as response:
        received = await response.read()
        assert response.status == 200, received
    return received


async def test_the_sdk_reads_a_stream_with_a_call(start_lab: StartLab) -> None:
    call = ToolCall(name="look", arguments='{"path":"a.txt"}')
    lab = await start_lab(Turn(thinking="hm", text="I look.", tool_calls=[call]))
    asked: Any = {"model": "any", "input": "Hi", "tools": [FUNCTION]}
    async with client(lab) as sdk, sdk.responses.stream(**asked) as stream:
        final = await stream.get_final_response()
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.output_text == "I look."
    assert final.output[2].model_dump()["arguments"] == '{"path":"a.txt"}'
    assert final.status == "completed"


async def test_the_sdk_reads_a_whole_answer(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello."))
    async with client(lab) as sdk:
        answer = await sdk.responses.create(model="any", input="Hi", metadata={"a": "b"})
    assert answer.output_text == "Hello."
    assert answer.metadata == {"a": "b"}
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


async def test_no_limit_is_sent_where_none_was_asked_for(start_lab: StartLab) -> None:
    lab = await start_lab()
    await lab.post(ask("Hi"), PATH)
    await lab.post(ask("Hi", max_output_tokens=7), PATH)
    limits = [chat.body.get("max_completion_tokens") for chat in lab.upstream.chats]
    assert limits == [None, 7]


async def test_a_prompt_beyond_the_window_is_told_with_its_count(start_lab: StartLab) -> None:
    lab = await start_lab(max_model_len=2048)
    status, body, _ = await lab.post(ask("long " * 4000), PATH)
    assert status == 400
    assert body["error"]["code"] == "context_length_exceeded"
    assert "2048" in body["error"]["message"]
    assert not lab.upstream.chats


async def test_a_prompt_is_counted(start_lab: StartLab) -> None:
    lab = await start_lab()
    status, body, _ = await lab.post(ask("Hi"), f"{PATH}/input_tokens")
    assert status == 200
    assert body["object"] == "response.input_tokens"
    assert body["input_tokens"] > 0


@pytest.mark.parametrize(
    ("turn", "status", "waits"),
    [
        (Turn(http_error=HttpError(status=503)), 503, True),
        (Turn(http_error=HttpError(status=429)), 429, True),
        (Turn(http_error=HttpError(status=500)), 400, False),
        (Turn(http_error=HttpError(status=400)), 400, False),
    ],
)
async def test_what_may_pass_has_a_time_to_wait_and_nothing_is_a_bare_500(
    start_lab: StartLab, turn: Turn, status: int, waits: bool
) -> None:
    lab = await start_lab(turn)
    answered, body, headers = await lab.post(ask("Hi"), PATH)
    assert answered == status
    assert ("retry-after" in headers) == waits
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"model":"m","input":7}',
        b'{"input":"Hi"}',
        b'{"model":"m","background":true}',
    ],
)
async def test_what_is_no_request_is_400_in_openais_form(start_lab: StartLab, body: bytes) -> None:
    lab = await start_lab()
    status, answer, _ = await lab.post(body, PATH)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
async def test_what_would_have_to_be_stored_is_refused_and_not_forgotten(
    start_lab: StartLab, fields: dict[str, Any]
) -> None:
    lab = await start_lab()
    status, answer, _ = await lab.post({**ask("Hi"), **fields}, PATH)
    assert status == 400
    assert "stored" in answer["error"]["message"]
    assert not lab.upstream.chats


async def test_a_broken_answer_is_a_failed_response(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello there, friend.", die_after_chunks=2))
    read = read_stream(await events(lab, ask("Hi")))
    assert read.last["type"] == "response.failed"


async def test_a_slow_prefill_is_kept_alive_by_events(start_lab: StartLab) -> None:
    lab = await start_lab(
        Turn(text="Hello.", headers_delay_s=0.6), keepalive_after_s=0.1, keepalive_every_s=0.1
    )
    read = read_stream(await events(lab, ask("Hi")))
    alive = [one for one in read.events if one["type"] == "response.in_progress"]
    assert len(alive) > 2
    assert read.items[0]["content"][0]["text"] == "Hello."


async def test_a_compaction_is_prefilled_with_the_threads_tools(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="A summary."))
    turn, compaction = recorded("compaction")[:2]
    for one in (turn, compaction):
        await events(lab, one["body"], **one["headers"])
    first, second = (chat.body for chat in lab.upstream.chats)
    assert second["tools"] == first["tools"]
    assert second["tool_choice"] == "none"
    shared = first["messages"]
    assert second["messages"][: len(shared)] == shared


async def test_a_trigger_is_answered_with_one_compaction_that_is_read_later(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(Turn(text="So far."), Turn(text="On."))
    read = read_stream(await events(lab, ask("Hi", {"type": "compaction_trigger"})))
    (item,) = read.items
    assert item["type"] == "compaction"
    await events(lab, ask(item, "Go on"))
    assert lab.upstream.chats[1].body["messages"][0] == {"role": "user", "content": "So far."}


async def test_a_second_sending_replaces_the_first_though_its_metadata_is_shuffled(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(Turn(hold=True), Turn(text="Hello."))
    one, other = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    first = asyncio.create_task(events(lab, ask("Hi", client_metadata=one), session_id="s"))
    await until(lambda: lab.upstream.running == 1, "the first one's start")
    read = read_stream(await events(lab, ask("Hi", client_metadata=other), session_id="s"))
    assert read.items
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await until(lambda: lab.upstream.disconnects == 1, "the first one's end")


async def test_the_log_knows_what_codex_asks_for(start_lab: StartLab) -> None:
    lab = await start_lab()
    title = {"x_codex_turn_metadata": '{"thread_source":"thread_title"}', "session_id": "t"}
    child = {"x_openai_subagent": "collab_spawn", "session_id": "s", "thread_id": "child"}
    await events(lab, ask("Hi"), session_id="s", thread_id="s")
    await events(lab, ask("Hi"), **child)
    await events(lab, ask("Hi"), **title)
    # A thread of its own writes the lines.
    await until(lambda: len(lab.log_path.read_text().splitlines()) == 3, "three lines in the log")
    log = read_request_log(lab.log_path)
    assert list(log["kind"]) == ["main", "subagent", "background"]
    assert list(log["session"]) == ["s", "s", "t"]
    assert list(log["agent"]) == ["", "child", ""]


async def test_the_catalogue_is_the_served_model(start_lab: StartLab) -> None:
    lab = await start_lab(max_model_len=32_768)
    async with lab.http.get(f"{lab.url}/codex/models?client_version=0.171.0") as response:
        (model,) = (await response.json())["models"]
    assert (model["slug"], model["context_window"]) == ("scripted-model", 32_768)
    assert model["apply_patch_tool_type"] == "freeform"


async def test_both_apis_are_served_and_each_speaks_its_own_errors(start_lab: StartLab) -> None:
    lab = await start_lab(token="right")
    _, anthropics, _ = await lab.post({}, "/v1/messages")
    _, openais, _ = await lab.post({}, PATH)
    assert anthropics["type"] == "error"
    assert openais["error"]["code"] == "invalid_api_key"


async def test_a_developer_message_in_the_middle_reaches_the_model(start_lab: StartLab) -> None:
    lab = await start_lab()
    await events(lab, ask("Hi", said_by("assistant", "Yes?"), said_by("developer", "news"), "Go"))
    contents = [message["content"] for message in lab.upstream.chats[0].body["messages"]]
    assert contents == ["Hi", "Yes?", "news", "Go"]


@pytest.mark.parametrize("nothing", [[], None, [said_by("system", "")]])
async def test_an_input_without_a_message_is_refused(start_lab: StartLab, nothing: Any) -> None:
    lab = await start_lab()
    status, answer, _ = await lab.post({"model": "any", "input": nothing}, PATH)
    assert (status, answer["error"]["message"]) == (400, "The input holds no message.")
    assert lab.upstream.chats == []
