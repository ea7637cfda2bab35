"""Everything that goes wrong, as the error that makes the client do the right thing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from autosre_lab.errors import ConfigError, PortTakenError
from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.proxy.__main__ import main
from autosre_lab.scripted.chat_engine import HttpError, ScriptedVllm, Turn
from tests.proxy.conftest import StartLab, ask
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

TITLE: dict[str, Any] = {
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}
}


@pytest.mark.parametrize(
    ("engine", "background", "expected"),
    [
        (500, False, (500, "api_error", None)),
        (502, False, (503, "api_error", "2")),
        (503, False, (503, "api_error", "2")),
        (503, True, (529, "overloaded_error", None)),
        (429, False, (429, "rate_limit_error", "2")),
        (429, True, (529, "overloaded_error", None)),
        (400, False, (400, "invalid_request_error", None)),
        (401, False, (401, "authentication_error", None)),
        (404, False, (503, "api_error", "2")),
        (413, False, (413, "request_too_large", None)),
    ],
)
async def test_the_engines_status_becomes_the_clients(
    start_lab: StartLab, engine: int, background: bool, expected: tuple[int, str, str | None]
) -> None:
    lab = await start_lab(Turn(http_error=HttpError(status=engine)), resume_tries=0)
    status, body, headers = await lab.post(ask(stream=True, **(TITLE if background else {})))
    assert (status, body["error"]["type"], headers.get("retry-after")) == expected
    assert body["request_id"] == headers["request-id"]


async def test_an_engine_that_is_down_is_a_503_and_is_found_again(start_lab: StartLab) -> None:
    lab = await start_lab(resume_tries=0)
    port = lab.upstream.port
    assert (await lab.post(ask()))[0] == 200
    await lab.upstream.__aexit__(None, None, None)
    status, body, headers = await lab.post(ask(stream=True))
    assert (status, body["error"]["type"], headers["retry-after"]) == (503, "api_error", "2")
    assert "autosre status" in body["error"]["message"]
    async with lab.http.get(lab.url + "/health") as response:
        assert response.status == 200
    async with ScriptedVllm([Turn(text="back")], port=port, model="another") as again:
        status, body, _ = await lab.post(ask())
        assert (status, body["content"][0]["text"]) == (200, "back")
        assert again.chats[0].body["model"] == "another"


@pytest.mark.parametrize("turn", [{"die_after_chunks": 2}, {"error_after_chunks": 2}])
async def test_an_engine_that_dies_in_the_middle_ends_the_stream_with_an_error(
    start_lab: StartLab, turn: dict[str, Any]
) -> None:
    lab = await start_lab(Turn(text="one two three", chunk_interval_s=0.05, **turn), resume_tries=0)
    events = await lab.events(ask())
    assert events[0]["type"] == "message_start"
    assert (events[-1]["type"], events[-1]["error"]["type"]) == ("error", "api_error")
    # Nothing was delivered here, so the client may simply ask again.
    status, body, headers = await lab.post(ask())
    assert (status, body["error"]["type"], headers["retry-after"]) == (503, "api_error", "2")


async def test_an_answer_without_a_finish_reason_is_not_taken_for_whole(
    start_lab: StartLab,
) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": None}]}
    lab = await start_lab(Turn(raw_chunks=[chunk]), resume_tries=0)
    assert (await lab.events(ask()))[-1]["type"] == "error"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"{", "not valid"),
        (b"\xff\xfe", "not valid"),
        (b"[]", "object"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":"x","messages":[]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"robot","content":"x"}]}', "robot"),
    ],
)
async def test_a_request_that_is_none_is_told_what_is_wrong(
    start_lab: StartLab, body: bytes, names: str
) -> None:
    lab = await start_lab()
    status, answer, _ = await lab.post(body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert names in answer["error"]["message"]
    assert lab.upstream.chats == []


async def test_routes_and_sizes_have_their_own_errors(start_lab: StartLab) -> None:
    lab = await start_lab(max_body_bytes=1000)
    status, body, _ = await lab.post(ask("x" * 2000))
    assert (status, body["error"]["type"]) == (413, "request_too_large")
    status, body, _ = await lab.post({}, "/v1/nothing")
    assert (status, body["error"]["type"]) == (404, "not_found_error")
    async with lab.http.get(lab.url + "/v1/messages") as response:
        assert response.status == 405


async def test_a_full_proxy_sheds_background_first(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="x", hold=True), max_running=2)
    first = asyncio.create_task(lab.events(ask()))
    await until(lambda: lab.upstream.running == 1, "the first one's start")
    status, body, _ = await lab.post(ask(**TITLE))
    assert (status, body["error"]["type"]) == (529, "overloaded_error")
    second = asyncio.create_task(lab.events(ask()))
    await until(lambda: lab.upstream.running == 2, "the second one's start")
    status, body, headers = await lab.post(ask())
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert headers["retry-after"] == "2"
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_a_token_is_asked_for_wherever_one_is_set(start_lab: StartLab) -> None:
    lab = await start_lab(token="the-token")
    for headers, expected in [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer the-token"}, 200),
        ({"x_api_key": "the-token"}, 200),
    ]:
        status, body, _ = await lab.post(ask(), **headers)
        assert status == expected, body
    async with lab.http.get(lab.url + "/metrics") as response:
        assert response.status == 401
    async with lab.http.get(lab.url + "/health") as response:
        assert response.status == 200


async def test_without_a_token_no_web_page_is_served(start_lab: StartLab) -> None:
    lab = await start_lab()
    assert (await lab.post(ask(), origin="https://evil.example"))[0] == 403
    assert (await lab.post(ask(), host="evil.example"))[0] == 403
    assert (await lab.post(ask(), origin="http://localhost:8888"))[0] == 200


async def test_a_proxy_that_ends_lets_answers_finish_or_says_so(tmp_path: Path) -> None:
    turns = [Turn(text="quick one", chunk_interval_s=0.1), Turn(text="x y z", hold=True)]
    async with ScriptedVllm(turns) as upstream, aiohttp.ClientSession() as http:
        ending = running_proxy(ProxyConfig(upstream=upstream.url, port=0, shutdown_grace_s=0.6))
        url = await ending.__aenter__()

        async def read() -> bytes:
            data = json.dumps(ask(stream=True)).encode()
            async with http.post(f"{url}/v1/messages", data=data) as response:
                return await response.read()

        quick = asyncio.create_task(read())
        await until(lambda: upstream.running == 1, "the quick one's start")
        held = asyncio.create_task(read())
        await until(lambda: upstream.running == 2, "the held one's start")
        await ending.__aexit__(None, None, None)
        assert b"message_stop" in await quick
        assert b'"overloaded_error"' in await held
        await until(lambda: upstream.running == 0, "the engine's end")


async def test_a_port_in_use_is_named(start_lab: StartLab) -> None:
    lab = await start_lab()
    with pytest.raises(PortTakenError, match=str(lab.upstream.port)):
        async with running_proxy(ProxyConfig(upstream=lab.upstream.url, port=lab.upstream.port)):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    with pytest.raises(ConfigError, match=host) as caught:
        ProxyConfig(upstream="http://127.0.0.1:1", host=host)
    assert "AUTOSRE_PROXY_TOKEN" in caught.value.remedy
    assert "a-secret" not in repr(
        ProxyConfig(upstream="http://127.0.0.1:1", host=host, token="a-secret")
    )


async def test_the_command_line_says_what_to_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "token"
    empty.write_text("", encoding="utf-8")
    cases: list[tuple[list[str], str]] = [
        (["0", "http://127.0.0.1:1", "--host", "0.0.0.0"], "AUTOSRE_PROXY_TOKEN"),
        (["0", "ftp://host"], "http://127.0.0.1:8010"),
        (["0", "http://127.0.0.1:1", "--token-file", str(tmp_path / "none")], "--token-file"),
        (["0", "http://127.0.0.1:1", "--token-file", str(empty)], "write a token"),
    ]
    for argv, remedy in cases:
        assert main(argv) == 2
        assert remedy in capsys.readouterr().err


def raising(*_: Any) -> Any:
    raise ZeroDivisionError("a mistake of ours")


async def test_a_mistake_of_ours_is_a_500_without_a_trace(
    start_lab: StartLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await start_lab()
    monkeypatch.setattr("autosre_lab.proxy.asking.encode_prompt", raising)
    status, body, _ = await lab.post(ask())
    assert (status, body["error"]["type"]) == (500, "api_error")
    assert "Traceback" not in json.dumps(body)
    assert "a mistake of ours" not in json.dumps(body)


async def test_a_setting_that_is_no_number_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["0", "http://127.0.0.1:1", "--resume-tries", "often"]) == 2
    assert "--resume-tries" in capsys.readouterr().err
    monkeypatch.setenv("AUTOSRE_PROXY_RESUME_FOR", "-1")
    assert main(["0", "http://127.0.0.1:1"]) == 2
    assert "AUTOSRE_PROXY_RESUME_FOR" in capsys.readouterr().err
