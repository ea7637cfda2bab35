"""Keys of single clients at a real proxy: on every route, in both APIs, at every request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from autosre_lab.errors import ConfigError
from autosre_lab.proxy import ProxyConfig, read_request_log
from autosre_lab.proxy.key_usage import KeySpending, key_usage, today
from autosre_lab.proxy.request_log import RequestLog, RequestRecord
from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn
from autosre_lab.serving.key_file import create_key, revoke_key, rotate_key
from tests.proxy.conftest import Lab, StartLab, ask
from tests.proxy.responses.bodies import ask as ask_responses
from tests.proxy.test_main import proxy_process
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

LOOK = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
OWNER = "the-owners-t0ken"
Answer = tuple[int, dict[str, Any], dict[str, str]]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys.json"


def made(keys: Path, name: str = "alice", **fields: Any) -> str:
    return create_key(keys, name, **fields).secret


async def lab_of(start_lab: StartLab, keys: Path, *turns: Turn, **config: Any) -> Lab:
    lab: Lab = await start_lab(*turns, keys_file=keys, token=OWNER, **config)
    return lab


async def asked(lab: Lab, secret: str, path: str = "/v1/messages", body: Any = None) -> Answer:
    return await lab.post(body or ask(), path, authorization=f"Bearer {secret}")


async def test_a_key_opens_what_its_owner_opens_and_is_named_in_the_log(
    start_lab: StartLab, keys: Path
) -> None:
    lab = await lab_of(start_lab, keys, Turn(text="Hello dear reader", cached_tokens=3))
    secret = made(keys)  # after the start: nothing has to be started again
    assert (await asked(lab, secret))[0] == 200
    assert (await lab.post(ask(), x_api_key=secret))[0] == 200
    assert (await asked(lab, secret, "/v1/responses", ask_responses("Hi")))[0] == 200
    assert (await asked(lab, OWNER))[0] == 200
    await until(lambda: len(read_request_log(lab.log_path)) == 4, "four lines of the log")
    assert list(read_request_log(lab.log_path)["key"]) == ["alice", "alice", "alice", ""]
    assert secret not in lab.log_path.read_text()


async def test_what_is_revoked_rotated_or_expired_counts_from_the_next_request_on(
    start_lab: StartLab, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = await lab_of(start_lab, keys)
    first = made(keys)
    assert (await asked(lab, first))[0] == 200
    second = rotate_key(keys, "alice", keep_old_s=3600).secret
    assert [(await asked(lab, one))[0] for one in (first, second)] == [200, 200]
    third = rotate_key(keys, "alice").secret
    assert [(await asked(lab, one))[0] for one in (first, second, third)] == [401, 401, 200]
    revoke_key(keys, "alice")
    status, body, _ = await asked(lab, third)
    assert (status, body["error"]["type"]) == (401, "authentication_error")
    assert "alice is revoked" in body["error"]["message"]
    status, body, _ = await asked(lab, third, "/v1/responses", ask_responses("Hi"))
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    short = made(keys, "bob", expires=4e9)
    assert (await asked(lab, short))[0] == 200
    monkeypatch.setattr("autosre_lab.serving.keys.time.time", lambda: 4e9 + 1)
    assert "bob is expired" in (await asked(lab, short))[1]["error"]["message"]


SPELLINGS = (
    *("/v1/messages", "/v1//messages", "//v1/messages", "/v1/v1/messages", "/v1/messages/"),
    *("/v1/messages?beta=true", "/v1%2Fmessages", "/%76%31/messages", "/v1/messages%2F"),
    *("/v1/messages/count_tokens", "/v1/messages//count_tokens/", "/v1%2fmessages%2fcount_tokens"),
    *("/v1/./messages", "/v1/x/../messages", "/V1/MESSAGES", "/v1/Messages", "/v1%252Fmessages"),
    *("/v1/messages;a=b", "/v1/messages%00", "/v1/messages%20", "/v1\\messages", "/v1/messages#a"),
)


async def test_no_spelling_of_a_route_opens_it_to_a_key_of_the_other_api(
    start_lab: StartLab, keys: Path
) -> None:
    lab = await lab_of(start_lab, keys)
    only = {"authorization": f"Bearer {made(keys, dialects=['responses'])}"}
    for spelling in SPELLINGS:
        for method in ("POST", "GET", "HEAD", "PUT", "OPTIONS"):
            async with lab.http.request(
                method, URL(lab.url + spelling, encoded=True), json=ask(), headers=only
            ) as response:
                assert response.status in (403, 404, 405), (method, spelling)
    assert not lab.upstream.chats
    other = made(keys, "bob", dialects=["messages"])
    bearer = {"authorization": f"Bearer {other}"}
    for path in ("/v1/responses", "/v1//responses/", "/v1/responses/compact", "/v1%2Fresponses"):
        url = URL(lab.url + path, encoded=True)
        async with lab.http.post(url, json=ask_responses("Hi"), headers=bearer) as response:
            said = await response.json()
        assert response.status == 403, path
        assert "the key bob is not for /v1/responses" in said["error"]["message"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await lab.http.ws_connect(lab.url + "/v1/responses", headers=bearer)
    assert refused.value.status == 403
    assert not lab.upstream.chats


ROUTES = (
    *(("POST", one) for one in ("/v1/messages", "/v1/messages/count_tokens", "/v1/responses")),
    *(("GET", one) for one in ("/v1/models", "/v1/models/x", "/codex/models", "/v1/responses/r")),
    *(("POST", one) for one in ("/v1/responses/compact", "/v1/responses/r/cancel", "/warm")),
    *(("DELETE", "/v1/responses/r"), ("GET", "/v1/responses"), ("GET", "/metrics")),
    *(("GET", "/nothing"), ("OPTIONS", "/v1/messages"), ("HEAD", "/v1/models")),
)


@pytest.mark.parametrize("token", [OWNER, None])
async def test_every_route_asks_who_it_is_also_where_the_owner_has_no_token(
    start_lab: StartLab, keys: Path, token: str | None
) -> None:
    made(keys)
    lab = await start_lab(keys_file=keys, token=token)
    for method, path in ROUTES:
        for shown in ({}, {"authorization": "Bearer autosre-guessed"}, {"x-api-key": ""}):
            async with lab.http.request(method, lab.url + path, headers=shown) as response:
                assert response.status == 401, (method, path, shown)
    for path in ("/", "/health"):
        async with lab.http.get(lab.url + path) as response:
            assert response.status == 200


async def test_what_tells_of_everybody_is_the_owners(start_lab: StartLab, keys: Path) -> None:
    lab = await lab_of(start_lab, keys)
    bearer = {"authorization": f"Bearer {made(keys)}"}
    for method, path in (("GET", "/metrics"), ("GET", "//metrics/"), ("POST", "/warm")):
        async with lab.http.request(method, lab.url + path, headers=bearer) as response:
            assert response.status == 403, path
    async with lab.http.get(f"{lab.url}/v1/models", headers=bearer) as response:
        assert response.status == 200


async def test_a_key_of_another_server_opens_nothing_here(start_lab: StartLab, keys: Path) -> None:
    lab = await lab_of(start_lab, keys)
    status, body, _ = await asked(lab, made(keys, servers=["mcp", "browser"]))
    assert (status, body["error"]["type"]) == (403, "permission_error")


async def test_a_requests_class_is_no_more_urgent_than_its_key(
    start_lab: StartLab, keys: Path
) -> None:
    lab = await lab_of(start_lab, keys)
    for name in ("main", "subagent", "compaction", "background"):
        secret = made(keys, name, priority=name)
        assert (await asked(lab, secret, body=ask(tools=[LOOK])))[0] == 200
    priorities = [chat.body.get("priority", 0) for chat in lab.upstream.chats]
    assert priorities == [-10, -5, 0, 10]


async def test_requests_at_a_time_are_counted_until_their_end(
    start_lab: StartLab, keys: Path
) -> None:
    lab = await lab_of(start_lab, keys, Turn(text="Hello there.", hold=True), Turn(text="Yes."))
    bearer = {"authorization": f"Bearer {made(keys, concurrent=1)}"}
    body = {**ask(), "stream": True}
    async with lab.http.post(f"{lab.url}/v1/messages", json=body, headers=bearer) as held:
        await held.content.readany()
        status, said, headers = await lab.post(ask(), **bearer)
        assert (status, said["error"]["type"]) == (429, "rate_limit_error")
        assert int(headers["retry-after"]) > 0
        held.close()  # the client goes away
    await until(lambda: lab.log_path.stat().st_size > 0 and _ended(lab) == 2, "the first one's end")
    assert (await lab.post(ask("again"), **bearer))[0] == 200


def _ended(lab: Lab) -> int:
    return len(lab.log_path.read_text().splitlines())


async def test_requests_a_minute_are_limited_in_each_apis_own_words(
    start_lab: StartLab, keys: Path
) -> None:
    lab = await lab_of(start_lab, keys)
    secret = made(keys, requests_per_minute=2)
    assert [(await asked(lab, secret))[0] for _ in range(3)] == [200, 200, 429]
    status, body, headers = await asked(lab, secret, "/v1/responses", ask_responses("Hi"))
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert (await asked(lab, OWNER))[0] == 200
    assert len(lab.upstream.chats) == 3


async def test_a_budget_and_the_usage_that_is_shown_are_one_count(
    start_lab: StartLab, keys: Path
) -> None:
    lab = await lab_of(start_lab, keys, Turn(text="Hello dear reader", cached_tokens=3))
    secret = made(keys)
    assert (await asked(lab, secret))[0] == 200
    await until(lambda: _ended(lab) == 1, "its line")
    (day,) = key_usage(lab.log_path)
    assert (day.key, day.day, day.cached_tokens) == ("alice", today(), 3)
    assert day.computed_tokens == day.input_tokens + day.output_tokens > 0
    limited = made(keys, "bob", tokens_per_day=day.computed_tokens + 1)
    assert [(await asked(lab, limited))[0] for _ in range(3)] == [200, 200, 429]
    status, body, headers = await asked(lab, limited, "/v1/responses", ask_responses("Hi"))
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")
    assert "0:00 UTC" in body["error"]["message"]
    assert 1 <= int(headers["retry-after"]) <= 86_400
    await until(lambda: _ended(lab) == 5, "the lines of what was refused")
    bob = key_usage(lab.log_path, owner=False)[1]
    assert (bob.key, bob.requests, bob.refused) == ("bob", 4, 2)
    async with lab.http.get(
        f"{lab.url}/metrics", headers={"authorization": f"Bearer {OWNER}"}
    ) as answer:
        text = await answer.text()
    assert f'key_tokens_total{{direction="input",key="bob"}} {float(bob.input_tokens)}' in text
    assert 'key_requests_total{key="bob",status="429"} 2.0' in text
    assert secret not in text


async def test_after_a_kill_the_budget_is_what_the_log_says(
    anyio_backend: str, keys: Path, tmp_path: Path
) -> None:
    log = tmp_path / "requests.jsonl"
    secret = made(keys, tokens_per_day=1)
    options = ("--keys-file", str(keys), "--request-log", str(log))
    async with ScriptedVllm([Turn(text="Hello there.")]) as engine, aiohttp.ClientSession() as http:

        async def status_of(url: str) -> int:
            async with http.post(
                f"{url}/v1/messages", json=ask(), headers={"x-api-key": secret}
            ) as answer:
                return answer.status

        with proxy_process(engine.url, *options) as (url, process):
            assert await status_of(url) == 200
            await until(lambda: log.read_bytes().endswith(b"\n"), "its line")
            process.kill()
        with log.open("ab") as file:
            file.write(b'{"time":"half a li')  # of a machine that lost power
        with proxy_process(engine.url, *options) as (url, _):
            assert await status_of(url) == 429
    assert len(engine.chats) == 1
    ((day,), refused) = key_usage(log), json.loads(log.read_text().splitlines()[-1])
    assert (day.requests, day.refused, refused["status"]) == (2, 1, 429)


async def test_a_socket_is_asked_at_every_frame(start_lab: StartLab, keys: Path) -> None:
    lab = await lab_of(start_lab, keys)
    bearer = {"authorization": f"Bearer {made(keys)}"}
    create = {"type": "response.create", **ask_responses("Hi")}
    async with lab.http.ws_connect(lab.url + "/v1/responses", headers=bearer) as socket:
        await socket.send_json(create)
        while (await socket.receive_json())["type"] != "response.completed":
            pass
        revoke_key(keys, "alice")
        await socket.send_json(create)
        event = await socket.receive_json()
    assert (event["type"], event["status"]) == ("error", 401)
    assert len(lab.upstream.chats) == 1
    await until(lambda: _ended(lab) == 2, "the line of what was refused")
    assert [one.refused for one in key_usage(lab.log_path)] == [1]


async def test_a_stream_that_has_begun_is_finished(start_lab: StartLab, keys: Path) -> None:
    lab = await lab_of(start_lab, keys, Turn(text="one two three four", chunk_interval_s=0.05))
    bearer = {"authorization": f"Bearer {made(keys)}"}
    body = {**ask(), "stream": True}
    async with lab.http.post(f"{lab.url}/v1/messages", json=body, headers=bearer) as response:
        begun = await response.content.readany()
        revoke_key(keys, "alice")
        assert b"message_stop" in begun + await response.read()
    assert (await lab.post(ask(), **bearer))[0] == 401


BREAKS: dict[str, Callable[[Path], object]] = {
    "half a file": lambda file: file.write_text(file.read_text()[:40]),
    "no JSON": lambda file: file.write_bytes(b"\xff\x00"),
    "a later version": lambda file: file.write_text('{"version": 2, "keys": []}'),
    "a folder": lambda file: file.rename(file.with_name("old")).with_name("keys.json").mkdir(),
    "an unknown class": lambda file: file.write_text(file.read_text().replace('"main"', '"root"')),
}


def broken(keys: Path, way: str) -> str:
    """Break the file; return what it held."""
    whole = keys.read_text()
    BREAKS[way](keys)
    return whole


def mend(keys: Path, text: str) -> None:
    """Put a text in the place of whatever is there; "" leaves nothing."""
    if keys.is_dir():
        keys.rmdir()
    keys.unlink(missing_ok=True)
    if text:
        keys.write_text(text)


@pytest.mark.parametrize("way", BREAKS)
async def test_keys_that_cannot_be_read_open_nothing_and_the_owner_goes_on(
    start_lab: StartLab, keys: Path, way: str
) -> None:
    lab = await lab_of(start_lab, keys)
    secret = made(keys)
    assert (await asked(lab, secret))[0] == 200
    whole = broken(keys, way)
    status, _, headers = await asked(lab, secret)
    assert (status, "retry-after" in headers) == (503, True)
    assert (await asked(lab, OWNER))[0] == 200
    with pytest.raises(ConfigError, match="cannot be read"):
        await start_lab(keys_file=keys, token=OWNER)
    mend(keys, whole)
    assert (await asked(lab, secret))[0] == 200
    mend(keys, "")
    assert (await asked(lab, secret))[0] == 401


def test_keys_need_a_request_log(keys: Path) -> None:
    with pytest.raises(ConfigError, match="request log"):
        ProxyConfig(upstream="http://127.0.0.1:1", keys_file=keys)


def record(**fields: Any) -> RequestRecord:
    return RequestRecord(time=f"{today()}T01:02:03.000+00:00", request_id="req_1", **fields)


def test_counts_and_yesterdays_requests_are_not_charged(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RequestLog(path, max_bytes=1 << 20, of_keys=True)
    log.add(record(key="alice", kind="main", input_tokens=3, cached_tokens=100, output_tokens=4))
    log.add(record(key="alice", kind="count_tokens", input_tokens=1000))
    old = record(key="alice", input_tokens=1000)
    old.time = "2001-01-01T00:00:00.000+00:00"
    log.add(old)
    log.add(record(input_tokens=1000))
    assert log.spending.of("alice") == 7
    log.close()
    assert KeySpending(path).of("alice") == 7
    path.rename(path.with_name(path.name + ".1"))  # turned over
    assert KeySpending(path).of("alice") == 7
