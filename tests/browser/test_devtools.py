"""The browser's pipe and the one door to it: who gets in, and that messages arrive whole."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import psutil
import pytest

from autosre_lab.browser import BrowserConfig, BrowserSessions, LocalChromium
from autosre_lab.browser.devtools import DevToolsPipe, WebSocketDoor, parse_request
from autosre_lab.web import AddressGuard
from tests.browser.conftest import Run

NOBODY = 65534
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def opening(*headers: str, path: str = "/") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {KEY}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def frame(payload: bytes, *, opcode: int = 1, final: bool = True, masked: bool = True) -> bytes:
    first = opcode | (0x80 if final else 0)
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes((first, bit | len(payload)))
    elif len(payload) < 65536:
        head = bytes((first, bit | 126)) + len(payload).to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = b"\x01\x82\x03\x84"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def heard(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """Return what comes up to the next whole message: control frames first, as they came."""
    controls, whole = [], b""
    while True:
        first, length = await reader.readexactly(2)
        assert length < 0x80, "a server masks nothing"
        if length >= 126:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        payload = await reader.readexactly(length)
        if first & 0x0F >= 8:
            controls.append((first & 0x0F, payload))
            if first & 0x0F == 8:
                return controls
            continue
        whole += payload
        if first & 0x80:
            return [*controls, (1, whole)]


def through_an_echo(use: Callable[[WebSocketDoor], Awaitable[None]]) -> None:
    """Open a door in front of a program that says what it hears."""

    async def main() -> None:
        echo = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        assert echo.stdin is not None
        assert echo.stdout is not None
        try:
            async with WebSocketDoor(DevToolsPipe(echo.stdout, echo.stdin)) as door:
                async with asyncio.timeout(30):
                    await use(door)
        finally:
            echo.stdin.close()
            await echo.wait()

    asyncio.run(main())


async def knocked(door: WebSocketDoor, request: bytes) -> tuple[bytes, Streams]:
    port = int(door.url.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    return await reader.readuntil(b"\r\n\r\n"), (reader, writer)


async def entered(door: WebSocketDoor) -> Streams:
    answer, streams = await knocked(
        door, opening(f"Authorization: {door.headers['Authorization']}")
    )
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455's own example
    return streams


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536, 700_001])
def test_messages_arrive_whole_in_both_directions(size: int) -> None:
    text = bytes(97 + at % 26 for at in range(size))

    async def use(door: WebSocketDoor) -> None:
        reader, writer = await entered(door)
        writer.write(frame(text) + frame(b"next"))
        assert await heard(reader) == [(1, text)]
        assert await heard(reader) == [(1, b"next")]
        writer.close()
        await writer.wait_closed()

    through_an_echo(use)


def test_a_message_in_pieces_with_a_ping_between_them_is_one() -> None:
    async def use(door: WebSocketDoor) -> None:
        reader, writer = await entered(door)
        writer.write(frame(b"one ", final=False) + frame(b"hello", opcode=9))
        writer.write(frame(b"message", opcode=0))
        assert await heard(reader) == [(10, b"hello"), (1, b"one message")]
        writer.write(frame(b"\x03\xe8", opcode=8))
        assert await heard(reader) == [(8, b"\x03\xe8")]
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    through_an_echo(use)


@pytest.mark.parametrize("bad", [frame(b"x", masked=False), frame(b"x" * 126, opcode=9)])
def test_what_no_client_sends_ends_the_connection(bad: bytes) -> None:
    async def use(door: WebSocketDoor) -> None:
        reader, writer = await entered(door)
        writer.write(bad)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    through_an_echo(use)


def test_only_the_token_opens_the_door_and_only_once() -> None:
    async def use(door: WebSocketDoor) -> None:
        right = door.headers["Authorization"]
        for headers in (
            [],
            ["Authorization: Bearer "],
            ["Authorization: Bearer x"],
            [f"Authorization: {right}x"],
            [f"Authorization: {right[:-1]}"],
            [f"Authorization: {right}", "Origin: http://localhost"],
            ["Authorization: Bearer \xff"],
        ):
            answer, (_, writer) = await knocked(door, opening(*headers))
            assert answer.startswith(b"HTTP/1.1 401 "), headers
            writer.close()
            await writer.wait_closed()
        _, writer = await entered(door)
        with pytest.raises(ConnectionError):
            await knocked(door, opening(f"Authorization: {right}"))
        writer.close()
        await writer.wait_closed()

    through_an_echo(use)


def test_a_header_that_stands_twice_is_no_request() -> None:
    with pytest.raises(ValueError, match="authorization"):
        parse_request(
            b"GET / HTTP/1.1\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"
        )


def listening(process: psutil.Process) -> list[int]:
    found = []
    for one in (process, *process.children(recursive=True)):
        try:
            connections = one.net_connections(kind="inet")
        except psutil.Error:
            continue
        found += [at.laddr.port for at in connections if at.status == psutil.CONN_LISTEN]
    return found


@pytest.mark.browser
def test_a_browser_listens_nowhere(run: Run) -> None:
    async def scenario() -> None:
        chromium = LocalChromium()
        await chromium.start()
        try:
            assert chromium.version.startswith(("Chrome/", "HeadlessChrome/"))
            assert chromium.pid is not None
            assert listening(psutil.Process(chromium.pid)) == []
        finally:
            await chromium.close()

    run(scenario())


STRANGER = """
import json, os, socket, sys
"127.0.0.1".encode("idna")  # loads what the other user may not read
pid, ports = int(sys.argv[1]), [int(port) for port in sys.argv[2:]]
if os.geteuid() == 0:  # become another user, with nothing left to become root again
    os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
