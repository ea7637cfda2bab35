"""An aiohttp application behind the listener that all our servers share."""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from autosre_lab.serving.http_server import running_app

pytestmark = pytest.mark.anyio

LIBRARYS_QUEUE = 128
"""Connections that aiohttp's own queue holds."""


@pytest.fixture
def anyio_backend() -> str:
    """It is asyncio's."""
    return "asyncio"


async def test_hundreds_may_connect_while_it_is_busy() -> None:
    app = web.Application()
    async with running_app(
        app, host="127.0.0.1", port=0, say_error=lambda _: web.Response()
    ) as url:
        port = urlsplit(url).port or 0
        with contextlib.ExitStack() as opened:
            # Nothing is accepted meanwhile: this loop is the server's.
            for _ in range(3 * LIBRARYS_QUEUE):
                client = socket.create_connection(("127.0.0.1", port), timeout=20)
                opened.callback(client.close)
