"""A Claude Code on trial: our proxy with a scripted engine behind it, put together as we start it.

The tests and ``autosre claude --check`` use it; nothing of it runs in a session.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosre_lab.agents.claude.config_home import added_servers, prepare_config_dir
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.version import named_claude_code
from autosre_lab.agents.claude.window import output_tokens
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.trial import TOKEN, by_round, call, in_order, trial_servers, wait_until
from autosre_lab.agents.window import WindowFit
from autosre_lab.scripted.chat_engine import ReceivedRequest, ScriptedVllm

__all__ = ["Ran", "TrialStack", "by_round", "call", "in_order", "trial", "wait_until"]

RUN_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Ran:
    """A finished ``claude -p --output-format stream-json``.

    Attributes:
        code: Its exit code.
        events: What it wrote, line by line.
        err: Its standard error.
    """

    code: int
    events: list[dict[str, Any]]
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The last event, which is its result."""
        if not self.events or self.events[-1].get("type") != "result":
            raise ValueError(f"it ended with {self.code} and no result: {self.err[-2000:]}")
        return self.events[-1]

    @property
    def text(self) -> str:
        """The answer."""
        return str(self.result.get("result", ""))

    @property
    def tool_results(self) -> list[dict[str, Any]]:
        """The results of all tools that it ran."""
        return [
            block
            for event in self.events
            if event["type"] == "user" and isinstance(event["message"]["content"], list)
            for block in event["message"]["content"]
            if block["type"] == "tool_result"
        ]


@dataclass(frozen=True)
class _Served:
    proxy_url: str
    token: str
    model: str
    max_model_len: int


@dataclass(frozen=True)
class TrialStack:
    """A scripted engine, our proxy before it, and what Claude Code needs beside.

    Attributes:
        upstream: The engine; its script says what the model answers.
        proxy_url: Where our proxy listens.
        request_log: The proxy's request log.
        executable: The Claude Code on trial.
        folder: For its configuration and its work.
    """

    upstream: ScriptedVllm
    proxy_url: str
    request_log: Path
    executable: Path
    folder: Path

    @property
    def work(self) -> Path:
        """Where Claude Code runs."""
        return self.folder / "work"

    @property
    def chats(self) -> list[ReceivedRequest]:
        """The chat requests that reached the engine."""
        return self.upstream.chats

    def log_records(self) -> list[dict[str, Any]]:
        """Return the lines of the request log."""
        return [json.loads(line) for line in self.request_log.read_text("utf-8").splitlines()]

    def plan(
        self,
        *args: str,
        profile: str = "trimmed",
        servers: Sequence[str] = (),
        status_line: str | None = None,
        **environ: str,
    ) -> Launch:
        """Plan a session as the launcher does."""
        window = self.upstream.max_model_len
        output = output_tokens(window)
        config_dir = self.folder / "config"
        prepare_config_dir(config_dir, self.work, home=self.folder)
        mcp_file, _ = added_servers(config_dir, self.work)
        ours = {name: value for name, value in os.environ.items() if name != "CLAUDE_CONFIG_DIR"}
        return plan_launch(
            _Served(self.proxy_url, TOKEN, self.upstream.model, window),
            args,
            # Chosen for the trial, not for the window: what does not fit is tried as well.
            fit=WindowFit(
                window=window,
                output=output,
                first_prompt=4000,
                compaction="ahead" if window > 60_000 else "refusal",
                room=window - output - 4000,
            ),
            profile=PROFILES[profile],
            executable=self.executable,
            version=named_claude_code(self.executable).version,
            environ={**ours, **environ},
            config_dir=config_dir,
            servers=servers,
            mcp_file=mcp_file,
            status_line=status_line,
        )

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

    def ask(
        self,
        question: str,
        *args: str,
        profile: str = "trimmed",
        servers: Sequence[str] = (),
        timeout_s: float = RUN_TIMEOUT_S,
        **environ: str,
    ) -> Ran:
        """Ask a question and wait for the end.

        Raises:
            TimeoutError: It did not end.
        """
        launch = self.plan(
            *("-p", question, "--output-format", "stream-json", "--verbose"),
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
                raise TimeoutError(f"claude did not end: {out[-2000:]}{err[-2000:]}") from None
        return Ran(process.returncode, [json.loads(line) for line in out.splitlines()], err)


@contextmanager
def trial(
    executable: Path,
    folder: Path,
    *,
    window: int = 131_072,
    keepalive_s: float = 10.0,
    resume_tries: int = 0,
) -> Iterator[TrialStack]:
    """Run a scripted engine and our proxy, on loopback and for one Claude Code.

    Args:
        executable: The Claude Code on trial.
        folder: An empty one; the request log, configuration and work are made in it.
        window: Tokens that the engine serves.
        keepalive_s: Silent seconds after which the proxy begins an answer, and between its signs.
        resume_tries: As for `trial_servers`.
    """
    (folder / "work").mkdir()
    with trial_servers(
        folder, window=window, keepalive_s=keepalive_s, resume_tries=resume_tries
    ) as servers:
        yield TrialStack(
            upstream=servers.upstream,
            proxy_url=servers.proxy_url,
            request_log=servers.request_log,
            executable=executable,
            folder=folder,
        )
