"""Servers as processes: stdio, HTTP on loopback, HTTP with a token, and what is refused."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import anyio
import httpx
import pytest
from mcp import Client, StdioServerParameters

from autosre_lab.extras import how_to_install
from autosre_lab.mcp_servers import serving

MODULE = "autosre_lab.mcp_servers.capabilities"
START_S = 60.0
REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@contextmanager
def http_server(*arguments: str, **environ: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "--http", "0", *arguments],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r"serving http://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)/mcp", line)
        assert match, line + process.stderr.read()
        yield f"http://127.0.0.1:{match[1]}/mcp"
    finally:
        process.terminate()
        with process:
            process.wait(START_S)
    assert process.returncode in (0, -15)


def post(url: str, **headers: str) -> httpx.Response:
    return httpx.post(url, json=REQUEST, headers={**HEADERS, **headers}, trust_env=False)


def test_stdio_answers_and_keeps_its_wire_clean() -> None:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", MODULE], env=dict(os.environ)
    )

    async def ask() -> tuple[list[str], str]:
        with anyio.fail_after(START_S):
            async with Client(parameters) as client:
                tools = (await client.list_tools()).tools
                result = await client.call_tool("get_command", {"name": "autosre stop"})
                return [tool.name for tool in tools], str(result.content)

    names, text = anyio.run(ask)
    assert names == ["list_modules", "search_commands", "get_command"]
    assert "autosre stop" in text


def test_http_on_loopback_answers_this_machine_and_no_web_page() -> None:
    with http_server() as url:

        async def ask() -> list[str]:
            with anyio.fail_after(START_S):
                async with Client(url) as client:
                    return [tool.name for tool in (await client.list_tools()).tools]

        assert "search_commands" in anyio.run(ask)
        assert post(url).status_code == 200
        assert post(url, Host="evil.example").status_code == 403
        assert post(url, Origin="https://evil.example").status_code == 403


def test_http_with_a_token_answers_only_who_shows_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    with http_server("--host", "0.0.0.0", "--token-file", str(file)) as url:
        assert post(url).status_code == 401
        assert post(url, Authorization="Bearer wrong").status_code == 401
        assert post(url, Authorization="Bearer t0ken").status_code == 200


def test_a_token_is_demanded_on_loopback_too_where_one_is_set() -> None:
    with http_server(AUTOSRE_MCP_TOKEN="t0ken") as url:
        assert post(url).status_code == 401
        assert post(url, Authorization="Bearer t0ken").status_code == 200


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert serving.run_server("capabilities", _never, list(arguments)) == 2
    return capsys.readouterr().err


def _never() -> NoReturn:
    raise AssertionError("a server was made")


def test_beyond_loopback_a_token_is_demanded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOSRE_MCP_TOKEN", raising=False)
    told = refused(capsys, "--http", "0", "--host", "0.0.0.0")
    assert "for everybody, without a token" in told
    assert "AUTOSRE_MCP_TOKEN" in told


def test_a_taken_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}" in refused(capsys, "--http", str(port))


@pytest.mark.parametrize("content", [None, ""])
def test_an_unusable_token_file_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    assert str(file) in refused(capsys, "--http", "0", "--token-file", str(file))


def test_without_the_sdk_the_server_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert how_to_install("web") in refused(capsys)
