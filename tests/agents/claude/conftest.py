from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from autosre_lab.provision import (
    CLAUDE_CODE_VERSION,
    CLAUDE_CODE_VERSIONS,
    provision_claude_code,
)
from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.scripted.upstream import ScriptedUpstream
from tests.agents.claude.lab import TOKEN, Lab, background


class MakeLab(Protocol):
    def __call__(self, *, window: int = ..., keepalive_s: float = ...) -> Lab: ...


EACH_VERSION = pytest.mark.parametrize("claude_code", CLAUDE_CODE_VERSIONS, indirect=True)
"""Runs a test with every version that is supported, and not with the pinned one alone."""


@pytest.fixture(scope="session")
def claude_code(request: pytest.FixtureRequest) -> Path:
    """A Claude Code, the pinned one unless a test names another; installed on first use."""
    return provision_claude_code(getattr(request, "param", CLAUDE_CODE_VERSION))


@pytest.fixture
def make_lab(claude_code: Path, tmp_path: Path) -> Iterator[MakeLab]:
    """Make a scripted engine with our proxy in front of it, and what Claude Code needs beside."""
    with background() as loop:
        servers = AsyncExitStack()

        def make(*, window: int = 131_072, keepalive_s: float = 10.0) -> Lab:
            (tmp_path / "work").mkdir()
            upstream = ScriptedUpstream(max_model_len=window)
            loop.run(servers.enter_async_context(upstream))
            config = ProxyConfig(
                upstream=upstream.url,
                port=0,
                token=TOKEN,
                request_log=tmp_path / "requests.jsonl",
                keepalive_after_s=keepalive_s,
                keepalive_every_s=keepalive_s,
                shutdown_grace_s=0.1,
            )
            proxy_url = loop.run(servers.enter_async_context(running_proxy(config)))
            return Lab(
                upstream=upstream,
                proxy_url=proxy_url,
                request_log=tmp_path / "requests.jsonl",
                executable=claude_code,
                folder=tmp_path,
            )

        try:
            yield make
        finally:
            loop.run(servers.aclose())
