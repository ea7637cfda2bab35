"""The same over real connections: odd requests to a proxy, and an engine that speaks odd HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn
from autosre_lab.serving import http_server
from tests.proxy.attack.bodies import valid_bodies
from tests.proxy.attack.mutation import changed, respelled
from tests.proxy.attack.streams import check_events, odd_stream

__all__ = ["Forgetful", "odd_answer", "odd_request", "try_answers", "try_requests"]

_WITHIN_S = 60.0
_AT_ONCE = 24
_PATHS = {"messages": "/v1/messages", "responses": "/v1/responses"}
_LINES = [
    b"Host: 127.0.0.1",
    b"Host: evil.example",
    b"Host: [",
    b"Origin: null",
    b"Origin: http://127.0.0.1:9",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br, gzip",
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b"Connection: close, x",
    b"X-Claude-Code-Session-Id: \xff",
    b"X-Claude-Code-Session-Id: " + b"s" * 4000,
    b"X-Long: " + b"x" * 9000,
    b"X-Api-Key: \xe9",
    b"Authorization: Bearer",
    b"Authorization: Basic \xff",
    b"Content-Type: multipart/form-data; boundary=x",
    b"Content-Type: \x00",
    b"Session_id: \xff",
    b"Accept-Encoding: zstd",
    b"Range: bytes=0-1",
    b" folded",
    b": no name",
    b"No colon",
    b"X: a\rb",
    b"Cookie: " + b"a=b; " * 800,
]
_TARGETS = [
    b"/v1/messages?beta=true",
    b"//v1/messages/",
    b"/v1/v1/messages",
    b"/v1/messages/count_tokens",
    b"/v1/models/%00",
    b"/v1/models/../../etc",
    b"/%ff",
    b"*",
    b"http://evil.example/v1/messages",
    b"/v1/messages#x",
    b"/v1/responses/input_tokens",
    b"/metrics",
    b"/" + b"a" * 9000,
    b"",
]
_METHODS = [b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"CONNECT", b"TRACE", b"post", b"\xff"]


def odd_request(random: Random, bodies: dict[str, list[dict[str, Any]]]) -> bytes:
    """Return the bytes of an HTTP request with something wrong in head or body."""
    name = random.choice(list(_PATHS))
    body = json.dumps(changed(random.choice(bodies[name]), random, random.randint(0, 2))).encode()
    target = random.choice(_TARGETS) if random.random() < 0.2 else _PATHS[name].encode()
    method = random.choice(_METHODS) if random.random() < 0.15 else b"POST"
    lines = [b"Host: 127.0.0.1"] if random.random() < 0.9 else []
    lines += random.sample(_LINES, random.randint(0, 3))
    if random.random() < 0.9:
        lines.append(b"Content-Length: %d" % len(body))
    head = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), *lines, b"Connection: close"])
    if random.random() < 0.25:
        head = respelled(head, random, random.randint(1, 3))
    return head + b"\r\n\r\n" + body


async def try_requests(count: int, seed: str) -> Counter[str]:
    """Send odd requests; each is answered in a dialect's form, never with a mistake of ours."""
    bodies = valid_bodies()

    async def one(url: str, random: Random) -> str:
        received = await _sent(url, odd_request(random, bodies))
        if not received:
            return "closed"  # it was no whole request, and nothing more came
        return _checked(received, None)

    async with ScriptedVllm([Turn(text="fine")]) as engine:
        # Every request is another client's; what they show of each other is not kept.
        engine.requests = Forgetful()
        return await _many(engine.url, count, seed, one, idle_s=1.0)


def odd_answer(random: Random) -> bytes:
    """Return the bytes of an engine's HTTP answer with something wrong in it."""
    pieces = odd_stream(random)
    body = b"".join(pieces)
    status = random.choice(_STATUSES) if random.random() < 0.4 else b"200 OK"
    kind = random.choice([b"text/event-stream", b"text/event-stream", b"application/json", b"x"])
    lines = [b"content-type: " + kind]
    lines += random.sample(_ENGINE_LINES, random.choice([0, 0, 0, 1, 2]))
    framing = random.random()
    if framing < 0.6:
        lines.append(b"transfer-encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces if one)
        body += random.choice(
            [b"0\r\n\r\n", b"0\r\n\r\n", b"", b"zz\r\n", b"ffffffffffffffffff\r\n"]
        )
    elif framing < 0.8:
        lines.append(b"content-length: %d" % (len(body) + random.choice([0, 0, 9, -3])))
    head = b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"connection: close"])
    if random.random() < 0.15:
        head = respelled(head, random, random.randint(1, 3))
    return head + b"\r\n\r\n" + body


