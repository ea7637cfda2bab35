"""The three servers, asked in memory: what a model gets to read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import TextContent

from autosre_lab.mcp_servers import capabilities, fetch, search
from autosre_lab.mcp_servers.tool_server import ToolServer, result_chars
from autosre_lab.web.guarded_client import GuardedClient
from autosre_lab.web.page_reader import PageReader
from autosre_lab.web.web_search import WebSearch
from tests.web.site import Answer, Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        yield one


def asking(
    server: ToolServer, use: Callable[[Client], Awaitable[Any]], *, mode: str = "auto"
) -> Any:
    async def main() -> Any:
        async with Client(server, mode=mode) as client:
            return await use(client)

    return anyio.run(main)


def call(
    server: ToolServer, tool: str, /, mode: str = "auto", **arguments: object
) -> tuple[str, bool]:
    async def use(client: Client) -> tuple[str, bool]:
        result = await client.call_tool(tool, arguments)
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert result.structured_content is None
        return block.text, bool(result.is_error)

    answer: tuple[str, bool] = asking(server, use, mode=mode)
    return answer


def fetching(site: Site) -> ToolServer:
    return fetch.build_server(PageReader(GuardedClient(site.guard()), robots=None))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_page_is_fetched_with_a_header_and_a_body(site: Site, mode: str) -> None:
    site.answers["/a"] = Answer("<title>Title</title><h1>Hello</h1>")

    text, is_error = call(fetching(site), "fetch", mode, url=f"{site.url}/a")

    assert not is_error
    header, _, body = text.partition("\n\ncontent from ")
    assert header == (
        f"url: {site.url}/a\nstatus: 200 text/html\ntotal_chars: 7, offset: 0, end\n"
        "note: robots.txt was ignored, as configured"
    )
    assert "# Title\n\n# Hello" in body


def test_a_long_page_is_read_on_by_its_next_offset(site: Site) -> None:
    site.answers["/a"] = Answer("words " * 9_000, headers={"Content-Type": "text/plain"})
    server = fetching(site)

    first, _ = call(server, "fetch", url=f"{site.url}/a")
    second, _ = call(server, "fetch", url=f"{site.url}/a", offset=19_998, max_chars=100)

    assert "offset: 0, next_offset: 19998" in first
    assert "offset: 19998, next_offset: 20094" in second or "offset: 19998" in second
    assert site.paths == ["/a"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "file:///etc/passwd", "http://169.254.169.254/", "nonsense"]
)
def test_what_must_not_be_fetched_is_an_error_with_a_remedy(site: Site, url: str) -> None:
    text, is_error = call(fetching(site), "fetch", url=url)
    assert is_error
    assert "is refused" in text
    assert "\nwhat to do: " in text


def test_an_error_never_repeats_the_page(site: Site) -> None:
    site.answers["/a"] = Answer("INJECTED px-captcha", 403)
    text, is_error = call(fetching(site), "fetch", url=f"{site.url}/a")
    assert is_error
    assert "INJECTED" not in text


@pytest.mark.parametrize(
    ("limit", "chars"), [(None, 60_000), ("junk", 60_000), ("2022", 5_266), ("100", 800)]
)
def test_on_a_small_window_a_piece_is_small(limit: str | None, chars: int) -> None:
    assert result_chars({} if limit is None else {"MAX_MCP_OUTPUT_TOKENS": limit}) == chars


def test_the_limit_of_the_session_bounds_a_piece(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_MCP_OUTPUT_TOKENS", "1000")
    site.answers["/a"] = Answer("word " * 5_000, headers={"Content-Type": "text/plain"})

    text, _ = call(fetching(site), "fetch", url=f"{site.url}/a")

    assert len(text) < 3_000
    assert "next_offset: 2200" in text


def test_a_search_that_fails_is_an_error_and_not_an_empty_result(site: Site) -> None:
    site.answers["/search"] = Answer("{}", 429)
    web = WebSearch(GuardedClient(site.guard()), backends=("searxng",), searxng=site.url)

    text, is_error = call(search.build_server(web), "search", query="x")

    assert is_error
    assert "nothing was searched\nwhat to do: retry after 60 s" in text


def test_results_are_returned_as_text(site: Site) -> None:
    site.answers["/search"] = Answer('{"results": [{"title": "A", "url": "https://a.example/"}]}')
    web = WebSearch(GuardedClient(site.guard()), backends=("searxng",), searxng=site.url)

    text, is_error = call(search.build_server(web), "search", query="x", time="w")

    assert not is_error
    assert "1. A\n   https://a.example/" in text
    assert "time_range=week" in site.paths[0]


def test_the_toolkit_is_found_explained_and_listed() -> None:
    server = capabilities.build_server()

    found, _ = call(server, "search_commands", query="start", kind="cli")
    explained, _ = call(server, "get_command", name="autosre start")
    listed, _ = call(server, "list_modules")
    wrong, is_error = call(server, "get_command", name="autosre strat")

    assert found.startswith("autosre start (cli) - ")
    assert "autosre start [OPTIONS] [RECIPE]" in explained
    assert "autosre_lab.engine - " in listed
    assert is_error
    assert "did you mean" in wrong


@pytest.mark.parametrize("module", [fetch, search, capabilities])
def test_instructions_are_short_and_the_same_in_both_handshakes(module: Any) -> None:
    async def use(client: Client) -> str | None:
        return client.instructions

    texts = {asking(module.build_server(), use, mode=mode) for mode in ("auto", "legacy")}
    assert texts == {module.INSTRUCTIONS}
    assert len(module.INSTRUCTIONS) < 2_048


@pytest.mark.parametrize("module", [fetch, search])
def test_tools_that_reach_the_web_say_so(module: Any) -> None:
    async def use(client: Client) -> Any:
        return (await client.list_tools()).tools

    for tool in asking(module.build_server(), use):
        assert tool.annotations.read_only_hint
        assert tool.annotations.open_world_hint
