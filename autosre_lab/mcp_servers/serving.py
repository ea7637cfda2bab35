"""How every server here is started: stdio, or HTTP on loopback, or HTTP with a token."""

from __future__ import annotations

import argparse
import hmac
import importlib.util
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import AutosreError, ConfigError, MissingExtraError, PortTakenError
from autosre_lab.logs import configure_logging
from autosre_lab.settings import load_settings
from autosre_lab.web.environment import start_again_without_secrets

if TYPE_CHECKING:
    from autosre_lab.mcp_servers.tool_server import ToolServer

__all__ = ["TOKEN_VARIABLE", "require_token", "run_server"]

TOKEN_VARIABLE = "AUTOSRE_MCP_TOKEN"  # noqa: S105 - the variable's name

_MISUSE = 2
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


def run_server(
    name: str,
    build: Callable[[], ToolServer],
    argv: list[str] | None = None,
    *,
    tokens: tuple[str, ...] = (),
) -> int:
    """Parse the command line and serve until the client goes or a signal comes.

    Args:
        name: As in ``python -m autosre_lab.mcp_servers.NAME``.
        build: Makes the server; called once the MCP SDK is known to be there.
        argv: Command line without the program; this process's own when not given, which then
            starts again without what its environment holds beyond a server's needs.
        tokens: Variables with secrets that this server works with.

    Returns:
        The exit status: 2 for what the caller has to mend.
    """
    if argv is None:
        # Claude Code hands its environment down. What reads the web shall hold no key to anything.
        start_again_without_secrets(TOKEN_VARIABLE, *tokens)
    options = _parser(name).parse_args(argv)
    try:
        configure_logging(load_settings().log_level)
        if importlib.util.find_spec("mcp") is None:
            raise MissingExtraError(f"the {name} server", extra="web")
        if options.http is None:
            build().run("stdio")
        else:
            token = _token(options.token_file)
            _check_reach(options.host, token)
            with _listening(options.host, options.http) as listener:
                _serve_http(build(), options.host, listener, token)
    except AutosreError as error:
        sys.stderr.write(f"error: {error}\n")
        return _MISUSE
    except KeyboardInterrupt:
        return 130
    return 0


def require_token(app: _App, token: str) -> _App:
    """Return an ASGI application that answers 401 to HTTP requests without the bearer token."""
    wanted = f"Bearer {token}".encode()

    async def guarded(scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "http":
            shown = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
            if len(shown) != 1 or not hmac.compare_digest(shown[0], wanted):
                await _refuse(send)
                return
        await app(scope, receive, send)

    return guarded


async def _refuse(send: _Send) -> None:
    headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b"this server wants its bearer token\n"})


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m autosre_lab.mcp_servers.{name}",
        description=f"The {name} server for MCP clients; speaks stdio unless told otherwise.",
        epilog=f"Over HTTP, the token that clients have to show comes from {TOKEN_VARIABLE} or "
        "--token-file, never from the command line. Without one, only loopback is served.",
    )
    parser.add_argument(
        "--http",
        type=int,
        metavar="PORT",
        help="serve streamable HTTP at /mcp; 0 takes a free port",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on with --http")
    parser.add_argument("--token-file", type=Path, help="file whose content is the token")
    return parser


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"the token file {file} cannot be read: {error.strerror}",
            remedy="give a readable file with --token-file",
        ) from error
    if not token:
        raise ConfigError(f"the token file {file} is empty", remedy="write a token into it")
    return token


def _check_reach(host: str, token: str | None) -> None:
    from autosre_lab.serving.reach import is_loopback

    if token is None and not is_loopback(host):
        raise ConfigError(
            f"the server would listen on {host} for everybody, without a token",
            remedy=f"set {TOKEN_VARIABLE} or give --token-file, or listen on 127.0.0.1",
        )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (socket.gaierror, OverflowError) as error:
        raise ConfigError(
            f"{host}:{port} is no address of this machine", remedy="listen on 127.0.0.1"
        ) from error
    except OSError as error:
        raise PortTakenError(
            f"port {port} on {host} cannot be listened on: {error.strerror}",
            remedy=f"end what listens there (`ss -ltnp 'sport = :{port}'` names it), "
            "or choose another port",
        ) from error


def _serve_http(server: ToolServer, host: str, listener: socket.socket, token: str | None) -> None:
    import uvicorn

    # On loopback the SDK checks Host and Origin: a web page in this machine's browser cannot ask.
    app: _App = server.streamable_http_app(host=host)
    if token is not None:
        app = require_token(app, token)
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"serving http://{shown}:{listener.getsockname()[1]}/mcp\n")
    sys.stderr.flush()
    # httptools and websockets bring nothing here; one client asks now and then.
    config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listener])
