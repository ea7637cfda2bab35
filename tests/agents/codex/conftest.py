from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.codex.trial import CodexTrial, trial
from autosre_lab.provision import CODEX_VERSIONS, provision_codex


@pytest.fixture(params=CODEX_VERSIONS)
def codex(request: pytest.FixtureRequest) -> Path:
    """Each Codex that is supported; installed on first use."""
    return provision_codex(request.param)


@pytest.fixture
def make_lab(codex: Path) -> Iterator[Any]:
    """Make a scripted engine with our proxy in front of it, and a Codex beside.

    Outside the temporary folder, where Codex refuses to put its helper programs.
    """
    folder = Path.home() / ".cache" / "autosre-tests" / uuid.uuid4().hex
    folder.mkdir(parents=True)
    with ExitStack() as running:

        def make(**more: Any) -> CodexTrial:
            return running.enter_context(trial(codex, folder, **more))

        yield make
    shutil.rmtree(folder, ignore_errors=True)
