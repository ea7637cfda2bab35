"""Claude Code, our proxy and a scripted engine, put together as the launcher puts them together."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autosre_lab.agents.claude.config_home import prepare_config_dir
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.window import output_tokens
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.window import WindowFit
from autosre_lab.scripted.upstream import RecordedRequest, ScriptedUpstream, ToolCall, Turn
from tests.agents.claude.facts import Facts

RUN_TIMEOUT_S = 90.0
TOKEN = "token-of-this-test"
ANY_NAME = "scripted-model"

Script = Callable[[Mapping[str, Any]], Turn]
Result = TypeVar("Result")


def call(name: str, /, **arguments: object) -> ToolCall:
    return ToolCall(name=name, arguments=json.dumps(arguments))


def by_round(*turns: Turn) -> Script:
    """Answer by how often the model has spoken in this conversation; the last turn repeats.

    A request that Claude Code sends again so gets the same answer again.
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


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:g} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Ran:
    """A finished ``claude -p --output-format stream-json``."""

    code: int
    events: list[dict[str, Any]]
    err: str

    @property
    def result(self) -> dict[str, Any]:
        assert self.events, self.err
        assert self.events[-1]["type"] == "result", self.events[-1]
        return self.events[-1]

    @property
    def text(self) -> str:
        return str(self.result["result"])

    @property
    def tool_results(self) -> list[dict[str, Any]]:
        return [
            block
            for event in self.events
            if event["type"] == "user" and isinstance(event["message"]["content"], list)
            for block in event["message"]["content"]
            if block["type"] == "tool_result"
        ]


@dataclass(frozen=True)
class Lab:
    """What a test holds in its hands."""

    upstream: ScriptedUpstream
    proxy_url: str
    request_log: Path
    executable: Path
    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def chats(self) -> list[RecordedRequest]:
        return self.upstream.chats

    def log_records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.request_log.read_text().splitlines()]

    def plan(
        self,
        *args: str,
        profile: str = "trimmed",
        servers: Sequence[str] = (),
        **environ: str,
    ) -> Launch:
        window = self.upstream.max_model_len
        output = output_tokens(window)
        config_dir = self.folder / "config"
        prepare_config_dir(config_dir, self.work, home=self.folder)
        ours = {name: value for name, value in os.environ.items() if name != "CLAUDE_CONFIG_DIR"}
        return plan_launch(
            Facts(self.proxy_url, TOKEN, self.upstream.model, window),
            args,
            # Chosen for the test, not for the window: what does not fit is tested as well.
            fit=WindowFit(
                window=window,
                output=output,
                first_prompt=4000,
                compaction="ahead" if window > 60_000 else "refusal",
                room=window - output - 4000,
            ),
            profile=PROFILES[profile],
            executable=self.executable,
            environ={**ours, **environ},
            config_dir=config_dir,
            servers=servers,
        )

    def start(self, launch: Launch) -> subprocess.Popen[str]:
        return subprocess.Popen(
            launch.argv,
            env=launch.env,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(
        self,
        question: str,
        *args: str,
        profile: str = "trimmed",
        servers: Sequence[str] = (),
        timeout_s: float = RUN_TIMEOUT_S,
        **environ: str,
    ) -> Ran:
        launch = self.plan(
            "-p",
            question,
            "--output-format",
            "stream-json",
            "--verbose",
            "--allowedTools=Bash,Read,Edit,Write,Agent",
            *args,
            profile=profile,
            servers=servers,
            **environ,
        )
        with self.start(launch) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"claude did not end: {out[-2000:]}{err[-2000:]}") from None
        return Ran(process.returncode, [json.loads(line) for line in out.splitlines()], err)


class Background:
    """An event loop in a thread of its own, for servers beside a blocking test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def background() -> Iterator[Background]:
    loop = Background()
    try:
        yield loop
    finally:
        loop.close()
