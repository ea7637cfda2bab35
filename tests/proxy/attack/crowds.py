"""Many at once: requests one after the other, silent sockets, streams that run together."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil

from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn
from tests.proxy.attack.over_http import Forgetful
from tests.proxy.event_grammar import read_stream

__all__ = ["requests_and_memory", "silent_sockets", "streams_at_once"]

_ASK = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


async def requests_and_memory(count: int) -> str:
    """Return how the proxy's memory grows over many requests."""
    async with _proxy(Turn(text="a b c")) as (url, process):
        await _ask_often(url, 1000)
        before = process.memory_info().rss / 1024**2
        await _ask_often(url, count)
        after = process.memory_info().rss / 1024**2
    return f"resident memory {before:.0f} MB after 1,000 requests, {after:.0f} MB after the rest"


async def silent_sockets(count: int) -> str:
    """Open connections that say nothing, or half a request, and ask beside them."""
    async with _proxy(Turn(text="a b c")) as (url, process):
        host, port = url.removeprefix("http://").split(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(count)]
        for number, (_, writer) in enumerate(silent):
            writer.write((b"", b"POST /v1/mess", b"GET / HTTP/1.1\r\nHost: x")[number % 3])
        await _ask_often(url, 100)
        memory = process.memory_info().rss / 1024**2
        for _, writer in silent:
            writer.close()
    return f"100 requests beside them were answered; the proxy had {memory:.0f} MB"


async def streams_at_once(count: int) -> str:
    """Keep many streams open together; each is whole in the end."""
    turn = Turn(text="word " * 20, chunk_interval_s=0.2)
    async with _proxy(turn) as (url, _), _session() as http:
        bodies = [{**_ASK, "model": str(number), "stream": True} for number in range(count)]

        async def one(body: object) -> None:
            async with http.post(f"{url}/v1/messages", json=body) as response:
                assert read_stream(await response.read()).stop_reason == "end_turn"

        await asyncio.gather(*map(one, bodies))
    return "every one whole"


async def _ask_often(url: str, count: int) -> None:
    left = iter(range(count))
    async with _session() as http:

        async def work() -> None:
            for number in left:
                asked = {**_ASK, "stream": number % 2 == 0}
                async with http.post(f"{url}/v1/messages", json=asked) as response:
                    await response.read()
                    assert response.status == 200

        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(work())


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


@asynccontextmanager
async def _proxy(turn: Turn) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Run a proxy as its own process in front of a scripted engine."""
    async with ScriptedVllm([turn]) as engine:
        engine.requests = Forgetful()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "autosre_lab.proxy", "0", engine.url),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            while not (found := re.search(rb"serving (\S+)", await process.stderr.readline())):
                assert process.returncode is None, "the proxy ended"
            yield found[1].decode(), psutil.Process(process.pid)
        finally:
            process.terminate()
            await process.communicate()
