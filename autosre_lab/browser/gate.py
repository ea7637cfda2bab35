"""What stands in front of Chromium in a Pod: ``python -m autosre_lab.browser.gate``.

DevTools knows no password, and whoever speaks it can do anything with the browser. So Chromium
is driven over a pipe, and this gate lets through who shows the token. Each client gets a browser of
its own, which ends with the connection: no client sees another's pages, and none is left behind.

Standard library only, so that the image holds Python, Chromium and these files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from autosre_lab.browser.chromium import LocalChromium, find_chromium
from autosre_lab.browser.devtools import (
    HEAD_BYTES,
    HEAD_S,
    Request,
    accept_websocket,
    carry,
    parse_request,
)
from autosre_lab.browser.egress import EgressProxy
from autosre_lab.browser.recordings import prune_recordings
from autosre_lab.errors import AutosreError
from autosre_lab.logs import configure_logging, get_logger
from autosre_lab.serving.key_limits import KeyLimits
from autosre_lab.serving.keys import ClientKey, KeyRing
from autosre_lab.serving.listener import listen
from autosre_lab.serving.reach import Denial, check_reach
from autosre_lab.serving.token import read_token, shows_token
from autosre_lab.settings import load_settings
from autosre_lab.web.address_guard import AddressGuard
from autosre_lab.web.allow_list import AllowList
from autosre_lab.web.environment import start_again_without_secrets

__all__ = ["Gate", "GateConfig", "main"]

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
        keys: Keys of single clients that count as well, each with its limits.
        most: Clients that may have a browser at once.
        sandbox: Whether Chromium sandboxes itself; None: whenever this user can.
        profiles: Where the browsers' profiles are made; None for the system's temporary folder.
        recordings: A folder whose old recordings are deleted; None for none.
        ttl_h: Hours that a recording is kept.
    """

    host: str = "127.0.0.1"
    port: int = 3010
    token: str = field(default="", repr=False)
    keys: KeyRing | None = None
    most: int = 4
    sandbox: bool | None = None
    profiles: Path | None = None
    recordings: Path | None = None
    ttl_h: float = 24.0


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
        self._limits = KeyLimits()
        self.port = config.port

    async def serve(self, stop: asyncio.Event, *, started: asyncio.Event | None = None) -> None:
        """Serve until told to stop; every browser ends with it."""
        async with self._egress, asyncio.TaskGroup() as group:
            server = await asyncio.start_server(
                lambda reader, writer: group.create_task(self._client(reader, writer)),
                sock=listen(self._config.host, self._config.port),
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
                request = parse_request(await reader.readuntil(b"\r\n\r\n"))
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
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request.path == "/health":
            await _say(writer, 200, {"browser": self._version, "running": self._running})
        elif "origin" in request.headers:
            # A web page asks. No page has any business here.
            await _say(writer, 403, {"error": "not for web pages"})
        elif isinstance(found := self._who(request), Denial):
            await _deny(writer, found)
        elif request.headers.get("upgrade", "").lower() == "websocket":
            await self._within_limits(found, request, reader, writer)
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

    def _who(self, request: Request) -> ClientKey | Denial | None:
        """Return whose key is shown, why nothing is given, or None for the owner."""
        token, keys = self._config.token, self._config.keys
        if keys is None and not token:
            return None  # on loopback only: main() sees to it
        if token and shows_token(request.headers, token):
            return None
        found = keys.find(request.headers, server="browser") if keys is not None else None
        return found or Denial(401, "this browser wants its bearer token")

    async def _within_limits(
        self,
        key: ClientKey | None,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if key is None:
            return await self._give_browser(request, reader, writer)
        if (denial := self._limits.begin(key)) is not None:
            return await _deny(writer, denial)
        try:
            return await self._give_browser(request, reader, writer)
        finally:
            self._limits.end(key)

    async def _give_browser(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
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
            pipe = await chromium.start()
            await accept_websocket(request, writer)
            await carry(reader, writer, pipe)
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
_BUSY_S = 10
_REASONS = {
    200: "OK",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    503: "Busy",
}


async def _deny(writer: asyncio.StreamWriter, denial: Denial) -> None:
    wait_s = _BUSY_S if denial.retry_after_s is None else denial.retry_after_s
    await _say(writer, denial.status, {"error": denial.message}, wait_s=wait_s)


async def _say(
    writer: asyncio.StreamWriter,
    status: int,
    said: Mapping[str, object],
    *,
    wait_s: int = _BUSY_S,
) -> None:
    body = json.dumps(said).encode()
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if status == 401:
        lines.append("WWW-Authenticate: Bearer")
    if status in (429, 503):
        lines.append(f"Retry-After: {wait_s}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve browsers until a signal comes.

    Returns:
        The exit status: 2 for what the caller has to fix.
    """
    parser = argparse.ArgumentParser(
        prog="python -m autosre_lab.browser.gate",
        description="Gives a Chromium of its own to each client that shows the token of "
        f"{TOKEN_VARIABLE}; AUTOSRE_FETCH_ALLOW opens addresses besides the public web. Recordings "
        "in RECORDING_PATH are deleted after AUTOSRE_BROWSER_RECORDING_TTL hours.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=3010)
    parser.add_argument("--most", type=int, default=4, help="browsers at once")
    parser.add_argument("--chromium", default="", help="the program; the first one found otherwise")
    parser.add_argument("--no-sandbox", action="store_true", help="where the container is one")
    parser.add_argument(
        "--keys-file",
        type=Path,
        help="keys of single clients, made by `autosre keys create --server browser`",
    )
    parser.add_argument("--profiles", type=Path, help="folder for the browsers' profiles")
    if argv is None:
        start_again_without_secrets(TOKEN_VARIABLE)
    options = parser.parse_args(argv)
    configure_logging("info")
    try:
        settings = load_settings()
        config = GateConfig(
            host=options.host,
            port=options.port,
            token=read_token(TOKEN_VARIABLE) or "",
            keys=None if options.keys_file is None else KeyRing(options.keys_file),
            most=options.most,
            sandbox=False if options.no_sandbox else None,
            profiles=options.profiles,
            recordings=Path(settings.recording_path) if settings.recording_path else None,
            ttl_h=settings.browser_recording_ttl,
        )
        check_reach(
            config.host, config.token, server="the browser's gate", remedy=f"set {TOKEN_VARIABLE}"
        )
        guard = AddressGuard(allow=AllowList.parse(settings.fetch_allow))
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
        await probe.start()
    finally:
        await probe.close()
    await Gate(config, guard, executable=executable, version=probe.version).serve(stop)


if __name__ == "__main__":
    sys.exit(main())
