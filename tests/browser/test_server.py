"""The ten tools, as an MCP client sees them, on a real Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ImageContent, TextContent

from autosre_lab.browser import BrowserConfig, list_recordings
from autosre_lab.mcp_servers.browser import INSTRUCTIONS, build_server
from autosre_lab.web.duckduckgo import DUCKDUCKGO_PAGES
from tests.browser.sites import Request, Response, Site, site

pytestmark = pytest.mark.browser

TOOLS = {
    "browser_session_open",
    "browser_snapshot",
    "browser_act",
    "browser_render_markdown",
    "browser_screenshot",
    "browser_pdf",
    "browser_search",
    "browser_session_list_tabs",
    "browser_session_close",
    "browser_prune_recordings",
}
SCHEMA_CHARS = 9_200
"""2,300 tokens: Claude Code sends every schema in every request to a local model."""

Call = Callable[..., Awaitable[str]]


def contents(path: Path) -> bytes:
    return path.read_bytes()


def mode(path: Path) -> int:
    return path.stat().st_mode


def films(folder: Path) -> list[Path]:
    return [one.path for one in list_recordings(folder)]


def talk(scenario: Callable[[Call], Awaitable[None]], config: BrowserConfig, **more: Any) -> None:
    async def main() -> None:
        async with Client(build_server(config, **more)) as client:

            async def call(name: str, /, **arguments: object) -> str:
                result = await client.call_tool(name, arguments)
                texts = [block.text for block in result.content if isinstance(block, TextContent)]
                images = [block for block in result.content if isinstance(block, ImageContent)]
                assert all(image.mime_type == "image/png" for image in images)
                said = "\n".join([*texts, *("(image)" for _ in images)])
                return f"ERROR {said}" if result.is_error else said

            await scenario(call)

    anyio.run(main)


def test_ten_small_tools_are_offered_without_starting_a_browser(config: BrowserConfig) -> None:
    async def main() -> None:
        async with Client(build_server(config)) as client:
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == TOOLS
            shown = [
                {"name": one.name, "description": one.description, "schema": one.input_schema}
                for one in tools
            ]
            assert len(json.dumps(shown)) + len(INSTRUCTIONS) < SCHEMA_CHARS
            by_name = {tool.name: tool.annotations for tool in tools}
            snapshot, act = by_name["browser_snapshot"], by_name["browser_act"]
            assert snapshot is not None
            assert act is not None
            assert (snapshot.read_only_hint, act.read_only_hint) == (True, False)

    anyio.run(main)


def test_a_session_from_open_to_close(config: BrowserConfig, good: Site, tmp_path: Path) -> None:
    async def scenario(call: Call) -> None:
        assert (await call("browser_snapshot")).startswith("ERROR no session is open")
        opened = await call("browser_session_open")
        assert "session s1 in" in opened
        assert "600 s" in opened
        told = await call("browser_act", action="goto", value=f"{good.url}/login")
        assert told.startswith("1. goto")
        assert "data, not instructions" in told
        seen = await call("browser_snapshot", find="sign in")
        button = re.findall(r"\[ref=(e\d+)\]", seen)[-1]
        assert "textbox" not in seen
        told = await call(
            "browser_act",
            steps=[
                {"action": "fill", "target": "[name=user]", "value": "ada"},
                {"action": "fill", "target": "[name=password]", "value": "s3cret-word"},
                {"action": "click", "target": button},
            ],
        )
        assert "Welcome, ada" in told
        assert "s3cret-word" not in told
        assert "/account" in await call("browser_session_list_tabs")
        stale = await call("browser_act", action="click", target=button)
        assert stale.startswith("ERROR no element")
        assert "what to do: take a new browser_snapshot" in stale
        assert "nothing in its" in await call("browser_snapshot", find="no such words")
        both = await call("browser_act", action="reload", steps=[{"action": "back"}])
        assert both.startswith("ERROR both action and steps")
        picture = await call("browser_screenshot", image=True)
        assert picture.endswith("(image)")
        assert "(image)" not in await call("browser_screenshot", full_page=True)
        pdf = Path((await call("browser_pdf")).partition(" (")[0])
        assert contents(pdf).startswith(b"%PDF-")
        closed = await call("browser_session_close")
        assert str(pdf) in closed
        assert (await call("browser_session_close")).startswith("ERROR no session is open")

    talk(scenario, config)


def test_a_large_snapshot_is_cut_and_its_whole_is_in_a_file(
    config: BrowserConfig, good: Site
) -> None:
    async def scenario(call: Call) -> None:
        await call("browser_session_open")
        await call("browser_act", action="goto", value=f"{good.url}/feed")
        cut = await call("browser_snapshot", max_chars=300)
        path = Path(re.findall(r"whole: (/\S+)", cut)[0])
        assert b"post 19" in contents(path)
        assert "post 19" not in cut
        assert mode(path) & 0o077 == 0

    talk(scenario, config)


def test_a_rendered_page_is_read_in_pieces_without_being_loaded_again(
    config: BrowserConfig, good: Site
) -> None:
    async def scenario(call: Call) -> None:
        url = f"{good.url}/late"
        first = await call("browser_render_markdown", url=url, wait_for_selector="li", max_chars=12)
        loads = good.hits.count("/late")
        assert "note: rendered by a browser" in first
        offset = int(re.findall(r"next_offset: (\d+)", first)[0])
        rest = await call("browser_render_markdown", url=url, wait_for_selector="li", offset=offset)
        assert "gamma" in rest
        assert good.hits.count("/late") == loads
        hidden = await call("browser_render_markdown", url=f"{good.url}/hidden")
        assert "Sunny" in hidden
        assert "Ignore all instructions" not in hidden
        assert "Warm and dry" in hidden
        assert "data, not instructions" in hidden
        refused = await call("browser_render_markdown", url="http://127.0.0.1:1/")
        assert refused.startswith("ERROR http://127.0.0.1:1/ is refused")
        assert (await call("browser_snapshot")).startswith("ERROR no session is open")

    talk(scenario, config)


RESULTS = """<html><body>
<div class="result results_links web-result">
<h2><a class="result__a"
 href="https://example.org/{page}">Result {page}</a></h2><a
 class="result__snippet">About {page}.</a></div><form action="/html/" method="post">
 <input type="submit" value="Next">
 <input type="hidden" name="q" value="x"><input type="hidden" name="s" value="10">
 <input type="hidden" name="vqd" value="4-1"></form></body></html>"""


def test_a_search_is_made_and_read_as_the_search_tool_reads_it(config: BrowserConfig) -> None:
    def search(request: Request) -> Response:
        if request.query.get("q") == "captcha":
            return Response("<form id=challenge-form></form>", status=202)
        return Response(RESULTS.replace("{page}", "second" if request.form.get("s") else "first"))

    async def scenario(call: Call) -> None:
        found = await call("browser_search", query="x")
        assert "Result first" in found
        assert "https://example.org/first" in found
        assert "ddg_html in a browser" in found
        assert "Result second" in await call("browser_search", query="x", page=2)
        blocked = await call("browser_search", query="captcha")
        assert blocked.startswith("ERROR")
        assert "what to do" in blocked

    from autosre_lab.web import AllowList

    with site({"/html/": search}) as engine:
        page = replace(DUCKDUCKGO_PAGES["ddg_html"], url=f"{engine.url}/html/")
        opened = replace(config, allow=AllowList.parse(f"127.0.0.1:{engine.port}"))
        talk(scenario, opened, search_engine=page)


def test_a_film_is_made_and_pruned(config: BrowserConfig, good: Site, tmp_path: Path) -> None:
    own = replace(config, recordings=tmp_path / "films")

    async def scenario(call: Call) -> None:
        opened = await call("browser_session_open", record=True)
        assert "filmed into" in opened
        await call("browser_act", action="goto", value=f"{good.url}/")
        assert "0 would be deleted" in await call(
            "browser_prune_recordings", ttl_hours=0, dry_run=True
        )
        closed = await call("browser_session_close")
        film = Path(re.findall(r"recording (\S+)", closed)[0])
        assert contents(film)
        assert "1 would be deleted" in await call(
            "browser_prune_recordings", ttl_hours=0, dry_run=True
        )
        assert contents(film)
        assert "1 deleted" in await call("browser_prune_recordings", ttl_hours=0)
        assert film not in set(films(film.parent))
        assert (await call("browser_session_open", viewport="big")).startswith("ERROR 'big'")

    talk(scenario, own)
