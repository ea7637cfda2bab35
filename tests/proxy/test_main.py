"""The proxy as a process: what its command line turns on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn
from tests.proxy.conftest import ask
from tests.support.search_source import PAGES, found
from tests.web.site import Site, serving

pytestmark = pytest.mark.anyio

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
CLAUDE_CODES = ask("Perform a web search for the query: kestrels", tools=[SEARCH])


@contextmanager
def proxy_process(
    upstream: str, *options: str, **environ: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a proxy and yield its URL and its process."""
    with subprocess.Popen(
        [sys.executable, "-m", "autosre_lab.proxy", "0", upstream, *options],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "serving http" in line:
                    yield line.partition("serving ")[2].split()[0], process
                    break
            else:
                raise AssertionError("it did not serve")
        finally:
            process.terminate()


@contextmanager
def proxy(upstream: str, *options: str, **environ: str) -> Iterator[str]:
    """Run a proxy and yield its URL."""
    with proxy_process(upstream, *options, **environ) as (url, _):
        yield url


@pytest.fixture
async def upstream(anyio_backend: str) -> AsyncIterator[ScriptedVllm]:
    async with ScriptedVllm([Turn(text="They hover [1].")]) as engine:
        yield engine


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        one.answers["/search"] = found(*PAGES)
        yield one


async def first_result(url: str) -> object:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/messages", json=CLAUDE_CODES) as response,
    ):
        content = (await response.json())["content"][1]["content"]
    return content[0]["url"] if isinstance(content, list) else content["error_code"]


async def test_it_searches_the_web_where_the_settings_say(
    upstream: ScriptedVllm, site: Site
) -> None:
    with proxy(upstream.url, AUTOSRE_SEARXNG_URL=site.local_url) as url:
        assert await first_result(url) == PAGES[0][1]
    assert len(site.paths) == 1


async def test_it_searches_nothing_where_it_shall_not(upstream: ScriptedVllm, site: Site) -> None:
    source = {"AUTOSRE_SEARXNG_URL": site.local_url}
    with proxy(upstream.url, "--no-web-search", **source) as url:
        assert await first_result(url) == "unavailable"
    with proxy(upstream.url, AUTOSRE_PROXY_WEB_SEARCH="off", **source) as url:
        assert await first_result(url) == "unavailable"
    assert not site.paths
