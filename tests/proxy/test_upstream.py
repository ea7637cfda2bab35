"""The connection to the engine: its key, its closing, its endless answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.proxy.__main__ import main
from autosre_lab.proxy.exchange import Exchange
from autosre_lab.proxy.refusals import retry_after
from autosre_lab.proxy.upstream import IDLE_S, reason
from autosre_lab.scripted.chat_engine import Turn
from tests.proxy.conftest import StartLab, ask
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

VLLM_CLOSES_AFTER_S = 5.0

STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def http(body: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        kind,
        len(body),
        body,
    )


class RawEngine:
    """An engine on a plain socket: `answer(path, number)` gives the bytes for a chat request.

    None closes the connection instead of answering. `number` counts chat requests on that
    connection, from 0.
    """

    def __init__(self, answer: Callable[[int, int], bytes | None], *, closes: bool) -> None:
        self.answer = answer
        self.closes = closes
        self.chat: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
        self.chats = 0
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        on_this = 0
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length")
                    ),
                    0,
                )
                await reader.readexactly(length)
                path = head.split(b" ")[1]
                if path == b"/v1/models":
                    card = {"id": "m", "max_model_len": 100_000}
                    writer.write(http(json.dumps({"data": [card]}).encode()))
                elif path == b"/tokenize":
                    writer.write(http(b'{"count":5,"max_model_len":100000,"tokens":[1]}'))
                else:
                    self.chats += 1
                    if self.chat is not None:
                        await self.chat(writer)
                        return
                    said = self.answer(self.connections, on_this)
                    on_this += 1
                    if said is None:
                        return
                    writer.write(said)
                await writer.drain()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_engine(
    answer: Callable[[int, int], bytes | None], *, closes: bool = False
) -> AsyncIterator[RawEngine]:
    engine = RawEngine(answer, closes=closes)
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()


async def test_an_idle_connection_is_dropped_before_vllm_drops_it() -> None:
    assert IDLE_S < VLLM_CLOSES_AFTER_S - 1


async def test_a_request_that_crosses_the_closing_of_an_idle_connection_is_sent_again(
    start_lab: StartLab,
) -> None:
    # Every connection answers one chat request, and closes when the second one comes.
    stream = http(STREAM, b"text/event-stream")
    async with raw_engine(lambda _, on_this: None if on_this else stream) as engine:
        lab = await start_lab()
        async with running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url:
            for _ in range(60):  # more than the probe has left connections
                async with lab.http.post(f"{url}/v1/messages", json=ask()) as response:
                    assert response.status == 200
                    assert (await response.json())["content"][0]["text"] == "fine"


async def test_done_is_not_followed_by_a_wait(
    start_lab: StartLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosre_lab.proxy.engine_answer.GRACE_S", 60.0)
    lab = await start_lab(Turn(pieces=[STREAM.decode(), 60.0]))
    async with asyncio.timeout(30):
        assert (await lab.post(ask()))[0] == 200
        assert (await lab.events(ask()))[-1]["type"] == "message_stop"


async def test_a_request_that_breaks_a_new_connection_is_not_sent_again(
    start_lab: StartLab,
) -> None:
    async with raw_engine(lambda *_: None, closes=True) as engine:
        lab = await start_lab()
        async with (
            running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url,
            lab.http.post(f"{url}/v1/messages", json=ask()) as response,
        ):
            assert response.status == 503
            assert response.headers["retry-after"] == "2"
            message = (await response.json())["error"]["message"]
        assert "it closed the connection without an answer" in message
        assert engine.chats == 1


async def test_what_came_at_once_goes_out_in_one_write(
    start_lab: StartLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []

    async def noted(self: Exchange, events: bytes) -> None:
        written.append(events)

    monkeypatch.setattr(Exchange, "_write", noted)
    stream = http(STREAM, b"text/event-stream")
    async with raw_engine(lambda *_: stream) as engine:
        lab = await start_lab()
        async with running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url:
            lab.url = url
            events = await lab.events(ask())
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert written == []  # the only write is the last


async def test_an_answer_that_outruns_its_client_arrives_whole(start_lab: StartLab) -> None:
    text = "a" * 8192
    event = f'data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}\n\n'.encode()
    whole = event * 3000 + STREAM  # more than all buffers on its way hold
    sent: list[asyncio.WriteTransport] = []

    async def send(writer: asyncio.StreamWriter) -> None:
        sent.append(writer.transport)
        writer.write(http(whole, b"text/event-stream"))
        await writer.drain()

    async with raw_engine(lambda *_: b"") as engine:
        engine.chat = send
        lab = await start_lab()
        async with (
            running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url,
            asyncio.timeout(60),
            lab.http.post(f"{url}/v1/messages", json=ask(stream=True)) as response,
        ):
            left = 0
            while (now := sent[0].get_write_buffer_size()) != left:  # until nothing moves
                left = now
                await asyncio.sleep(0.1)
            assert left > 0
            received = await response.read()
    assert received.count(text.encode()) == 3000
    assert received.endswith(b'{"type":"message_stop"}\n\n')


async def test_connections_are_used_again_after_a_whole_answer(start_lab: StartLab) -> None:
    stream = http(STREAM, b"text/event-stream")
    async with raw_engine(lambda *_: stream) as engine:
        lab = await start_lab()
        async with running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url:
            for number in range(10):
                async with lab.http.post(f"{url}/v1/messages", json=ask()) as response:
                    assert response.status == 200
                if number == 0:
                    before = engine.connections
        assert engine.connections == before


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "its answer is not valid HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: "
            + b"a" * 70_000
            + b"\r\n\r\n",
            "its answer is not valid HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99\r\n\r\ndata",
            "its connection ended in the middle of the answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            "its answer is not valid HTTP",
        ),
    ],
)
async def test_a_broken_answer_is_told_in_plain_words(
    start_lab: StartLab, raw: bytes, words: str
) -> None:
    async with raw_engine(lambda *_: raw, closes=True) as engine:
        lab = await start_lab()
        async with (
            running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url,
            lab.http.post(f"{url}/v1/messages", json=ask()) as response,
        ):
            assert response.status == 503
            message = (await response.json())["error"]["message"]
    assert words in message
    assert "Error" not in message
    assert "<" not in message


async def test_no_error_of_the_http_client_is_shown_as_it_is() -> None:
    errors = [one for one in vars(aiohttp).values() if isinstance(one, type)]
    for kind in errors:
        if issubclass(kind, BaseException):
            error = kind.__new__(kind)
            error.__dict__["_os_error"] = ConnectionRefusedError()
            words = reason(error)
            assert "Error" not in words
            assert words


async def test_the_engines_key_is_sent_and_never_shown(
    start_lab: StartLab, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lab = await start_lab(engine_key="engine-secret", token="client-secret")
    status, _, _ = await lab.post(ask(), authorization="Bearer client-secret")
    assert status == 200
    for one in lab.upstream.requests:
        assert one.headers["Authorization"] == "Bearer engine-secret"
    assert "engine-secret" not in lab.log_path.read_text("utf-8")
    assert "engine-secret" not in caplog.text
    assert "engine-secret" not in repr(ProxyConfig(upstream="u", engine_key="engine-secret"))


@pytest.mark.parametrize("path", ["/v1/models", "/tokenize", "/v1/chat/completions"])
async def test_an_engine_that_wants_a_key_is_told_wherever_it_asks(
    start_lab: StartLab, path: str
) -> None:
    lab = await start_lab(Turn(text="x"))
    lab.upstream.key = "k"
    lab.upstream.guarded = {path}
    body = ask("word " * 100_000) if path == "/tokenize" else ask()
    status, answer, _ = await lab.post(body)
    assert (status, answer["error"]["type"]) == (401, "authentication_error")
    assert "AUTOSRE_ENGINE_KEY" in answer["error"]["message"]


def test_the_engines_key_comes_from_a_file_or_the_environment_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ProxyConfig] = []
    monkeypatch.setattr("autosre_lab.proxy.__main__.serve", seen.append)
    file = tmp_path / "key"
    file.write_text("from-file\n", encoding="utf-8")
    monkeypatch.setenv("AUTOSRE_ENGINE_KEY", "from-environment")
    monkeypatch.setenv("AUTOSRE_PROXY_ORIGINS", "https://a.example, https://b.example")
    assert main(["0", "http://127.0.0.1:1/v1"]) == 0
    assert main(["0", "127.0.0.1:1", "--engine-key-file", str(file)]) == 0
    assert main(["0", "127.0.0.1:1", "--allow-origin", "https://c.example"]) == 0
    assert [one.engine_key for one in seen] == ["from-environment", "from-file", "from-environment"]
    assert [one.upstream for one in seen] == ["http://127.0.0.1:1"] * 3
    assert [set(one.origins) for one in seen] == [
        {"https://a.example", "https://b.example"},
        {"https://a.example", "https://b.example"},
        {"https://c.example"},
    ]
    assert main(["0", "127.0.0.1:1", "--engine-key-file", str(tmp_path / "none")]) == 2
    assert "--engine-key-file" in capsys.readouterr().err
    assert main(["0", "127.0.0.1:1", "--allow-origin", "*"]) == 2
    assert "no wildcard" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("7", "7"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("1\x01", "2"),
        ("1\x7f\x80", "2"),
        ("-5", "2"),
        ("soon", "2"),
        ("9" * 400, "2"),
        ("\u00b2", "2"),
        ("", "2"),
    ],
)
def test_the_engines_retry_after_is_passed_on_where_it_is_one(said: str, told: str) -> None:
    assert retry_after(said) == told


async def test_a_retry_after_with_a_control_byte_does_not_end_the_connection(
    start_lab: StartLab,
) -> None:
    raw = b"HTTP/1.1 429 Busy\r\nRetry-After: 1\x01\r\nContent-Length: 0\r\n\r\n"
    async with raw_engine(lambda *_: raw) as engine:
        lab = await start_lab()
        async with (
            running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url,
            lab.http.post(f"{url}/v1/messages", json=ask()) as response,
        ):
            assert response.status in (429, 503)
            assert response.headers["retry-after"] == "2"
            assert (await response.json())["type"] == "error"


async def endless(writer: asyncio.StreamWriter, head: bytes) -> int:
    """Send a megabyte at a time until nobody wants more; return how many."""
    sent = 0
    writer.write(head)
    try:
        while sent < 2000:
            writer.write(b"x" * 1_000_000)
            await writer.drain()
            sent += 1
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize(
    ("head", "words", "most_mb"),
    [
        # An error without an end, a line without an end, JSON without an end.
        (b"HTTP/1.1 500 Oops\r\n\r\n", "xxx", 40),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ", "16 MB", 60),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{", "64 MB", 120),
    ],
)
async def test_an_answer_without_an_end_takes_little_memory(
    start_lab: StartLab, head: bytes, words: str, most_mb: int
) -> None:
    sent: list[int] = []

    async with raw_engine(lambda *_: None) as engine:
        lab = await start_lab()

        async def chat(writer: asyncio.StreamWriter) -> None:
            sent.append(await endless(writer, head))

        engine.chat = chat
        async with (
            running_proxy(ProxyConfig(upstream=engine.url, port=0, resume_tries=0)) as url,
            lab.http.post(f"{url}/v1/messages", json=ask()) as response,
        ):
            message = (await response.json())["error"]["message"]
        assert words in message
        assert len(message) < 3000
        await until(lambda: bool(sent), "the engine's end")
    assert sent[0] < most_mb
