"""The real Claude Code in a terminal, started by our plan in a fresh configuration folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.agents.claude.agent import status_line_command
from autosre_lab.agents.trial import by_round, call
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.conftest import EACH_VERSION, MakeLab
from tests.agents.terminal import Terminal, terminal

pytestmark = [pytest.mark.claude, EACH_VERSION]

PROMPT = "? for shortcuts"
QUESTIONS = ("Choose the text style", "Select login method", "I trust this folder")


@pytest.mark.parametrize("profile", ["full", "lean"])
def test_a_first_start_asks_nothing_and_answers(
    make_lab: MakeLab, profile: str, claude_code: Path
) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(text="Bonjour from the script."))
    launch = lab.plan(profile=profile)

    with terminal(launch.argv, launch.env, lab.work) as tty:
        assert tty.wait_for(PROMPT, *QUESTIONS) == PROMPT
        say(tty, "Greet me.")
        tty.wait_for("Bonjour from the script.")
        leave(tty)
        if "2.1.197" not in str(claude_code):
            tty.wait_for("autosre-claude --resume")


def test_a_folder_with_hooks_is_asked_about(make_lab: MakeLab) -> None:
    lab = make_lab()
    (lab.work / ".claude").mkdir()
    launch = lab.plan()

    with terminal(launch.argv, launch.env, lab.work) as tty:
        assert tty.wait_for(PROMPT, *QUESTIONS) == "I trust this folder"


def test_the_parallel_counts_of_slash_context_are_answered(make_lab: MakeLab) -> None:
    lab = make_lab()
    launch = lab.plan(profile="full")

    with terminal(launch.argv, launch.env, lab.work) as tty:
        tty.wait_for(PROMPT)
        say(tty, "/context")
        tty.wait_for("usage by category", "tokens by category", timeout_s=60)
        tty.wait_for(f"{lab.upstream.model} ·", lab.upstream.model)
        leave(tty)

    counts = [one for one in lab.upstream.requests if one.path == "/tokenize"]
    assert len(counts) >= 10
    assert not lab.chats


def say(tty: Terminal, line: str) -> None:
    tty.type(line)
    tty.wait_for(line)
    tty.type("\r")


def leave(tty: Terminal) -> None:
    assert tty.leave("\x03", again="again to exit") == 0


def test_an_interactive_session_has_its_web_tools(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__capabilities__get_command", name="autosre stop")]),
        Turn(text="That ends it."),
    )
    launch = lab.plan(profile="full", servers=["capabilities"])

    with terminal(launch.argv, launch.env, lab.work) as tty:
        assert tty.wait_for(PROMPT, *QUESTIONS) == PROMPT
        # In a terminal Claude Code does not wait for its servers; a person takes longer to type.
        say(tty, "/mcp")
        tty.wait_for("connected", "✔ capabilities")
        tty.type("\x1b")
        tty.wait_for(PROMPT)
        say(tty, "How do I stop it?")
        tty.wait_for("That ends it.")
        leave(tty)

    first, second = (request.body for request in lab.chats)
    assert first["tools"] == second["tools"]
    assert "Stop the engine and proxy" in str(second["messages"][-1])


def test_a_person_and_no_model_is_asked_before_a_command_runs(make_lab: MakeLab) -> None:
    # 2.1.332 would start in auto mode and have the command judged by a request of 144 KB.
    lab = make_lab()
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("Bash", command="touch made && rm made")]), Turn(text="Done.")
    )
    launch = lab.plan()

    with terminal(launch.argv, launch.env, lab.work) as tty:
        assert tty.wait_for(PROMPT, *QUESTIONS) == PROMPT
        say(tty, "Make a file.")
        tty.wait_for("Do you want to proceed?")
        tty.choose("1", "Do you want to proceed?")
        tty.wait_for("Done.")
        leave(tty)

    main = [one for one in lab.log_records() if one["kind"] == "main"]
    assert len(main) == len(lab.chats) == 2
    assert not any("security monitor" in str(request.body["messages"]) for request in lab.chats)


def test_the_list_of_models_names_the_one_that_is_served(make_lab: MakeLab) -> None:
    lab = make_lab(window=65_536)
    launch = lab.plan()

    with terminal(launch.argv, launch.env, lab.work) as tty:
        tty.wait_for(PROMPT)
        say(tty, "/model")
        tty.wait_for(f"{lab.upstream.model} as Opus")
        shown = tty.shown
        tty.type("\x1b")
        tty.wait_for(PROMPT)
        leave(tty)

    assert "[1m]" not in shown
    assert "CLAUDE_CODE" not in shown, "it complains of a variable of ours"
    assert "Custom" not in shown


def test_the_status_line_says_local_model_speed_and_context(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(text="one two three four five", chunk_interval_s=0.05))
    launch = lab.plan(status_line=status_line_command(lab.folder / "config", lab.request_log))

    with terminal(launch.argv, launch.env, lab.work) as tty:
        tty.wait_for(PROMPT, "local ·")
        say(tty, "Count.")
        tty.wait_for("four five")
        tty.wait_for("tok/s · context")
        assert f"local·{lab.upstream.model}·" in tty.shown
        leave(tty)
