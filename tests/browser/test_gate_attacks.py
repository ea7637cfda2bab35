"""The gate in front of the browsers, asked by those who have no token; no browser is started."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autosre_lab.browser.gate import Gate, GateConfig
from autosre_lab.serving.key_file import create_key, revoke_key
from autosre_lab.serving.keys import KeyRing
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


@contextmanager
def serving(keys: KeyRing | None = None) -> Iterator[int]:
    """The gate with a browser that would end at once."""
    ports: list[int] = []
    ready, stopping = threading.Event(), threading.Event()

    async def main() -> None:
        stop, started = asyncio.Event(), asyncio.Event()
        served = Gate(
            GateConfig(port=0, token=TOKEN, keys=keys),
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
    try:
        yield ports[0]
    finally:
        stopping.set()
        thread.join()


@pytest.fixture(scope="module")
def gate() -> Iterator[int]:
    with serving() as port:
        yield port


@pytest.mark.parametrize("way", REFUSED)
def test_nobody_gets_a_browser_or_a_word_of_one(gate: int, way: str) -> None:
    statuses = sent(gate, REFUSED[way], ends=True)
    assert all(400 <= status < 500 for status in statuses), statuses
    assert sent(gate, head(VERSION, RIGHT)) == [200]


def test_a_key_is_held_to_its_limits_and_named_server(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    mine = create_key(file, "mine", servers=["browser"], requests_per_minute=1).secret
    other = create_key(file, "other", servers=["proxy"]).secret
    with serving(KeyRing(file)) as port:

        def status(secret: str, *lines: str) -> list[int]:
            return sent(port, head(*(lines or (VERSION,)), f"Authorization: Bearer {secret}"))

        assert [status(one) for one in (TOKEN, mine, other, "autosre-x")] == [
            *([200], [200], [403], [401]),
        ]
        # /bin/false is no browser: it gets that far once a minute.
        assert status(mine, BROWSER, *UPGRADE, KEY) == [500]
        assert status(mine, BROWSER, *UPGRADE, KEY) == [429]
        revoke_key(file, "mine")
        assert status(mine) == [401]
