"""The gate in front of the browsers, asked by those who have no token; no browser is started."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autosre_lab.browser.gate import Gate, GateConfig
from autosre_lab.web import AddressGuard
from tests.support.raw_http import head, sent

TOKEN = "t0ken-of-the-gate"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
RIGHT = f"Authorization: Bearer {TOKEN}"

VERSION, BROWSER = "GET /json/version HTTP/1.1", "GET /devtools/browser HTTP/1.1"
REFUSED = {
    "no token": head(VERSION),
    "another token": head(VERSION, "Authorization: Bearer wrong"),
    "a longer token": head(VERSION, f"{RIGHT}x"),
    "a token in the URL": head(f"GET /json/version?token={TOKEN} HTTP/1.1"),
    "another scheme": head(VERSION, f"Authorization: Basic {TOKEN}"),
    "a token of other bytes": head(VERSION, "Authorization: Bearer \udcff"),
    "two tokens": head(VERSION, "Authorization: Bearer x", RIGHT),
    "a page with the token": head(VERSION, RIGHT, "Origin: http://evil.example"),
    "a page without an origin": head(VERSION, RIGHT, "Origin: null"),
    "a browser without a token": head(BROWSER, *UPGRADE, KEY),
    "a browser with another token": head(BROWSER, *UPGRADE, KEY, "Authorization: Bearer wrong"),
    "a browser for a page": head(BROWSER, *UPGRADE, KEY, RIGHT, "Origin: http://127.0.0.1"),
    "a list of targets": head("GET /json/list HTTP/1.1", RIGHT),
    "a new target": head("PUT /json/new?file:///etc/hostname HTTP/1.1", RIGHT),
    "an absolute address": head("GET http://127.0.0.1/json/new HTTP/1.1", RIGHT),
    "a tunnel": head("CONNECT 127.0.0.1:22 HTTP/1.1", RIGHT),
    "a head of 20 kB": head(VERSION, RIGHT, "X: " + "a" * 20_000),
    "a line without a colon": head(VERSION, RIGHT, "nonsense"),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
}


@pytest.fixture(scope="module")
def gate() -> Iterator[int]:
    """The gate with a browser that would end at once: nobody here gets so far."""
    ports: list[int] = []
    ready, stopping = threading.Event(), threading.Event()

    async def main() -> None:
        stop, started = asyncio.Event(), asyncio.Event()
        served = Gate(
            GateConfig(port=0, token=TOKEN),
            AddressGuard(),
            executable=Path("/bin/false"),
            version="Chrome/0",
        )
        serving = asyncio.create_task(served.serve(stop, started=started))
        await started.wait()
        ports.append(served.port)
        ready.set()
        await asyncio.to_thread(stopping.wait)
        stop.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(20)
    yield ports[0]
    stopping.set()
    thread.join()


@pytest.mark.parametrize("way", REFUSED)
def test_nobody_gets_a_browser_or_a_word_of_one(gate: int, way: str) -> None:
    statuses = sent(gate, REFUSED[way], ends=True)
    assert all(400 <= status < 500 for status in statuses), statuses
    assert sent(gate, head(VERSION, RIGHT)) == [200]
