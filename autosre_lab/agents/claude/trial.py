"""A Claude Code on trial: our proxy with a scripted engine behind it, put together as we start it.

The tests and ``autosre claude --check`` use it; nothing of it runs in a session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosre_lab.agents.claude.additions import additions_of, place
from autosre_lab.agents.claude.config_home import prepare_config_dir
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.version import CLAUDE_CODE
from autosre_lab.agents.claude.window import output_tokens
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.trial import RUN_TIMEOUT_S, STARTED_AS, AgentTrial, trial_servers
from autosre_lab.agents.window import WindowFit
from autosre_lab.proxy.web_search import Searcher

__all__ = ["ClaudeTrial", "Ran", "trial"]


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
class ClaudeTrial(AgentTrial):
    """A Claude Code on trial."""

    def plan(
        self,
        *args: str,
        profile: str = "trimmed",
        servers: Sequence[str] = (),
        status_line: str | None = None,
        bring: Sequence[str] = (),
        **environ: str,
    ) -> Launch:
        """Plan a session as the launcher does."""
        window = self.upstream.max_model_len
        output = output_tokens(window)
        prepare_config_dir(self.config_dir, self.work, home=self.folder)
        added = additions_of(
            self.config_dir, self.work, bring=bring, environ=environ, home=self.folder
        )
        ours = {name: value for name, value in os.environ.items() if name != "CLAUDE_CONFIG_DIR"}
        return plan_launch(
            self.endpoint,
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
            version=CLAUDE_CODE.named(self.executable).version,
            environ={**ours, **environ},
            config_dir=self.config_dir,
            servers=servers,
            placed=place(added, self.config_dir, self.work),
            started_as=STARTED_AS,
            status_line=status_line,
        )

    def ask(
        self,
        question: str,
        *args: str,
        profile: str = "trimmed",
        servers: Sequence[str] = (),
        timeout_s: float = RUN_TIMEOUT_S,
        bring: Sequence[str] = (),
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
            bring=bring,
            **environ,
        )
        done = self.run(launch, timeout_s)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return Ran(done.returncode, events, done.stderr)


@contextmanager
def trial(
    executable: Path,
    folder: Path,
    *,
    window: int = 131_072,
    keepalive_s: float = 10.0,
    search: Searcher | None = None,
) -> Iterator[ClaudeTrial]:
    """Run a scripted engine and our proxy, on loopback and for one Claude Code.

    Args:
        executable: The Claude Code on trial.
        folder: An empty one; the request log, configuration and work are made in it.
        window: Tokens that the engine serves.
        keepalive_s: Silent seconds after which the proxy begins an answer, and between its signs.
        search: Who searches the web for the proxy.
    """
    (folder / "work").mkdir()
    with trial_servers(folder, window=window, keepalive_s=keepalive_s, search=search) as servers:
        yield ClaudeTrial(
            upstream=servers.upstream,
            proxy_url=servers.proxy_url,
            request_log=servers.request_log,
            executable=executable,
            folder=folder,
        )
