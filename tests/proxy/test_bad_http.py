"""What is no proper HTTP request is answered in the dialect's form, with a 4xx, never a 500."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest

from autosre_lab.scripted.chat_engine import Turn
from tests.proxy.conftest import StartLab, ask

pytestmark = pytest.mark.anyio

BODY = json.dumps(ask()).encode()


async def say(url: str, raw: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes and return the answer's status and decoded body."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b"application/json" in head, head
    # Not to the end of the connection: a server waits for the rest of a body that it has refused.
    size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    body = await reader.readexactly(size)
    writer.close()
    return int(head.split(b" ")[1]), json.loads(body)


def request(*headers: bytes, path: bytes = b"/v1/messages", body: bytes = BODY) -> bytes:
    named = b"".join(line + b"\r\n" for line in headers)
    host = b"" if b"host:" in named.lower() else b"Host: 127.0.0.1\r\n"
    return (
        b"POST "
        + path
        + b" HTTP/1.1\r\n"
        + host
        + named
        + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(b"X-Long: " + b"a" * 9000), 431),
        (request(b"X-Long: " + b"a" * 500_000), 431),
        (request(path=b"/v1/messages?" + b"a" * 9000), 431),
        (request(*(b"X-%d: a" % n for n in range(200))), 400),
        (request(b"Host: ["), 400),
        (request(b"Host: [::1"), 400),
        (request(b"Host: ]["), 400),
        (request(b"Host: 127.0.0.1:port"), 400),
        (request(b"Host: a b"), 403),
        (request(b"Host: evil.example"), 403),
        (request(b"Host: \xff"), 403),
        (request(b"Origin: http://["), 403),
        (request(b"Origin: \xff"), 403),
        (request(b"Origin: null"), 403),
        (request(b"X-Claude-Code-Session-Id: \xff\xfe"), 400),
        (request("X-Claude-Code-Session-Id: sitzung-ä".encode()), 400),
        (request(b"X-Claude-Code-Agent-Id: \xff"), 400),
        (request(path=b"/v1/m\xff"), 400),
        (request(path=b"/%ff%00"), 404),
        (request(path=b"//["), 404),
        (request(path=b"http://[/v1/messages"), 400),
        (request(path=b"*"), 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n", 400),
        (b"CONNECT /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (request(b"Content-Encoding: gzip"), 400),
        (request(b"Content-Encoding: deflate"), 400),
        (request(b"Content-Encoding: gzip", body=gzip.compress(BODY, mtime=0)[:-9]), 400),
        (request(b"Content-Encoding: br"), 415),
        (request(b"Content-Encoding: zstd"), 415),
        (request(b"Content-Encoding: \xff"), 415),
        (request(b"Content-Encoding: gzip, compress"), 415),
        (request(b"Expect: nonsense"), 417),
        (request(b"Transfer-Encoding: chunked"), 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        (b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
    ],
)
async def test_the_answer_has_the_dialects_form(
    start_lab: StartLab, raw: bytes, status: int
) -> None:
    lab = await start_lab()
    found, body = await say(lab.url, raw)
    assert (found, body["type"]) == (status, "error")
    assert lab.upstream.chats == []  # nothing is generated for it


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((b"Content-Encoding: gzip",), gzip.compress(BODY, mtime=0)),
        (
            (b"Content-Encoding: GZIP",),
            gzip.compress(BODY[:9], mtime=0) + gzip.compress(BODY[9:], mtime=0),
        ),
        ((b"Content-Encoding: x-gzip, identity",), gzip.compress(BODY, mtime=0)),
        ((b"Content-Encoding: deflate",), zlib.compress(BODY)),
        ((b"Content-Encoding: deflate",), zlib.compress(BODY)[2:-4]),
        ((b"Content-Encoding: deflate, gzip",), gzip.compress(zlib.compress(BODY), mtime=0)),
        ((b"Content-Encoding: identity",), BODY),
        ((b"X-Long: " + b"a" * 8000,), BODY),
        ((b"Expect: 100-continue",), BODY),
        ((b"Host: [::1]:80",), BODY),
        ((b"X-Odd: \xff",), BODY),
    ],
)
async def test_what_can_be_read_is_answered(
    start_lab: StartLab, headers: tuple[bytes, ...], body: bytes
) -> None:
    lab = await start_lab(Turn(text="fine"))
    host, port = lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request(*headers, body=body))
    received = await reader.read()
    writer.close()
    assert b"HTTP/1.1 200" in received
    assert b'"fine"' in received


async def test_a_small_body_that_grows_beyond_the_limit_is_too_large(start_lab: StartLab) -> None:
    lab = await start_lab(max_body_bytes=1_000_000)
    for body in (gzip.compress(bytes(50_000_000)), gzip.compress(b"x" * 1_000_001)):
        status, answer = await say(lab.url, request(b"Content-Encoding: gzip", body=body))
        assert (status, answer["error"]["type"]) == (413, "request_too_large")


@pytest.mark.parametrize("said", [b"", b"POST /v1/messages HT", b"GET / HTTP/1.1\r\nHost: local"])
async def test_a_silent_connection_is_closed(start_lab: StartLab, said: bytes) -> None:
    lab = await start_lab(idle_s=0.3)
    host, port = lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_a_body_that_pauses_too_long_is_given_up(
    start_lab: StartLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosre_lab.serving.http_server.PAUSE_S", 0.2)
    lab = await start_lab()
    status, answer = await say(lab.url, request()[:-5])
    assert (status, answer["type"]) == (408, "error")
    assert lab.upstream.chats == []
