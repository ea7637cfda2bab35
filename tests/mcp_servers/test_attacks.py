"""MCP over HTTP, asked by those who have no business there; the list that docs/safety.md counts."""

# ruff: noqa: E501 - requests on a line each
from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.mcp_servers.test_serving import REQUEST, http_server
from tests.support.raw_http import head, sent

TOKEN = "t0ken-of-the-server"
BODY = json.dumps(REQUEST).encode()
JSON = ("Content-Type: application/json", "Accept: application/json, text/event-stream")
CLOSE = "Connection: close"


def asked(*lines: str, host: str | None = "127.0.0.1:1", body: bytes = BODY) -> bytes:
    return head("POST /mcp HTTP/1.1", *JSON, CLOSE, *lines, host=host, body=body)


WITHOUT_A_TOKEN = {
    "a rebound name": asked(host="evil.example"),
    "a rebound name with a port": asked(host="evil.example:8020"),
    "a name that ends like ours": asked(host="localhost.evil.example"),
    "a name that begins like ours": asked(host="127.0.0.1.evil.example"),
    "no host at all": asked(host=""),
    "two hosts": asked("Host: evil.example"),
    "a host in pieces": asked(host="[::1"),
    "a host with a user": asked(host="evil@evil.example"),
    "a public address": asked(host="93.184.216.34"),
    "a page of another site": asked("Origin: https://evil.example"),
    "a page of a rebound name": asked("Origin: http://evil.example", host="evil.example"),
    "a page without an origin": asked("Origin: null"),
    "a page from a file": asked("Origin: file://"),
    "two origins": asked("Origin: http://localhost", "Origin: https://evil.example"),
    "an origin that ends like ours": asked("Origin: http://localhost.evil.example"),
    "an origin with a user": asked("Origin: http://localhost@evil.example"),
    "a preflight of a page": head(
        "OPTIONS /mcp HTTP/1.1", "Origin: https://evil.example", CLOSE,
        "Access-Control-Request-Method: POST",
    ),
}  # fmt: skip
WITH_A_TOKEN = {
    "no token": asked(),
    "an empty token": asked("Authorization: Bearer "),
    "another token": asked("Authorization: Bearer wrong"),
    "a longer token": asked(f"Authorization: Bearer {TOKEN}x"),
    "a shorter token": asked(f"Authorization: Bearer {TOKEN[:-1]}"),
    "a token in other letters": asked(f"Authorization: Bearer {TOKEN.upper()}"),
    "another scheme": asked(f"Authorization: Basic {TOKEN}"),
    "no scheme": asked(f"Authorization: {TOKEN}"),
    "two tokens": asked("Authorization: Bearer wrong", f"Authorization: Bearer {TOKEN}"),
    "the right one first": asked(f"Authorization: Bearer {TOKEN}", "Authorization: Bearer x"),
    "a token in the URL": head(
        f"POST /mcp?token={TOKEN} HTTP/1.1", *JSON, CLOSE, body=BODY
    ),
    "a token as a cookie": asked(f"Cookie: token={TOKEN}; authorization=Bearer {TOKEN}"),
    "a token of other bytes": asked("Authorization: Bearer \udcff\udcfe"),
    "a page with no token": asked("Origin: http://localhost"),
    "a page with the token": asked("Origin: https://evil.example", f"Authorization: Bearer {TOKEN}"),
    "a body beyond the limit": asked(
        f"Authorization: Bearer {TOKEN}", "Content-Length: 99999999999", body=b"{"
    ),
    "a stream that ends in the middle": head("GET /mcp HTTP/1.1", "Accept: text/event-stream", CLOSE),
    "another path": head("POST /mcp/../mcp HTTP/1.1", *JSON, CLOSE, body=BODY),
}  # fmt: skip
NO_HTTP = {
    "two lengths": asked(f"Content-Length: {len(BODY)}", "Content-Length: 0"),
    "a length and chunks": asked(
        "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "a negative length": asked("Content-Length: -1"),
    "chunks without an end": asked("Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n"),
    "a control byte in a name": asked("X\x01Y: 1"),
    "a header of 200 kB": asked("X: " + "a" * 200_000),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a line without an end": b"POST /mcp",
    "broken JSON": asked(body=b"{" * 5_000),
    "deep JSON": asked(body=b"[" * 100_000),
    "not UTF-8": asked(body=b"\xff\xfe{}"),
}
"""With the token of nobody: whatever it is, no tool is reached and the server lives."""


@pytest.fixture(scope="module")
def free() -> Iterator[int]:
    with http_server() as url:
        yield int(url.rpartition(":")[2].partition("/")[0])


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    with http_server(AUTOSRE_MCP_TOKEN=TOKEN) as url:
        yield int(url.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize("way", WITHOUT_A_TOKEN)
def test_no_web_page_reaches_a_server_of_this_machine(free: int, way: str) -> None:
    assert sent(free, asked()) == [200]
    (status,) = sent(free, WITHOUT_A_TOKEN[way])
    assert status in (400, 403, 421), status


@pytest.mark.parametrize("way", WITH_A_TOKEN)
def test_nobody_without_the_token_reaches_a_server_that_has_one(guarded: int, way: str) -> None:
    (status,) = sent(guarded, WITH_A_TOKEN[way])
    assert status in (400, 401, 403, 404, 413), status
    assert sent(guarded, asked(f"Authorization: Bearer {TOKEN}")) == [200]


@pytest.mark.parametrize("way", NO_HTTP)
def test_what_is_no_request_reaches_nothing_and_ends_nothing(
    free: int, guarded: int, way: str
) -> None:
    for port in (free, guarded):
        statuses = sent(port, NO_HTTP[way], ends=True)
        assert all(400 <= status < 500 for status in statuses), statuses
    assert sent(free, asked()) == [200]