upgrade = "Upgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n"
guess = upgrade + "Authorization: Bearer guess\\r\\n"
listed = ("/json", "/json/list", "/json/version", "/json/protocol", "/json/new?file:///etc/hostname")
asked = [(verb, path, "") for path in listed for verb in ("GET", "PUT")]
doors = ("/", "/devtools/browser", "/devtools/page/1")
asked += [("GET", path, head) for path in doors for head in (upgrade, guess)]
answers = []
for port in ports:
    for verb, path, head in asked:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
                lines = f"{verb} {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n{head}\\r\\n"
                one.sendall(lines.encode())
                answers.append(one.recv(65536).decode("latin-1"))
        except OSError as error:
            answers.append(repr(error))
files = []
for name in ("fd/3", "fd/4", "environ"):
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            files.append(name)
    except OSError:
        pass
print(json.dumps({"uid": os.getuid(), "answers": answers, "files": files}))
"""


def as_another_user(pid: int, ports: list[int]) -> dict[str, object]:
    """Let another user of this machine try; where we may not become one, ourselves."""
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, str(pid), *map(str, ports)],
        stdout=subprocess.PIPE,
        check=True,
        encoding="utf-8",
        timeout=120,
    )
    said: dict[str, object] = json.loads(done.stdout)
    return said


@pytest.mark.browser
def test_another_user_of_this_machine_finds_no_way_to_the_browser(
    run: Run, config: BrowserConfig
) -> None:
    async def scenario() -> None:
        before = set(listening(psutil.Process(os.getpid())))
        async with BrowserSessions(config, AddressGuard(allow=config.allow)) as sessions:
            await sessions.open()
            connection = sessions.connection
            assert connection is not None
            assert connection.pid is not None
            ports = sorted(set(listening(psutil.Process(os.getpid()))) - before)
            assert len(ports) == 1, "only the way out listens"
            said = await asyncio.to_thread(as_another_user, connection.pid, ports)
            text = json.dumps(said["answers"])
            for found in (
                "webSocketDebuggerUrl",
                "targetId",
                "Chrome/",
                "devtoolsFrontendUrl",
                " 101 ",
            ):
                assert found not in text
            if os.geteuid() == 0:
                assert (said["uid"], said["files"]) == (NOBODY, [])

    run(scenario())
