"""The status line: what it says of a session, and that it never fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.agents.claude import status_line as module
from autosre_lab.agents.claude.agent import status_line_command
from autosre_lab.agents.claude.status_line import status_line, tokens_per_s

SESSION = {
    "session_id": "one",
    "model": {"id": "smollm2-135m", "display_name": "smollm2-135m as Opus"},
    "context_window": {"context_window_size": 8192, "used_percentage": 41.6},
}


def record(**changed: object) -> str:
    usual = {"session": "one", "kind": "main", "output_tokens": 101, "ttft_ms": 500}
    return json.dumps({**usual, "total_ms": 2500, **changed})


def test_it_says_local_model_speed_and_context() -> None:
    assert (
        status_line(SESSION, record()) == "local · smollm2-135m · 50 tok/s · context 42% of 8,192"
    )


def test_the_speed_is_the_last_answers_of_this_session() -> None:
    log = "\n".join(
        [
            '"cut off at the front of the tail',
            record(total_ms=4500),
            record(session="other", total_ms=600),
            record(kind="background", total_ms=600),
            record(output_tokens=0, ttft_ms=None),
        ]
    )
    assert tokens_per_s(log, "one") == 25.0
    assert tokens_per_s(log, "unknown") is None


@pytest.mark.parametrize("given", ["{}", "[]", "nonsense", ""])
def test_it_never_fails(given: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", module.__file__ or "", "/nonexistent/requests.jsonl"],
        input=given,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert (done.stdout, done.stderr) == ("local · model\n", "")


def test_a_users_own_status_line_stays(tmp_path: Path) -> None:
    ours = status_line_command(tmp_path, tmp_path / "requests.jsonl")
    assert ours is not None
    assert ours.endswith(f"status_line.py {tmp_path / 'requests.jsonl'}")
    (tmp_path / "settings.json").write_text(
        '{"statusLine": {"type": "command", "command": "mine"}}'
    )
    assert status_line_command(tmp_path, None) is None
    assert status_line_command(None, None) is None
