"""The WebSocket: the same answers, continued by what is new only."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from autosre_lab.proxy import ProxyConfig, read_request_log, running_proxy
from autosre_lab.scripted.chat_engine import HttpError, ScriptedVllm, ToolCall, Turn
from tests.proxy.conftest import Lab, StartLab
from tests.proxy.responses.bodies import FUNCTION, ask, result, said_by
from tests.proxy.responses.reading import ENDS, Read, read_stream
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"
Socket = aiohttp.ClientWebSocketResponse


async def send(socket: Socket, *items: Any, **fields: Any) -> None:
    await socket.send_json({"type": "response.create", **ask(*items, **fields)})


async def receive(socket: Socket) -> Read:
    """Read one response, as strictly as one over HTTP."""
    events = b""
    while True:
        frame = await socket.receive_str()
        kind = json.loads(frame)["type"]
        events += f"event: {kind}\ndata: {frame}\n\n".encode()
        if kind in ENDS:
            return read_stream(events)


async def create(socket: Socket, *items: Any, **fields: Any) -> Read:
    await send(socket, *items, **fields)
    return await receive(socket)


async def refused(socket: Socket, *items: Any, **fields: Any) -> dict[str, Any]:
    await send(socket, *items, **fields)
    event: dict[str, Any] = await socket.receive_json()
    assert event["type"] == "error"
    return event


def sent(lab: Lab, at: int) -> list[Any]:
    return [message["content"] for message in lab.upstream.chats[at].body["messages"]]


async def test_a_turn_continues_the_one_before_with_what_is_new(start_lab: StartLab) -> None:
    call = ToolCall(name="look", arguments='{"path":"a.txt"}')
    lab = await start_lab(Turn(text="I look.", tool_calls=[call]), Turn(text="Done."))
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        first = await create(socket, "Hi", tools=[FUNCTION])
        before = first.last["response"]["id"]
        output = result(first.items[1]["call_id"], "found")
        second = await create(socket, output, tools=[FUNCTION], previous_response_id=before)
    assert second.items[0]["content"][0]["text"] == "Done."
    assert second.last["response"]["previous_response_id"] == before
    one, two = (chat.body["messages"] for chat in lab.upstream.chats)
    assert two[: len(one)] == one
    assert two[1]["tool_calls"][0]["function"]["arguments"] == call.arguments
    assert two[2] == {"role": "tool", "tool_call_id": first.items[1]["call_id"], "content": "found"}


async def test_a_warm_up_is_prefilled_says_nothing_and_is_continued(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Nobody hears this."), Turn(text="Hello."))
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        warm = await create(socket, said_by("developer", "rules"), tools=[FUNCTION], generate=False)
        assert (warm.items, warm.last["response"]["output"]) == ([], [])
        before = warm.last["response"]["id"]
        turn = await create(socket, "Hi", tools=[FUNCTION], previous_response_id=before)
    assert turn.items[0]["content"][0]["text"] == "Hello."
    warming, asking = (chat.body for chat in lab.upstream.chats)
    assert warming["max_completion_tokens"] == 1
    assert warming["tools"] == asking["tools"]
    assert warming["messages"][0] == asking["messages"][0] == {"role": "system", "content": "rules"}
    # Templates insist on a question.
    assert warming["messages"][1]["role"] == "user"
    assert sent(lab, 1) == ["rules", "Hi"]


async def test_turns_on_one_connection_need_not_belong_together(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello."))
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        await send(socket, "one")
        await send(socket, "two")
        ids = {(await receive(socket)).last["response"]["id"] for _ in range(2)}
    assert len(ids) == 2
    assert (sent(lab, 0), sent(lab, 1)) == (["one"], ["two"])


async def test_a_conversation_is_its_connections_alone(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello."))
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        before = (await create(socket, "Hi")).last["response"]["id"]
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        event = await refused(socket, "Go on", previous_response_id=before)
        assert event["status"] == 400
        assert event["error"]["code"] == "previous_response_not_found"
        # The client sends everything then, on the same connection.
        assert (await create(socket, "Hi", "Go on")).items


async def test_what_failed_is_not_continued(start_lab: StartLab) -> None:
    lab = await start_lab(
        Turn(text="Hello."), Turn(text="one two three", die_after_chunks=2), Turn(text="On.")
    )
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        before = (await create(socket, "Hi")).last["response"]["id"]
        failed = await create(socket, "Go on", previous_response_id=before)
        assert failed.last["type"] == "response.failed"
        event = await refused(socket, "Go on", previous_response_id=before)
        assert event["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize(
    ("turn", "window", "status", "code", "waits"),
    [
        (Turn(http_error=HttpError(status=429)), 262_144, 429, "rate_limit_exceeded", True),
        (Turn(http_error=HttpError(status=503)), 262_144, 503, None, True),
        (Turn(text="Hello."), 1024, 400, "context_length_exceeded", False),
    ],
)
async def test_a_refusal_has_the_status_and_the_headers_of_http(
    start_lab: StartLab, turn: Turn, window: int, status: int, code: str | None, waits: bool
) -> None:
    lab = await start_lab(turn, max_model_len=window)
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        event = await refused(socket, "long " * 2000)
    assert (event["status"], event["error"]["code"]) == (status, code)
    assert ("retry-after" in event.get("headers", {})) == waits


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ('{"type":"session.update"}', "unknown_event_type"),
        ("{}", "unknown_event_type"),
        ('{"type":"response.create"}', None),
        ('{"type":"response.create","model":"m","input":7}', None),
        ('{"type":"response.create","model":"m","input":"Hi","background":true}', None),
    ],
)
async def test_a_bad_frame_is_told_and_the_connection_stays(
    start_lab: StartLab, frame: str, code: str | None
) -> None:
    lab = await start_lab()
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        await socket.send_str(frame)
        event = await socket.receive_json()
        assert (event["type"], event["status"], event["error"]["code"]) == ("error", 400, code)
        assert (await create(socket, "Hi")).items


async def test_a_client_that_goes_ends_the_engines_work(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(hold=True))
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        await send(socket, "Hi")
        await until(lambda: lab.upstream.running == 1, "the engine's start")
    await until(lambda: lab.upstream.disconnects == 1, "the engine's end")


async def test_a_second_sending_on_a_new_connection_replaces_the_first(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(hold=True), Turn(text="Hello."))
    headers = {"session-id": "s"}
    async with (
        lab.http.ws_connect(lab.url + PATH, headers=headers) as first,
        lab.http.ws_connect(lab.url + PATH, headers=headers) as second,
    ):
        await send(first, "Hi")
        await until(lambda: lab.upstream.running == 1, "the first one's start")
        assert (await create(second, "Hi")).items
        while (message := await first.receive()).type is aiohttp.WSMsgType.TEXT:
            assert json.loads(message.data)["type"] not in ENDS
        assert message.type is aiohttp.WSMsgType.CLOSE


async def test_a_frame_says_itself_what_it_is_for(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello."))
    handshake = {"session-id": "s", "x-codex-turn-metadata": '{"request_kind":"prewarm"}'}
    said = {"thread_id": "t", "x-codex-turn-metadata": '{"request_kind":"compaction"}'}
    async with lab.http.ws_connect(lab.url + PATH, headers=handshake) as socket:
        await create(socket, "Hi")
        await create(socket, "Hi", client_metadata=said)
    await until(lambda: len(lab.log_path.read_text().splitlines()) == 2, "two lines in the log")
    log = read_request_log(lab.log_path)
    assert list(log["kind"]) == ["main", "compaction"]
    assert list(log["session"]) == ["s", "s"]


async def test_a_proxy_that_ends_says_so() -> None:
    async with ScriptedVllm([Turn(text="Hello.")]) as engine, aiohttp.ClientSession() as http:
        async with running_proxy(ProxyConfig(upstream=engine.url, port=0)) as url:
            socket = await http.ws_connect(url + PATH)
            assert (await create(socket, "Hi")).items
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)


async def test_a_page_and_a_stranger_get_no_connection(start_lab: StartLab) -> None:
    lab = await start_lab(token="right")
    right = {"authorization": "Bearer right"}
    for headers, status in (({}, 401), ({**right, "origin": "https://evil.example"}, 403)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await lab.http.ws_connect(lab.url + PATH, headers=headers)
        assert refused.value.status == status
    async with lab.http.ws_connect(lab.url + PATH, headers=right) as socket:
        assert (await create(socket, "Hi")).items


async def test_get_without_an_upgrade_says_what_it_is_for(start_lab: StartLab) -> None:
    lab = await start_lab()
    async with lab.http.get(lab.url + PATH) as response:
        assert response.status == 426
        assert "WebSocket" in (await response.json())["error"]["message"]
