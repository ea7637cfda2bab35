"""What stands in front of Chromium in a Pod: ``python -m autosre_lab.browser.gate``.

DevTools knows no password, and whoever speaks it can do anything with the browser. So Chromium
listens on loopback, and this gate lets through who shows the token. Each client gets a browser of
its own, which ends with the connection: no client sees another's pages, and none is left behind.

Standard library only, so that the image holds Python, Chromium and these files.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from autosre_lab.browser.chromium import LocalChromium, find_chromium
from autosre_lab.browser.egress import EgressProxy
from autosre_lab.browser.recordings import prune_recordings
from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.logs import configure_logging, get_logger
from autosre_lab.web.address_guard import AddressGuard
from autosre_lab.web.allow_list import AllowList

__all__ = ["Gate", "GateConfig", "main"]

HEAD_S = 10.0
HEAD_BYTES = 16 * 1024
CHUNK = 256 * 1024
PRUNE_EVERY_S = 3600.0
TOKEN_VARIABLE = "AUTOSRE_BROWSER_TOKEN"  # noqa: S105 - the variable's name

_logger = get_logger("autosre_lab.browser.gate")  # run as __main__, it has another name


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """How the gate serves.

    Attributes:
        host: The address to listen on.
        port: The port; 0 for a free one.
        token: What clients have to show.
        most: Clients that may have a browser at once.
        sandbox: Whether Chromium sandboxes itself; None: whenever this user can.
        profiles: Where the browsers' profiles are made; None for the system's temporary folder.
        recordings: A folder whose old recordings are deleted; None for none.
        ttl_h: Hours that a recording is kept.
    """

    host: str = "127.0.0.1"
    port: int = 3010
    token: str = field(default="", repr=False)
    most: int = 4
    sandbox: bool | None = None
    profiles: Path | None = None
    recordings: Path | None = None
    ttl_h: float = 24.0


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]


class Gate:
    """Gives a browser to each client that shows the token.

    Args:
        config: How.
        guard: Judges where the browsers may go.
        executable: Chromium.
        version: What it says of itself.
    """

    def __init__(
        self, config: GateConfig, guard: AddressGuard, *, executable: Path, version: str
    ) -> None:
        self._config = config
        self._executable = executable
        self._version = version
        self._egress = EgressProxy(guard)
        self._running = 0
        self.port = config.port

    async def serve(self, stop: asyncio.Event, *, started: asyncio.Event | None = None) -> None:
        """Serve until told to stop; every browser ends with it."""
        async with self._egress, asyncio.TaskGroup() as group:
            server = await asyncio.start_server(
                lambda reader, writer: group.create_task(self._client(reader, writer)),
                self._config.host,
                self._config.port,
                limit=HEAD_BYTES,
            )
            self.port = server.sockets[0].getsockname()[1]
            pruning = group.create_task(self._prune())
            if started is not None:
                started.set()
            _logger.info("serving %s on port %d", self._version, self.port)
            await stop.wait()
            server.close()
            pruning.cancel()
            for task in self._clients():
                task.cancel()

    @staticmethod
    def _clients() -> list[asyncio.Task[object]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == _CLIENT]

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run in one
        task.set_name(_CLIENT)
        try:
            async with asyncio.timeout(HEAD_S):
                request = _parse(await reader.readuntil(b"\r\n\r\n"))
            await self._answer(request, reader, writer)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            pass  # a client that went away, or speaks no HTTP
        except asyncio.LimitOverrunError:
            await _say(writer, 431, {"error": "the head is too large"})
        except AutosreError as error:
            _logger.error("%s", error)
            with suppress(OSError):
                await _say(writer, 500, {"error": error.message})
        finally:
            writer.close()

    async def _answer(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request.path == "/health":
            await _say(writer, 200, {"browser": self._version, "running": self._running})
        elif "origin" in request.headers:
            # A web page asks. No page has any business here.
            await _say(writer, 403, {"error": "not for web pages"})
        elif not self._may_enter(request):
            await _say(writer, 401, {"error": "this browser wants its bearer token"})
        elif request.headers.get("upgrade", "").lower() == "websocket":
            await self._give_browser(request, reader, writer)
        elif request.path in ("/json/version", "/json/version/"):
            host = request.headers.get("host", f"127.0.0.1:{self.port}")
            said = {
                "Browser": self._version,
                "Protocol-Version": "1.3",
                "webSocketDebuggerUrl": f"ws://{host}/devtools/browser",
            }
            await _say(writer, 200, said)
        elif request.path == "/pressure":
            await _say(writer, 200, {"running": self._running, "most": self._config.most})
        else:
            await _say(writer, 404, {"error": "ask for /json/version"})

    def _may_enter(self, request: _Request) -> bool:
        if not self._config.token:
            return True  # on loopback only: main() sees to it
        shown = request.headers.get("authorization", "")
        return hmac.compare_digest(shown.encode(), f"Bearer {self._config.token}".encode())

    async def _give_browser(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._running >= self._config.most:
            await _say(writer, 503, {"error": f"all {self._config.most} browsers are in use"})
            return
        self._running += 1
        chromium = LocalChromium(
            executable=self._executable,
            proxy_url=self._egress.url,
            sandbox=self._config.sandbox,
            folder=self._config.profiles,
        )
        try:
            target = urlsplit(await chromium.start())
            there, to = await asyncio.open_connection(target.hostname, target.port)
            kept = {
                name: value
                for name, value in request.headers.items()
                if name not in ("host", "authorization")
            }
            lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.netloc}"]
            lines += [f"{name}: {value}" for name, value in kept.items()]
            to.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            ways = [
                asyncio.create_task(_pipe(reader, to)),
                asyncio.create_task(_pipe(there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                to.close()
        finally:
            await asyncio.shield(chromium.close())
            self._running -= 1

    async def _prune(self) -> None:
        while self._config.recordings is not None:
            pruned = await asyncio.to_thread(
                prune_recordings, self._config.recordings, ttl_h=self._config.ttl_h
            )
            if pruned.paths:
                _logger.info("%d old recordings were deleted", len(pruned.paths))
            await asyncio.sleep(PRUNE_EVERY_S)


_CLIENT = "client"
_REASONS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 503: "Busy"}


def _parse(raw: bytes) -> _Request:
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # A header that is there twice could be read in two ways.
        if not colon or name.lower() in headers:
            raise ValueError(line)
        headers[name.lower()] = value.strip()
    return _Request(method, urlsplit(target).path, headers)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def _say(writer: asyncio.StreamWriter, status: int, said: Mapping[str, object]) -> None:
    body = json.dumps(said).encode()
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status == 401:
        lines.append("WWW-Authenticate: Bearer")
    if status == 503:
        lines.append("Retry-After: 10")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve browsers until a signal comes.

    Returns:
        The exit status: 2 for what the caller has to mend.
    """
    parser = argparse.ArgumentParser(
        prog="python -m autosre_lab.browser.gate",
        description="Gives a Chromium of its own to each client that shows the token of "
        f"{TOKEN_VARIABLE}; AUTOSRE_FETCH_ALLOW opens addresses besides the public web.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=3010)
    parser.add_argument("--most", type=int, default=4, help="browsers at once")
    parser.add_argument("--chromium", default="", help="the program; the first one found otherwise")
    parser.add_argument("--no-sandbox", action="store_true", help="where the container is one")
    parser.add_argument("--profiles", type=Path, help="folder for the browsers' profiles")
    parser.add_argument("--recordings", type=Path, help="folder whose old recordings are deleted")
    parser.add_argument("--ttl-hours", type=float, default=24.0, help="how long they are kept")
    options = parser.parse_args(argv)
    configure_logging("info")
    try:
        config = GateConfig(
            host=options.host,
            port=options.port,
            token=os.environ.pop(TOKEN_VARIABLE, ""),
            most=options.most,
            sandbox=False if options.no_sandbox else None,
            profiles=options.profiles,
            recordings=options.recordings,
            ttl_h=options.ttl_hours,
        )
        if not config.token and not ip_address(config.host).is_loopback:
            raise ConfigError(
                f"the gate would give browsers to everybody who reaches {config.host}",
                remedy=f"set {TOKEN_VARIABLE}, or listen on 127.0.0.1",
            )
        guard = AddressGuard(allow=AllowList.parse(os.environ.get("AUTOSRE_FETCH_ALLOW", "")))
        asyncio.run(_serve(config, guard, find_chromium(options.chromium)))
    except (AutosreError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


async def _serve(config: GateConfig, guard: AddressGuard, executable: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # A browser that starts once says that it will start again, and which one it is.
    probe = LocalChromium(executable=executable, sandbox=config.sandbox, folder=config.profiles)
    try:
        version = await _version(await probe.start())
    finally:
        await probe.close()
    await Gate(config, guard, executable=executable, version=version).serve(stop)


async def _version(ws_url: str) -> str:
    target = urlsplit(ws_url)
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    writer.write(f"GET /json/version HTTP/1.1\r\nHost: {target.netloc}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].split("\r\n")[0])
    said = json.loads(await reader.readexactly(length))
    writer.close()
    return str(said["Browser"])


if __name__ == "__main__":
    sys.exit(main())
