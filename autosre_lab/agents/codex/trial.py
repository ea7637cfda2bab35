"""A Codex on trial: our proxy with a scripted engine behind it, put together as we start it.

The tests and ``autosre codex --check`` use it; nothing of it runs in a session.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosre_lab.agents.codex.additions import bring_along
from autosre_lab.agents.codex.plan import plan_launch
from autosre_lab.agents.codex.profiles import PROFILES, compacts_at
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.trial import STARTED_AS, AgentTrial, trial_servers
from autosre_lab.agents.window import WindowFit
from autosre_lab.proxy.web_search import Searcher

__all__ = ["CodexRan", "CodexTrial", "trial"]


@dataclass(frozen=True)
class CodexRan:
    """A finished ``codex exec --json``.

    Attributes:
        code: Its exit code.
        events: What it wrote, line by line.
        err: Its standard error.
    """

    code: int
    events: list[dict[str, Any]]
    err: str

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return the completed items of one kind, in order."""
        done = (event["item"] for event in self.events if event["type"] == "item.completed")
        return [item for item in done if item["type"] == kind]

    @property
    def text(self) -> str:
        """The last message of the agent."""
        if not (messages := self.items("agent_message")):
            raise ValueError(f"it ended with {self.code} and no answer: {self.err[-2000:]}")
        return str(messages[-1]["text"])


@dataclass(frozen=True)
class CodexTrial(AgentTrial):
    """A Codex on trial."""

    def plan(
        self,
        *args: str,
        profile: str = "lean",
        servers: Sequence[str] = (),
        bring: Sequence[str] = (),
    ) -> Launch:
        """Plan a session as the launcher does; `folder` is the user's home."""
        window = self.upstream.max_model_len
        return plan_launch(
            self.endpoint,
            args,
            # Chosen for the trial, not for the window: what does not fit is tried as well.
            fit=WindowFit(
                window=window,
                output=window - compacts_at(window),
                first_prompt=4000,
                compaction="ahead",
                room=compacts_at(window) - 4000,
            ),
            profile=PROFILES[profile],
            executable=self.executable,
            environ=os.environ,
            config_dir=self.config_dir,
            servers=servers,
            brought=bring_along(bring, self.config_dir, environ={}, home=self.folder),
            started_as=STARTED_AS,
        )

    def exec(
        self,
        *args: str,
        profile: str = "lean",
        servers: Sequence[str] = (),
        bring: Sequence[str] = (),
    ) -> CodexRan:
        """Run ``codex exec --json`` to its end.

        Raises:
            TimeoutError: It did not end.
        """
        launch = self.plan("exec", "--json", *args, profile=profile, servers=servers, bring=bring)
        done = self.run(launch)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return CodexRan(done.returncode, events, done.stderr)


@contextmanager
def trial(
    executable: Path,
    folder: Path,
    *,
    window: int = 131_072,
    keepalive_s: float = 10.0,
    resume_tries: int = 0,
    search: Searcher | None = None,
) -> Iterator[CodexTrial]:
    """Run a scripted engine and our proxy, on loopback and for one Codex.

    Args:
        executable: The Codex on trial.
        folder: An empty one, not below the temporary folder, where Codex refuses to put its
            helper programs; the request log, CODEX_HOME and work are made in it.
        window: Tokens that the engine serves.
        keepalive_s: Silent seconds after which the proxy begins an answer, and between its signs.
        resume_tries: As for `trial_servers`.
        search: Who searches the web for the proxy.
    """
    (folder / "work").mkdir()
    (folder / "config").mkdir()
    with trial_servers(
        folder,
        window=window,
        keepalive_s=keepalive_s,
        resume_tries=resume_tries,
        search=search,
    ) as servers:
        yield CodexTrial(
            upstream=servers.upstream,
            proxy_url=servers.proxy_url,
            request_log=servers.request_log,
            executable=executable,
            folder=folder,
        )
