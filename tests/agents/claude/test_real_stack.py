"""The main job, nothing scripted: Claude Code, our launcher, our proxy, a real vLLM."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from autosre_lab.agents.asking import ask
from autosre_lab.agents.trial import by_round, call, wait_until
from autosre_lab.scripted.chat_engine import Turn
from autosre_lab.stack import Stack
from tests.agents.claude.conftest import MakeLab

pytestmark = [pytest.mark.engine, pytest.mark.claude]

QUESTION = "What is the capital of France?"
LONG = "Answer questions about geography in one short sentence. " * 60
"""More than a block of the CPU engine's cache, 128 tokens; 2.1.332 alone sends fewer."""


def state_of(stack: Stack) -> str:
    assert stack.log_dir is not None
    return str(stack.log_dir.parent)


def launcher(stack: Stack, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autosre_lab.claude", *args],
        # The stack was started with these folders; the launcher has to find it by them alone.
        env={**os.environ, "AUTOSRE_STATE_DIR": state_of(stack)},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def main_requests(stack: Stack) -> list[dict[str, Any]]:
    log = stack.request_log
    assert log is not None
    lines = log.read_text().splitlines() if log.exists() else []
    return [record for record in map(json.loads, lines) if record["kind"] == "main"]


def wait_for_requests(stack: Stack, expected: int) -> None:
    wait_until(lambda: len(main_requests(stack)) >= expected, "the request log's line")


def test_the_launcher_answers_and_the_second_time_from_the_prefix_cache(
    real_stack: Stack, tmp_path: Path
) -> None:
    before = len(main_requests(real_stack))

    for expected in (before + 1, before + 2):
        ran = launcher(real_stack, tmp_path, "-p", QUESTION, f"--append-system-prompt={LONG}")
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.strip()
        # What it says of variables that the launcher sets is nothing that a person can act on.
        assert "CLAUDE_CODE_" not in ran.stderr
        wait_for_requests(real_stack, expected)

    first, second = main_requests(real_stack)[before:]
    assert (first["status"], second["status"]) == (200, 200)
    assert second["cached_tokens"] > 0.5 * (second["input_tokens"] + second["cached_tokens"])


def test_a_question_from_python_tells_where_its_tokens_went(
    real_stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSRE_STATE_DIR", state_of(real_stack))

    answer = ask(QUESTION, stack=real_stack, cwd=tmp_path, timeout_s=240)

    assert not answer.is_error
    assert "Paris" in answer.text
    assert answer.ttft_s is not None
    assert 0 < answer.ttft_s <= answer.duration_s
    assert answer.input_tokens > 50
    assert answer.output_tokens > 0


def test_a_dry_run_shows_the_running_stack_and_no_secret(real_stack: Stack, tmp_path: Path) -> None:
    ran = launcher(real_stack, tmp_path, "--dry-run", "-p", QUESTION)

    assert ran.returncode == 0, ran.stderr
    assert f"export ANTHROPIC_BASE_URL={real_stack.proxy_url}" in ran.stdout
    assert f"export CLAUDE_CODE_MAX_CONTEXT_TOKENS={real_stack.max_model_len}" in ran.stdout
    assert real_stack.token not in ran.stdout
    assert "lean profile" in ran.stdout


def test_a_window_that_is_too_small_is_refused_by_name(real_stack: Stack, tmp_path: Path) -> None:
    ran = launcher(real_stack, tmp_path, "--profile", "full", "-p", QUESTION)

    assert ran.returncode == 2
    assert ran.stdout == ""
    assert f"a window of {real_stack.max_model_len} tokens is too small" in ran.stderr
    assert "--profile lean" in ran.stderr


def test_each_turns_rendered_tokens_begin_the_next_turns(
    real_stack: Stack, make_lab: MakeLab
) -> None:
    # The session is scripted, so that it has tools in it; the rendering is the real engine's.
    lab = make_lab()
    notes = str(lab.work / "notes.txt")
    lab.upstream.script = by_round(
        Turn(text="A file.", tool_calls=[call("Write", file_path=notes, content="ünïcödé\n")]),
        Turn(tool_calls=[call("Read", file_path=notes), call("Bash", command="echo two")]),
        Turn(thinking="Nearly.", text="Nearly done.", tool_calls=[call("Bash", command="ls")]),
        Turn(text="Done."),
    )

    assert lab.ask("Make me a file.", profile="full").code == 0

    rendered = [render(real_stack, request.body) for request in lab.chats]
    assert len(rendered) == 4
    for turn, following in itertools.pairwise(rendered):
        assert len(turn) < len(following)
        assert following[: len(turn)] == turn


def render(stack: Stack, body: Mapping[str, Any]) -> list[int]:
    """Return the token ids of a chat request, without what prompts the model to speak."""
    answer = httpx.post(
        f"{stack.engine_url}/tokenize",
        json={
            "model": stack.model,
            "messages": body["messages"],
            "tools": body["tools"],
            "add_generation_prompt": False,
        },
        timeout=60,
        trust_env=False,
    )
    answer.raise_for_status()
    tokens: list[int] = answer.json()["tokens"]
    return tokens