_STATUSES = [
    *(b"%d x" % n for n in (201, 204, 206, 301, 304, 307, 400, 401, 403, 404, 408, 413, 418, 422)),
    *(b"%d x" % n for n in (429, 500, 501, 502, 503, 504, 529, 599, 999)),
    b"200",
    b"abc x",
    b"100 Continue\r\n\r\nHTTP/1.1 200 OK",
    b"103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK",
    b"101 Switching Protocols",
]
_ENGINE_LINES = [
    b"retry-after: 5\x01",
    b"retry-after: \xff",
    b"retry-after: Wed, 21 Oct 2099 07:28:00 GMT",
    b"location: http://169.254.169.254/",
    b"content-encoding: gzip",
    b"content-encoding: nonsense",
    b"transfer-encoding: gzip",
    b"set-cookie: a=\x02b",
    b"content-length: x",
    b"x-long: " + b"x" * 9000,
    b"trailer: x",
    b"upgrade: h2c",
    b"content-type: application/json; charset=nonsense",
]


async def try_answers(count: int, seed: str) -> Counter[str]:
    """Let an engine answer oddly; each client gets a legal answer or an error in words."""
    bodies: dict[str, dict[str, Any]] = {
        "messages": {"max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]},
        "responses": {"input": "hi"},
    }
    numbers = iter(range(10**9))

    async def one(url: str, random: Random) -> str:
        name = random.choice(list(_PATHS))
        asked = {"model": str(next(numbers)), "stream": random.random() < 0.6, **bodies[name]}
        body = json.dumps(asked).encode()
        head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d"
        sent = head % (_PATHS[name].encode(), len(body)) + b"\r\n\r\n" + body
        received = await _sent(url, sent)
        return _checked(received, name if asked["stream"] else None)

    async with _raw_engine(Random(f"{seed} engine")) as url:
        return await _many(url, count, seed, one)


@asynccontextmanager
async def _raw_engine(random: Random) -> AsyncIterator[str]:
    """An engine that is in order but for its answers."""
    async with ScriptedVllm() as well:
        well.requests = Forgetful()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(found[1]) if found else 0)
                if b"/v1/chat/completions" in head:
                    writer.write(odd_answer(random))
                else:
                    writer.write(await _passed_on(well.port, head, body))
                await writer.drain()
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _passed_on(port: int, head: bytes, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.replace(b"\r\n", b"\r\nconnection: close\r\n", 1) + body)
        return await reader.read()
    finally:
        writer.close()


class Forgetful(list[Any]):
    """Keeps none of the requests that an engine gets."""

    def append(self, one: Any) -> None:
        """Keep nothing."""


async def _many(
    engine: str,
    count: int,
    seed: str,
    one: Callable[[str, Random], Awaitable[str]],
    *,
    idle_s: float = 60.0,
) -> Counter[str]:
    """Try `count` times, some at once, through one proxy that has to be well in the end."""
    found: Counter[str] = Counter()
    pause, http_server.PAUSE_S = http_server.PAUSE_S, 0.5
    try:
        async with running_proxy(ProxyConfig(upstream=engine, port=0, idle_s=idle_s)) as url:
            left = iter(range(count))

            async def work() -> None:
                for number in left:
                    try:
                        found[await one(url, Random(f"{seed} {number}"))] += 1
                    except (AssertionError, ValueError, TimeoutError) as error:
                        raise AssertionError(f"try {number} of {seed}: {error!r}") from error

            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(work())
            health = await _sent(url, b"GET /health HTTP/1.0\r\n\r\n")
            assert b'"running":0' in health, health
    finally:
        http_server.PAUSE_S = pause
    return found


async def _sent(url: str, data: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(_WITHIN_S):
            writer.write(data)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def _checked(received: bytes, streamed: str | None) -> str:
    """Return the kind of an answer that is right; raise where it is not."""
    while received.startswith(b"HTTP/1.1 100"):
        received = received.partition(b"\r\n\r\n")[2]
    head, _, body = received.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/\d\.\d (\d{3}) ", head)
    assert found, f"no HTTP answer: {received[:200]!r}"
    status = int(found[1])
    if length := re.search(rb"(?i)\r\ncontent-length: (\d+)", head):
        body = body[: int(length[1])]  # a body without its length is read as another request
    if b"transfer-encoding: chunked" in head.lower():
        body = _dechunked(body)
    if status >= 400:
        error = json.loads(body or b'{"error":{"message":"HEAD"}}')["error"]
        assert error["message"], body
        assert "the proxy failed" not in error["message"], body
        return f"{status // 100}xx"
    if b"text/event-stream" not in head:
        assert streamed is None or not body, received[:300]
        return "200"
    name = streamed or ("responses" if b"event: response." in body[:40] else "messages")
    failed = b'"type":"error"' in body if name == "messages" else b"response.failed" in body
    check_events(name, body, not failed)
    return "error in the stream" if failed else "200"


def _dechunked(body: bytes) -> bytes:
    plain = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        plain += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return plain
