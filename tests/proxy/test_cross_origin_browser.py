"""A page in a real Chromium asks the proxy, from a listed origin and from another."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

PAGE = """<!doctype html><title>asks</title><script>
const url = new URLSearchParams(location.search).get("proxy");
async function ask(headers, stream) {
  const body = {model: "m", max_tokens: 50, stream, messages: [{role: "user", content: "hello"}]};
  try {
    const answer = await fetch(url + "/v1/messages", {method: "POST", body: JSON.stringify(body),
      headers: {"content-type": "application/json", ...headers}});
    return {status: answer.status, id: answer.headers.get("request-id"), text: await answer.text()};
  } catch (error) { return {failed: String(error)}; }
}
(async () => {
  const bearer = {authorization: "Bearer t", "anthropic-version": "2023-06-01"};
  const said = {stream: await ask(bearer, true), whole: await ask(bearer, false),
    without: await ask({}, false)};
  await fetch("/said", {method: "POST", body: JSON.stringify(said)});
})();
</script>"""


@asynccontextmanager
async def site(said: asyncio.Queue[Any]) -> AsyncIterator[int]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def take(request: web.Request) -> web.Response:
        await said.put(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_post("/said", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def visit(url: str, folder: Path, said: asyncio.Queue[Any]) -> Any:
    """Open a page in Chromium and return what it says."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "install Chromium: apt-get install chromium"
    process = await asyncio.create_subprocess_exec(
        program,
        *("--headless=new", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"),
        *("--no-sandbox",) if os.geteuid() == 0 else (),
        "--host-resolver-rules=MAP app.example 127.0.0.1, MAP evil.example 127.0.0.1",
        url,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60):
            return await said.get()
    finally:
        process.terminate()
        await process.wait()


async def test_a_listed_page_streams_and_another_reads_nothing(tmp_path: Path) -> None:
    said: asyncio.Queue[Any] = asyncio.Queue()
    async with ScriptedVllm([Turn(text="Hello page")]) as upstream, site(said) as port:
        config = ProxyConfig(
            upstream=upstream.url,
            port=0,
            token="t",
            origins=frozenset({f"http://app.example:{port}"}),
        )
        async with running_proxy(config) as proxy:
            answers = [
                await visit(f"http://{host}:{port}/?proxy={proxy}", tmp_path / host, said)
                for host in ("app.example", "evil.example")
            ]
            chats = len(upstream.chats)
    listed, other = answers
    assert listed["stream"]["status"] == listed["whole"]["status"] == 200
    assert "message_stop" in listed["stream"]["text"]
    assert "Hello page" in listed["whole"]["text"]
    assert listed["whole"]["id"].startswith("req_")
    assert listed["without"]["status"] == 401  # its text can be read, so that the page can say why
    assert all("failed" in one for one in other.values())
    assert chats == 2
