"""How every server here is started: stdio, or HTTP on loopback, or HTTP with a token."""

from __future__ import annotations

import argparse
import importlib.util
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.errors import AutosreError, MissingExtraError
from autosre_lab.logs import configure_logging
from autosre_lab.private_files import in_words
from autosre_lab.serving.asgi import guarded
from autosre_lab.serving.keys import KeyRing
from autosre_lab.serving.listener import listen, url_of
from autosre_lab.serving.reach import check_reach
from autosre_lab.serving.token import read_token
from autosre_lab.settings import load_settings
from autosre_lab.web.environment import start_again_without_secrets

if TYPE_CHECKING:
    from autosre_lab.mcp_servers.tool_server import ToolServer

__all__ = ["TOKEN_VARIABLE", "run_server"]

TOKEN_VARIABLE = "AUTOSRE_MCP_TOKEN"  # noqa: S105 - the variable's name

_MISUSE = 2


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
        The exit status: 2 for what the caller has to fix.
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
            token = read_token(TOKEN_VARIABLE, options.token_file)
            keys = None if options.keys_file is None else KeyRing(options.keys_file)
            check_reach(
                options.host,
                token,
                server=f"the {name} server",
                remedy=f"set {TOKEN_VARIABLE} or give --token-file",
            )
            with listen(options.host, options.http) as listener:
                _serve_http(build(), options.host, listener, token, keys)
    except (AutosreError, OSError) as error:
        sys.stderr.write(f"error: {in_words(error)}\n")
        return _MISUSE
    except KeyboardInterrupt:
        return 130
    return 0


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
    parser.add_argument(
        "--keys-file",
        type=Path,
        help="keys of single clients, made by `autosre keys create --server mcp`",
    )
    return parser


def _serve_http(
    server: ToolServer,
    host: str,
    listener: socket.socket,
    token: str | None,
    keys: KeyRing | None,
) -> None:
    import uvicorn

    # On loopback the SDK checks Host and Origin once more.
    app = guarded(server.streamable_http_app(host=host), token=token, keys=keys)
    sys.stderr.write(f"serving {url_of(listener)}/mcp\n")
    sys.stderr.flush()
    # httptools and websockets bring nothing here; one client asks now and then.
    config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listener])
