from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.codex.plan import plan_launch
from autosre_lab.agents.codex.profiles import PROFILES, compacts_at
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.trial import TOKEN, TrialServers, trial_servers
from autosre_lab.agents.window import WindowFit
from autosre_lab.provision import CODEX_VERSIONS, provision_codex

RUN_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class _Served:
    proxy_url: str
    token: str
    model: str
    max_model_len: int


@dataclass(frozen=True)
class Ran:
    """A finished ``codex exec --json``: its exit code, its events, its standard error."""

    code: int
    events: list[dict[str, Any]]
    err: str

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The completed items of one kind, in order."""
        done = (event["item"] for event in self.events if event["type"] == "item.completed")
        return [item for item in done if item["type"] == kind]

    @property
    def text(self) -> str:
        """The last message of the agent."""
        return str(self.items("agent_message")[-1]["text"])


@dataclass(frozen=True)
class CodexLab:
    """A scripted engine, our proxy before it, and a Codex of one version."""

    servers: TrialServers
    executable: Path
    work: Path
    config_dir: Path

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies that reached the engine."""
        return [dict(chat.body) for chat in self.servers.upstream.chats]

    def log_records(self) -> list[dict[str, Any]]:
        """Return the lines of the request log."""
        lines = self.servers.request_log.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def plan(self, *args: str, profile: str = "lean", servers: tuple[str, ...] = ()) -> Launch:
        """Plan a session as the launcher does."""
        upstream = self.servers.upstream
        window = upstream.max_model_len
        return plan_launch(
            _Served(self.servers.proxy_url, TOKEN, upstream.model, window),
            args,
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

    def ask(self, question: str, *args: str, **plan: Any) -> Ran:
        """Ask a question with ``codex exec --json`` and wait for the end."""
        with self.start(self.plan("exec", "--json", *args, question, **plan)) as process:
            try:
                out, err = process.communicate(timeout=RUN_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"codex did not end: {out[-2000:]}{err[-2000:]}") from None
        return Ran(process.returncode, [json.loads(line) for line in out.splitlines()], err)


@pytest.fixture(params=CODEX_VERSIONS)
def codex(request: pytest.FixtureRequest) -> Path:
    """Each Codex that is supported; installed on first use."""
    return provision_codex(request.param)


@pytest.fixture
def config_dir() -> Iterator[Path]:
    """A CODEX_HOME outside the temporary folder, where Codex refuses its PATH helpers."""
    folder = Path.home() / ".cache" / "autosre-tests" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_lab(codex: Path, config_dir: Path, tmp_path: Path) -> Iterator[Any]:
    """Make a scripted engine with our proxy in front of it, and a Codex beside."""
    from contextlib import ExitStack

    (tmp_path / "work").mkdir()
    with ExitStack() as running:

        def make(
            *, window: int = 131_072, keepalive_s: float = 10.0, resume_tries: int = 0
        ) -> CodexLab:
            servers = running.enter_context(
                trial_servers(
                    tmp_path, window=window, keepalive_s=keepalive_s, resume_tries=resume_tries
                )
            )
            return CodexLab(servers, codex, tmp_path / "work", config_dir)

        yield make
