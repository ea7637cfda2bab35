"""The real Codex in a terminal, started by our plan with a fresh CODEX_HOME."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from autosre_lab.agents.codex.trial import CodexTrial
from autosre_lab.agents.trial import call, wait_until
from autosre_lab.bench.recorded import (
    CAUSES,
    cache_profile,
    records_in_request_log,
    sessions_in_request_log,
)
from autosre_lab.proxy.priority import PRIORITIES
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.terminal import Terminal, terminal

pytestmark = [pytest.mark.codex, pytest.mark.timeout(300)]

PROMPT = "Ask Codex to do anything"
QUESTION = "Would you like to run the following command?"


def say(tty: Terminal, line: str) -> None:
    tty.wait_for(PROMPT)
    tty.type(line)
    tty.wait_for(line)
    tty.type("\r")


def leave(tty: Terminal) -> None:
    tty.wait_for(PROMPT)
    assert tty.leave("\x03") == 0
    tty.wait_for("codex resume")


def test_a_session_in_a_terminal(make_lab: Callable[..., CodexTrial]) -> None:
    """Started, asked, a command approved, interrupted, left, and resumed."""
    lab = make_lab()
    escalated = call(
        "exec_command",
        cmd="touch made",
        sandbox_permissions="require_escalated",
        justification="May I make a file?",
    )

    def script(body: Any) -> Turn:
        said = [str(one["content"]) for one in body["messages"] if one["role"] == "user"]
        if not any("Make a file." in text for text in said):
            return Turn(text="A title")  # beside the first turn, in a session of its own
        if "What did you do?" in said[-1]:
            return Turn(text="I made a file.")
        if "Talk on." in said[-1]:
            return Turn(text="on and on and on", chunk_interval_s=60.0)
        if body["messages"][-1]["role"] == "tool":
            return Turn(text="It is made.")
        return Turn(tool_calls=[escalated])

    lab.upstream.script = script
    launch = lab.plan("-a", "on-request", "-s", "read-only")
    with terminal(launch.argv, launch.env, lab.work) as tty:
        say(tty, "Make a file.")
        tty.wait_for(QUESTION)
        assert not (lab.work / "made").exists()
        tty.choose("y", QUESTION)
        tty.wait_for("It is made.")
        assert (lab.work / "made").exists()
        say(tty, "Talk on.")
        wait_until(lambda: lab.upstream.running == 1, "the turn")
        tty.wait_for("esc to interrupt")
        tty.choose("\x1b", "esc to interrupt")
        wait_until(lambda: lab.upstream.running == 0, "the end of the engine's work")
        leave(tty)

    launch = lab.plan("resume", "--last")
    with terminal(launch.argv, launch.env, lab.work) as tty:
        tty.wait_for("It is made.")
        say(tty, "What did you do?")
        tty.wait_for("I made a file.")
        leave(tty)

    main = [one for one in lab.log_records() if one["kind"] == "main"]
    (session,) = {one["session"] for one in main}
    turns = [chat.body for chat in lab.chats if chat.body["priority"] == PRIORITIES["main"]]
    for earlier, later in itertools.pairwise(turns):
        assert later["tools"] == earlier["tools"]
        assert later["messages"][: len(earlier["messages"])] == earlier["messages"]
    # Why each of its turns missed the cache is told as for Claude Code.
    assert session in {one.id for one in sessions_in_request_log(lab.request_log)}
    profile = cache_profile(records_in_request_log(lab.request_log), session=session)
    assert [one.turn for one in profile] == list(range(1, len(profile) + 1))
    assert len(profile) >= 3
    assert {cause for one in profile for cause in one.missed} <= CAUSES.keys()
