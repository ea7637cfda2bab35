"""What the servers offer costs few tokens, starts fast, and is what the launcher says it is."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

import autosre_lab.mcp_servers
from autosre_lab.agents.web_servers import WEB_SERVERS
from autosre_lab.mcp_servers.browser_tools import BrowserTools

MOST_TOKENS = 4_000
CHARS_PER_TOKEN = 3.0
"""SmolLM2's and Qwen's tokenizers need 3.3 to 4 characters a token for JSON like this; at 3 the
count is too high, never too low."""

NOT_SERVERS = {"__init__", "serving", "tool_server"}


def listed(name: str) -> Any:
    async def ask() -> Any:
        module = importlib.import_module(WEB_SERVERS[name].module)
        async with Client(module.build_server()) as client:
            return client.instructions, (await client.list_tools()).tools

    return anyio.run(ask)


def as_sent(name: str) -> str:
    """Return a server's tools the way Claude Code puts them into every request."""
    return json.dumps(
        [
            {
                "name": f"mcp__{name}__{tool.name}",
                "description": tool.description,
                "input_schema": tool.input_schema,
            }
            for tool in listed(name)[1]
        ],
        ensure_ascii=False,
    )


@pytest.mark.parametrize("name", WEB_SERVERS)
def test_the_launchers_list_is_what_the_server_lists(name: str) -> None:
    server = WEB_SERVERS[name]
    _, tools = listed(name)

    assert [tool.name for tool in tools] == list(server.tools)
    assert server.asks_first <= set(server.tools)
    assert len(as_sent(name)) <= server.schema_chars
    for tool in tools:
        assert tool.annotations.read_only_hint or tool.name in (
            *server.asks_first,
            "browser_session_open",
            "browser_session_close",
        )


def test_every_server_is_in_the_launchers_list() -> None:
    folder = Path(autosre_lab.mcp_servers.__file__).parent
    modules = {
        file.stem
        for file in folder.glob("*.py")
        if f'run_server("{file.stem}"' in file.read_text("utf-8")
    }
    assert modules == set(WEB_SERVERS)


def test_all_schemas_together_stay_within_their_budget() -> None:
    text = "".join(as_sent(name) + (listed(name)[0] or "") for name in WEB_SERVERS)
    assert len(text) / CHARS_PER_TOKEN <= MOST_TOKENS


@pytest.mark.parametrize("name", WEB_SERVERS)
def test_listing_tools_loads_nothing_heavier_than_the_sdk(name: str) -> None:
    """The count stands for the time: a warm start may take 0.3 s more than an empty server's."""
    listing = (
        "import anyio, sys\n"
        "from mcp import Client\n"
        "from mcp.server import MCPServer\n"
        "{build}\n"
        "async def main():\n"
        "    async with Client(server) as client: await client.list_tools()\n"
        "anyio.run(main)\n"
        "print(*sys.modules)\n"
    )

    def modules(build: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", listing.format(build=build)],
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        return set(done.stdout.split())

    build = f"from {WEB_SERVERS[name].module} import build_server\nserver = build_server()"
    more = modules(build) - modules("server = MCPServer('empty')")

    added = {module.partition(".")[0] for module in more}
    heavy = {"curl_cffi", "trafilatura", "lxml", "bs4", "markdownify", "pypdf", "playwright"}
    assert not added & heavy
    assert {one for one in added if one not in sys.stdlib_module_names} <= {"autosre_lab", "yaml"}


def test_a_rendered_page_is_waited_for_as_asked() -> None:
    given = inspect.signature(BrowserTools.browser_render_markdown).parameters
    assert given["wait_until"].default == "domcontentloaded"
    assert given["wait_for_selector"].default is None
    (render,) = (one for one in listed("browser")[1] if one.name == "browser_render_markdown")
    assert render.input_schema["properties"]["wait_until"]["enum"] == [
        *("domcontentloaded", "load", "networkidle")
    ]
    assert "wait_for_selector" in render.input_schema["properties"]
