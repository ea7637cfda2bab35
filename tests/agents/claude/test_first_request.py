from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from autosre_lab.agents.agent import Prepared
from autosre_lab.agents.claude.agent import CLAUDE
from autosre_lab.agents.claude.first_request import (
    BYTES_PER_TOKEN,
    count_first_prompt,
    estimate_first_prompt,
    first_request,
)
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.version import CLAUDE_CODE
from tests.agents.claude.conftest import EACH_VERSION, MakeLab
from tests.agents.claude.facts import Facts
from tests.support.programs import program

CLOSED_PORT = "http://127.0.0.1:1"
TOOLS = {
    "full": {"Agent", "Bash", "Edit", "Read", "Skill", "Write"},
    "trimmed": {"Bash", "Edit", "Read", "Write"},
    "lean": {"Bash", "Edit", "Read"},
}
PLACEHOLDER = "DeferredToolPlaceholder"
"""Stands for the tools that 2.1.332 fetches when they are needed."""


@pytest.mark.claude
@EACH_VERSION
@pytest.mark.parametrize("name", list(PROFILES))
def test_the_real_first_request_is_recorded_once(
    name: str, claude_code: Path, tmp_path: Path
) -> None:
    profile = PROFILES[name]
    version = CLAUDE_CODE.named(claude_code).version

    def record(executable: Path) -> dict[str, object] | None:
        return first_request(
            profile,
            executable=executable,
            version=version,
            cache_dir=tmp_path,
            environ=dict(os.environ),
        )

    body = record(claude_code)

    assert body is not None
    tools = body["tools"]
    assert isinstance(tools, list)
    names = {tool["name"] for tool in tools} - {PLACEHOLDER}
    assert names == TOOLS[name] if name != "full" else names >= TOOLS[name]
    assert not names & {"WebFetch", "WebSearch", "Workflow"}
    (file,) = (tmp_path / "claude").iterdir()
    # The size on record serves estimates, and must not drift from what the CLI really sends.
    assert file.stat().st_size == pytest.approx(profile.size(version).recorded_bytes, rel=0.1)
    assert record(Path("/nonexistent/claude")) == body


@pytest.mark.claude
def test_the_engine_is_asked_once_for_a_profiles_size(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab()
    monkeypatch.setenv("AUTOSRE_CACHE_DIR", str(lab.folder / "cache"))
    program = CLAUDE_CODE.named(lab.executable)
    measure = CLAUDE.measure(program, lab.endpoint, ["-p", "hi"], os.environ, Prepared())
    # As often as there are web tools that may fit.
    sizes = {measure(PROFILES["lean"]) for _ in range(4)}
    assert len(sizes) == 1
    assert [one["kind"] for one in lab.log_records()] == ["count_tokens"]


def test_without_claude_code_or_engine_the_prompt_is_estimated_too_high(tmp_path: Path) -> None:
    counted = count_first_prompt(
        PROFILES["full"],
        Facts(proxy_url=CLOSED_PORT),
        executable=Path("/nonexistent/claude"),
        version="2.1.197",
        cache_dir=tmp_path,
        environ={},
    )

    assert (
        counted == estimate_first_prompt(PROFILES["full"], "2.1.197") == 53_000 // BYTES_PER_TOKEN
    )


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sends = program(
        tmp_path / "claude",
        f"""exec {sys.executable} -c '
import json, os, urllib.request
url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
urllib.request.urlopen(urllib.request.Request(url, json.dumps({{"messages": []}}).encode()))
'""",
    )
    (tmp_path / "cache").write_text("a file where the folder should be")

    body = first_request(
        PROFILES["lean"],
        executable=sends,
        version="2.1.332",
        cache_dir=tmp_path / "cache",
        environ=dict(os.environ),
    )

    assert body == {"messages": []}
    assert "cannot be written" in caplog.text
