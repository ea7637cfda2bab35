"""Stored responses over HTTP: continued, shown, listed, deleted, cancelled; and off by default."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import openai
import pytest

from autosre_lab.scripted.chat_engine import HttpError, ToolCall, Turn
from tests.proxy.conftest import Lab, StartLab
from tests.proxy.responses.bodies import FUNCTION, ask, result
from tests.proxy.responses.test_socket import create
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"
MISSING = f"{PATH}/resp_{'0' * 24}"


async def get(lab: Lab, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    async with lab.http.request(method, lab.url + path) as response:
        return response.status, await response.json()


async def created(lab: Lab, body: dict[str, Any]) -> dict[str, Any]:
    status, answer, _ = await lab.post(body, PATH)
    assert status == 200, answer
    return answer


def sent(lab: Lab, at: int) -> list[Any]:
    return [message["content"] for message in lab.upstream.chats[at].body["messages"]]


async def test_a_response_is_continued_without_its_input(
    start_lab: StartLab, tmp_path: Path
) -> None:
    call = ToolCall(name="look", arguments='{"path":"ä"}')
    lab = await start_lab(Turn(text="I look.", tool_calls=[call]), responses_dir=tmp_path / "kept")
    first = await created(lab, ask("Hi", tools=[FUNCTION], instructions="be brief"))
    assert first["store"] is True
    output = result(first["output"][1]["call_id"], "found")
    second = await created(lab, ask(output, tools=[FUNCTION], previous_response_id=first["id"]))
    assert second["previous_response_id"] == first["id"]
    # Instructions belong to one request; the conversation goes on.
    assert sent(lab, 1) == ["Hi", "I look.", "found"]
    assert lab.upstream.chats[1].body["messages"][1]["tool_calls"][0]["function"] == {
        "name": "look",
        "arguments": call.arguments,
    }
    third = await created(lab, {"model": "m", "input": "Go", "previous_response_id": second["id"]})
    assert sent(lab, 2)[:3] == sent(lab, 1)
    status, listed = await get(lab, f"{PATH}/{third['id']}/input_items?order=asc&limit=100")
    assert (status, len(listed["data"])) == (200, 7)


async def test_a_stored_response_is_what_was_answered(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(Turn(thinking="hm", text="Hello."), responses_dir=tmp_path / "kept")
    answer = await created(lab, ask("Hi", metadata={"a": "b"}))
    assert await get(lab, f"{PATH}/{answer['id']}") == (200, answer)


async def test_the_sdk_finds_lists_and_deletes(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(responses_dir=tmp_path / "kept")
    async with openai.AsyncOpenAI(base_url=f"{lab.url}/v1", api_key="x", max_retries=0) as sdk:
        async with sdk.responses.stream(model="m", input="Hi") as stream:
            final = await stream.get_final_response()
        found = await sdk.responses.retrieve(final.id)
        assert found.output_text == final.output_text
        items = [item async for item in sdk.responses.input_items.list(final.id)]
        assert [item.to_dict()["content"] for item in items] == [
            [{"type": "input_text", "text": "Hi"}]
        ]
        await sdk.responses.delete(final.id)
        with pytest.raises(openai.NotFoundError, match="not found"):
            await sdk.responses.retrieve(final.id)
        with pytest.raises(openai.BadRequestError, match="not found"):
            await sdk.responses.create(model="m", input="Hi", previous_response_id=final.id)


async def test_pages_of_input_items(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(responses_dir=tmp_path / "kept")
    answer = await created(lab, ask(*"abcde"))
    path = f"{PATH}/{answer['id']}/input_items"
    _, first = await get(lab, f"{path}?order=asc&limit=2")
    _, second = await get(lab, f"{path}?order=asc&limit=9&after={first['last_id']}")
    texts = [one["content"][0]["text"] for one in first["data"] + second["data"]]
    assert texts == list("abcde")
    assert (first["has_more"], second["has_more"]) == (True, False)
    _, newest = await get(lab, f"{path}?limit=1")
    assert newest["data"][0]["content"][0]["text"] == "e"
    for wrong in ("limit=0", "limit=101", "limit=x", "after=unknown"):
        status, _ = await get(lab, f"{path}?{wrong}")
        assert status == 400


async def test_an_item_is_put_in_for_its_reference(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(Turn(text="Hello."), responses_dir=tmp_path / "kept")
    item = (await created(lab, ask("Hi")))["output"][0]
    await created(lab, ask("Hi", {"type": "item_reference", "id": item["id"]}, "Go on"))
    assert sent(lab, 1) == ["Hi", "Hello.", "Go on"]
    unknown = {"type": "item_reference", "id": f"msg_{'0' * 24}_0"}
    status, answer, _ = await lab.post(ask(unknown), PATH)
    assert status == 400
    assert "item_reference" in answer["error"]["message"]


async def test_what_shall_not_be_stored_is_not(start_lab: StartLab, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    lab = await start_lab(responses_dir=folder)
    answer = await created(lab, ask("Hi", store=False))
    assert answer["store"] is False
    assert (await get(lab, f"{PATH}/{answer['id']}"))[0] == 404
    assert not list(folder.iterdir())


async def test_files_are_their_owners_alone(start_lab: StartLab, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    lab = await start_lab(responses_dir=folder)
    answer = await created(lab, ask("Hi"))
    (file,) = folder.iterdir()
    assert file.name == f"{answer['id']}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_stored_response_outlives_the_proxy(start_lab: StartLab, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = await start_lab(Turn(text="Hello."), responses_dir=folder)
    answer = await created(first, ask("Hi"))
    # What a killed proxy was writing is not read.
    (folder / ".resp_00ff00ff.part").write_text('{"response": {"id"', "utf-8")
    second = await start_lab(responses_dir=folder)
    await created(second, ask("Go on", previous_response_id=answer["id"]))
    assert sent(second, 0) == ["Hi", "Hello.", "Go on"]


@pytest.mark.parametrize("content", [b"", b'{"response": {"id"', b"\x00" * 100, b"[]"])
async def test_half_a_file_is_no_response(
    start_lab: StartLab, tmp_path: Path, content: bytes
) -> None:
    folder = tmp_path / "kept"
    lab = await start_lab(responses_dir=folder)
    answer = await created(lab, ask("Hi"))
    (folder / f"{answer['id']}.json").write_bytes(content)
    assert (await get(lab, f"{PATH}/{answer['id']}"))[0] == 404
    status, _, _ = await lab.post(ask("Go", previous_response_id=answer["id"]), PATH)
    assert status == 400


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "resp_", "resp_..", "x" * 500, "%00"])
async def test_an_id_is_never_a_path(start_lab: StartLab, tmp_path: Path, name: str) -> None:
    (tmp_path / "passwd.json").write_text("{}", "utf-8")
    lab = await start_lab(responses_dir=tmp_path / "kept")
    for method in ("GET", "DELETE"):
        status, answer = await get(lab, f"{PATH}/{name}", method)
        assert status == 404
        assert answer["error"]["type"] == "not_found_error"


async def test_in_the_background_it_is_answered_without_anybody_waiting(
    start_lab: StartLab, tmp_path: Path
) -> None:
    lab = await start_lab(Turn(text="Hello."), responses_dir=tmp_path / "kept")
    begun = await created(lab, ask("Hi", background=True))
    assert (begun["status"], begun["background"], begun["output"]) == ("in_progress", True, [])
    path = f"{PATH}/{begun['id']}"
    found = begun
    while found["status"] == "in_progress":
        _, found = await get(lab, path)
    assert (found["status"], found["background"]) == ("completed", True)
    assert found["output"][0]["content"][0]["text"] == "Hello."
    assert (await get(lab, f"{path}/cancel", "POST")) == (200, found)


async def test_cancelled_it_ends_the_engines_work(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(Turn(hold=True), responses_dir=tmp_path / "kept")
    begun = await created(lab, ask("Hi", background=True))
    await until(lambda: lab.upstream.running == 1, "the engine's start")
    path = f"{PATH}/{begun['id']}"
    status, cancelled = await get(lab, f"{path}/cancel", "POST")
    assert (status, cancelled["status"]) == (200, "cancelled")
    await until(lambda: lab.upstream.disconnects == 1, "the engine's end")
    assert await get(lab, path) == (200, cancelled)


async def test_what_fails_in_the_background_says_why(start_lab: StartLab, tmp_path: Path) -> None:
    turn = Turn(http_error=HttpError(status=400, body='{"error":{"message":"not like this"}}'))
    lab = await start_lab(turn, responses_dir=tmp_path / "kept")
    found = await created(lab, ask("Hi", background=True))
    path = f"{PATH}/{found['id']}"
    while found["status"] == "in_progress":
        _, found = await get(lab, path)
    assert found["status"] == "failed"
    assert "not like this" in found["error"]["message"]


async def test_what_a_killed_proxy_was_answering_has_failed(
    start_lab: StartLab, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    lab = await start_lab(Turn(hold=True), responses_dir=folder)
    begun = await created(lab, ask("Hi", background=True))
    other = await start_lab(responses_dir=folder)
    _, found = await get(other, f"{PATH}/{begun['id']}")
    assert found["status"] == "failed"
    assert "restarted" in found["error"]["message"]


@pytest.mark.parametrize("fields", [{"stream": True}, {"store": False}])
async def test_what_the_background_cannot_be_together_with_is_said(
    start_lab: StartLab, tmp_path: Path, fields: dict[str, Any]
) -> None:
    lab = await start_lab(responses_dir=tmp_path / "kept")
    status, answer, _ = await lab.post({**ask("Hi", background=True), **fields}, PATH)
    assert status == 400
    assert "background" in answer["error"]["message"]


async def test_only_the_background_is_cancelled(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(responses_dir=tmp_path / "kept")
    answer = await created(lab, ask("Hi"))
    status, _ = await get(lab, f"{PATH}/{answer['id']}/cancel", "POST")
    assert status == 400


async def test_a_stored_response_is_continued_over_a_websocket(
    start_lab: StartLab, tmp_path: Path
) -> None:
    lab = await start_lab(Turn(text="Hello."), responses_dir=tmp_path / "kept")
    before = (await created(lab, ask("Hi")))["id"]
    async with lab.http.ws_connect(lab.url + PATH) as socket:
        second = await create(socket, "Go on", previous_response_id=before, store=False)
        # This connection knows what the disk does not.
        await create(socket, "And on", previous_response_id=second.last["response"]["id"])
    assert sent(lab, 2) == ["Hi", "Hello.", "Go on", "Hello.", "And on"]


async def test_a_continued_prompt_is_counted_whole(start_lab: StartLab, tmp_path: Path) -> None:
    lab = await start_lab(responses_dir=tmp_path / "kept")
    before = (await created(lab, ask("word " * 500)))["id"]
    _, alone, _ = await lab.post(ask("Go on"), f"{PATH}/input_tokens")
    body = ask("Go on", previous_response_id=before)
    _, whole, _ = await lab.post(body, f"{PATH}/input_tokens")
    assert whole["input_tokens"] > alone["input_tokens"] + 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", MISSING),
        ("DELETE", MISSING),
        ("POST", f"{MISSING}/cancel"),
        ("GET", f"{MISSING}/input_items"),
    ],
)
async def test_where_nothing_is_stored_it_says_so_and_how(
    start_lab: StartLab, method: str, path: str
) -> None:
    lab = await start_lab()
    status, answer = await get(lab, path, method)
    assert status == 404
    assert "--responses-dir" in answer["error"]["message"]


async def test_where_nothing_is_stored_it_is_not_promised(start_lab: StartLab) -> None:
    lab = await start_lab()
    status, answer, _ = await lab.post(ask("Hi", store=True), PATH)
    assert status == 400
    assert "--responses-dir" in answer["error"]["message"]
    assert (await created(lab, ask("Hi")))["store"] is False


async def test_a_conversation_is_compacted_to_one_item_that_is_continued(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(Turn(text="So far."), Turn(text="On."))
    async with openai.AsyncOpenAI(base_url=f"{lab.url}/v1", api_key="x", max_retries=0) as sdk:
        compacted = await sdk.responses.compact(model="m", input="Hi")
    (item,) = [json.loads(one.to_json()) for one in compacted.output]
    assert (compacted.object, item["type"]) == ("response.compaction", "compaction")
    await created(lab, ask(item, "Go on"))
    assert sent(lab, 1) == ["So far.", "Go on"]


@pytest.mark.parametrize(
    ("turn", "body", "status"),
    [
        (Turn(text=" "), {"model": "m", "input": "Hi"}, 503),
        (Turn(http_error=HttpError(status=503)), {"model": "m", "input": "Hi"}, 503),
        (Turn(text="So far."), {"input": "Hi"}, 400),
        (Turn(text="So far."), [], 400),
    ],
)
async def test_a_compaction_that_cannot_be_is_an_error(
    start_lab: StartLab, turn: Turn, body: Any, status: int
) -> None:
    lab = await start_lab(turn)
    answered, answer, _ = await lab.post(json.dumps(body).encode(), f"{PATH}/compact")
    assert answered == status
    assert answer["error"]["message"]
