from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from autosre_lab.agents.claude.trial import ClaudeTrial, trial
from autosre_lab.provision import (
    CLAUDE_CODE_VERSION,
    CLAUDE_CODE_VERSIONS,
    provision_claude_code,
)


class MakeLab(Protocol):
    def __call__(self, *, window: int = ..., keepalive_s: float = ...) -> ClaudeTrial: ...


EACH_VERSION = pytest.mark.parametrize("claude_code", CLAUDE_CODE_VERSIONS, indirect=True)
"""Runs a test with every version that is supported, and not with the pinned one alone."""


@pytest.fixture(scope="session")
def claude_code(request: pytest.FixtureRequest) -> Path:
    """A Claude Code, the pinned one unless a test names another; installed on first use."""
    return provision_claude_code(getattr(request, "param", CLAUDE_CODE_VERSION))


@pytest.fixture
def make_lab(claude_code: Path, tmp_path: Path) -> Iterator[MakeLab]:
    """Make a scripted engine with our proxy in front of it, and what Claude Code needs beside."""
    with ExitStack() as running:

        def make(*, window: int = 131_072, keepalive_s: float = 10.0) -> ClaudeTrial:
            return running.enter_context(
                trial(claude_code, tmp_path, window=window, keepalive_s=keepalive_s)
            )

        yield make
