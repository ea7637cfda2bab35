"""Servers that an agent's command line is tried on: a scripted engine with our proxy before it.

The tests and ``--check`` use them; nothing of it runs in a session.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from autosre_lab.agents.launch import Endpoint, Launch
from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.proxy.web_search import Searcher
from autosre_lab.scripted.chat_engine import ReceivedRequest, ScriptedVllm, ToolCall, Turn

__all__ = [
    "RUN_TIMEOUT_S",
    "STARTED_AS",
    "TOKEN",
    "AgentTrial",
    "TrialServers",
    "by_round",
    "call",
    "in_order",
    "killed_in_the_middle",
    "trial_servers",
    "wait_until",
]

TOKEN = "token-of-this-trial"  # noqa: S105 - of servers on loopback that end with the trial

RUN_TIMEOUT_S = 120.0
STARTED_AS = "on-trial"
"""How a session on trial is started, for the proxy that learns how such sessions begin."""

Script = Callable[[Mapping[str, Any]], Turn]
Outcome = TypeVar("Outcome")


def call(name: str, /, **arguments: object) -> ToolCall:
    """Return a call of a tool."""
    return ToolCall(name=name, arguments=json.dumps(arguments))


def by_round(*turns: Turn) -> Script:
    """Answer by how often the model has spoken in this conversation; the last turn repeats.

    A request that is sent again so gets the same answer again.
    """

    def script(body: Mapping[str, Any]) -> Turn:
        spoken: int = sum(message["role"] == "assistant" for message in body["messages"])
        return turns[min(spoken, len(turns) - 1)]

    return script


def in_order(*turns: Turn) -> Script:
    """Answer the first request with the first turn, and so on; the last one repeats."""
    rest = list(turns)

    def script(body: Mapping[str, Any]) -> Turn:
        return rest.pop(0) if len(rest) > 1 else rest[0]

    return script


def killed_in_the_middle(upstream: ScriptedVllm, text: str, *, words: int, down_s: float) -> Script:
    """Answer with a text; the first time, the engine dies behind some words and is down a while."""
    restarts: list[asyncio.Task[None]] = []

    def script(body: Mapping[str, Any]) -> Turn:
        if body.get("continue_final_message"):
            return Turn(text=text.removeprefix(body["messages"][-1]["content"]))
        if restarts:
            return Turn(text=text)

        async def restart() -> None:
            while upstream.running:  # noqa: ASYNC110 - until the death, whenever that is
                await asyncio.sleep(0)
            await upstream.restart(down_s=down_s)

        restarts.append(asyncio.create_task(restart()))
        return Turn(text=text, die_after_chunks=words + 1)

    return script


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It did not come true.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout_s:g} s")
        time.sleep(0.02)


@dataclass(frozen=True)
class TrialServers:
    """A scripted engine and our proxy before it.

    Attributes:
        upstream: The engine; its script says what the model answers.
        proxy_url: Where our proxy listens.
        request_log: The proxy's request log.
    """

    upstream: ScriptedVllm
    proxy_url: str
    request_log: Path


@dataclass(frozen=True)
class _Served:
    proxy_url: str
    token: str
    model: str
    max_model_len: int


@dataclass(frozen=True)
class AgentTrial:
    """A scripted engine, our proxy before it, and what an agent needs beside.

    Attributes:
        upstream: The engine; its script says what the model answers.
        proxy_url: Where our proxy listens.
        request_log: The proxy's request log.
        executable: The agent on trial.
        folder: For its configuration and its work.
    """

    upstream: ScriptedVllm
    proxy_url: str
    request_log: Path
    executable: Path
    folder: Path

    @property
    def work(self) -> Path:
        """Where the agent runs."""
        return self.folder / "work"

    @property
    def config_dir(self) -> Path:
        """The agent's configuration folder."""
        return self.folder / "config"

    @property
    def endpoint(self) -> Endpoint:
        """The stack, as a launch knows it."""
        return _Served(self.proxy_url, TOKEN, self.upstream.model, self.upstream.max_model_len)

    @property
    def chats(self) -> list[ReceivedRequest]:
        """The chat requests that reached the engine."""
        return self.upstream.chats

    def log_records(self) -> list[dict[str, Any]]:
        """Return the lines of the request log, as soon as every request is over and written.

        A client has its answer a moment before the request ends, and a thread writes the line.

        Raises:
            TimeoutError: Requests go on.
        """
        wait_until(self._is_idle, "the end of the proxy's requests")
        ended = self._requests_ended()
        wait_until(lambda: len(self._log_lines()) >= ended, "the request log's lines")
        return [json.loads(line) for line in self._log_lines()]

    def _log_lines(self) -> list[str]:
        # What stands behind the last line's end is not a whole line yet.
        return self.request_log.read_text("utf-8").split("\n")[:-1]

    def _requests_ended(self) -> int:
        asked = httpx.get(
            f"{self.proxy_url}/metrics", headers={"authorization": f"Bearer {TOKEN}"}
        ).raise_for_status()
        counts = re.findall(r"^autosre_proxy_requests_total\{.*\} (\S+)$", asked.text, re.MULTILINE)
        return int(sum(map(float, counts)))

    def _is_idle(self) -> bool:
        health = httpx.get(f"{self.proxy_url}/health").raise_for_status().json()
        return bool(health["running"] == 0)

    def start(self, launch: Launch) -> subprocess.Popen[str]:
        """Start a planned session, with its output in pipes."""
        return subprocess.Popen(
            launch.argv,
            env=launch.env,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(
        self, launch: Launch, timeout_s: float = RUN_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a planned session to its end.

        Raises:
            TimeoutError: It did not end.
        """
        with self.start(launch) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise TimeoutError(f"it did not end: {out[-2000:]}{err[-2000:]}") from None
        return subprocess.CompletedProcess(launch.argv, process.returncode, out, err)


@contextmanager
def trial_servers(
    folder: Path,
    *,
    window: int,
    keepalive_s: float,
    resume_tries: int = 0,
    search: Searcher | None = None,
) -> Iterator[TrialServers]:
    """Run a scripted engine and our proxy, on loopback.

    Args:
        folder: Where the request log is written.
        window: Tokens that the engine serves.
        keepalive_s: Silent seconds after which the proxy begins an answer, and between its signs.
        resume_tries: How often the proxy asks again where the engine broke off; at 0 that is left
            to the agent, which is what is on trial.
        search: Who searches the web for the proxy.
    """
    with _background() as loop:
        servers = AsyncExitStack()
        try:
            upstream = ScriptedVllm(max_model_len=window)
            loop.run(servers.enter_async_context(upstream))
            config = ProxyConfig(
                upstream=upstream.url,
                port=0,
                token=TOKEN,
                request_log=folder / "requests.jsonl",
                keepalive_after_s=keepalive_s,
                keepalive_every_s=keepalive_s,
                resume_tries=resume_tries,
                shutdown_grace_s=0.1,
                search=search,
            )
            proxy_url = loop.run(servers.enter_async_context(running_proxy(config)))
            yield TrialServers(
                upstream=upstream, proxy_url=proxy_url, request_log=folder / "requests.jsonl"
            )
        finally:
            loop.run(servers.aclose())


class _Background:
    """An event loop in a thread of its own, for servers beside a blocking caller."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def _background() -> Iterator[_Background]:
    loop = _Background()
    try:
        yield loop
    finally:
        loop.close()
