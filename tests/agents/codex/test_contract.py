"""What we rely on in the real Codex, in each version that is supported."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from autosre_lab.agents.trial import by_round, call, in_order, wait_until
from autosre_lab.scripted.chat_engine import HttpError, ToolCall, Turn
from tests.agents.codex.conftest import CodexLab

pytestmark = pytest.mark.codex

MakeLab = Callable[..., CodexLab]
WRITES = ("-s", "workspace-write", "--skip-git-repo-check")
PATCH = "*** Begin Patch\n*** Add File: a.txt\n+one\n*** End Patch\n"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    "kJggg=="
)


def test_tools_run_in_parallel_and_each_request_begins_with_the_one_before(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()
    patch = ToolCall(name="apply_patch", arguments=json.dumps({"input": PATCH}))
    lab.servers.upstream.script = by_round(
        Turn(
            thinking="hm", text="I look.", tool_calls=[call("exec_command", cmd="echo hi"), patch]
        ),
        Turn(text="Done."),
    )
    ran = lab.ask("work", *WRITES)
    assert (ran.code, ran.text) == (0, "Done."), ran.err
    assert (lab.work / "a.txt").read_text("utf-8") == "one\n"
    first, second = lab.chats
    assert second["tools"] == first["tools"]
    assert second["messages"][: len(first["messages"])] == first["messages"]
    answer, *results = second["messages"][len(first["messages"]) :]
    assert (answer["reasoning"], answer["content"]) == ("hm", "I look.")
    calls = [one["id"] for one in answer["tool_calls"]]
    assert [one["tool_call_id"] for one in results] == calls
    assert "hi" in results[0]["content"]


def test_over_a_websocket_a_session_is_warmed_up_and_sends_only_what_is_new(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()

    def script(body: Any) -> Turn:
        if body.get("max_completion_tokens") == 1:
            return Turn(text="x")
        tools = sum(message["role"] == "tool" for message in body["messages"])
        return Turn(text="Done.") if tools else Turn(tool_calls=[call("exec_command", cmd="pwd")])

    lab.servers.upstream.script = script
    ran = lab.ask("work", "-c", "model_providers.autosre.supports_websockets=true", *WRITES)
    assert (ran.code, ran.text) == (0, "Done."), ran.err
    # Only over a WebSocket does Codex send a warm-up, and what follows continues it.
    warm, first, second = lab.chats
    assert warm["max_completion_tokens"] == 1
    assert warm["tools"] == first["tools"] == second["tools"]
    system = warm["messages"][0]["content"]
    assert first["messages"][0]["content"].startswith(system)
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert str(lab.work) in second["messages"][-1]["content"]
    assert [record["kind"] for record in lab.log_records()] == ["main"] * 3


def test_an_mcp_servers_tool_is_called_by_its_namespace(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.servers.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__capabilities__list_modules")]), Turn(text="Done.")
    )
    ran = lab.ask("look", servers=("capabilities",))
    assert ran.code == 0, ran.err
    names = [tool["function"]["name"] for tool in lab.chats[0]["tools"]]
    assert "mcp__capabilities__list_modules" in names
    assert lab.chats[1]["tools"] == lab.chats[0]["tools"]
    assert "autosre_lab.proxy" in lab.chats[1]["messages"][-1]["content"]


def test_an_image_that_a_tool_shows_reaches_a_model_that_sees(make_lab: MakeLab) -> None:
    import base64

    lab = make_lab()
    (lab.work / "a.png").write_bytes(base64.b64decode(PNG))
    lab.servers.upstream.script = by_round(
        Turn(tool_calls=[call("view_image", path=str(lab.work / "a.png"))]), Turn(text="Seen.")
    )
    ran = lab.ask("look")
    assert (ran.code, ran.text) == (0, "Seen."), ran.err
    assert len(lab.chats) == 2


def test_a_prompt_beyond_the_window_is_said_at_once(make_lab: MakeLab) -> None:
    lab = make_lab(window=1024)
    ran = lab.ask("hello")
    assert ran.code == 1
    assert any("ran out of room" in json.dumps(event) for event in ran.events)
    assert not lab.chats


@pytest.mark.parametrize("status", [429, 503])
def test_asked_again_after_what_may_pass(make_lab: MakeLab, status: int) -> None:
    lab = make_lab()
    refusal = Turn(http_error=HttpError(status=status, headers={"retry-after": "1"}))
    lab.servers.upstream.script = in_order(refusal, Turn(text="There."))
    ran = lab.ask("hello")
    assert (ran.code, ran.text) == (0, "There."), ran.err
    assert len(lab.chats) == 2


def test_asked_once_where_it_would_fail_again(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.servers.upstream.script = in_order(Turn(http_error=HttpError(status=500)))
    assert lab.ask("hello").code == 1
    assert len(lab.chats) == 1


def test_an_answer_that_broke_off_is_asked_for_again(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.servers.upstream.script = in_order(
        Turn(text="one two three four", die_after_chunks=2), Turn(text="Whole.")
    )
    ran = lab.ask("hello")
    assert (ran.code, ran.text) == (0, "Whole."), ran.err
    assert len(ran.items("agent_message")) == 1


def test_a_tool_that_ran_is_not_run_again_when_the_answer_breaks_behind_it(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()
    counted = call("exec_command", cmd="echo x >> count.txt")
    other = call("exec_command", cmd="echo y >> count.txt")

    def script(body: Any) -> Turn:
        results = sum(message["role"] == "tool" for message in body["messages"])
        if results:
            return Turn(text="Done.")
        # The first call is whole when the second one breaks.
        return Turn(tool_calls=[counted, other], die_after_chunks=7)

    lab.servers.upstream.script = script
    ran = lab.ask("work", *WRITES)
    assert (ran.code, ran.text) == (0, "Done."), ran.err
    assert (lab.work / "count.txt").read_text("utf-8").count("x") == 1


def test_a_slow_prefill_is_waited_for_with_one_request(make_lab: MakeLab) -> None:
    lab = make_lab(keepalive_s=0.5)
    lab.servers.upstream.script = in_order(Turn(text="At last.", headers_delay_s=6.0))
    launch = lab.plan("exec", "--json", "hello")
    # A watchdog of two seconds, in place of one of half an hour.
    words = [
        word.replace("stream_idle_timeout_ms=1800000", "stream_idle_timeout_ms=2000")
        for word in launch.argv
    ]
    done = subprocess.run(
        words,
        env=launch.env,
        cwd=lab.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "At last." in done.stdout
    assert len(lab.chats) == 1


def test_a_session_is_compacted_before_the_window_is_full_and_its_prefix_stays(
    make_lab: MakeLab,
) -> None:
    lab = make_lab(window=16_384)

    def script(body: Any) -> Turn:
        if body.get("tool_choice") == "none":
            return Turn(text="A summary of it all.")
        if any("A summary of it all." in str(one["content"]) for one in body["messages"]):
            return Turn(text="Done.")
        return Turn(tool_calls=[call("exec_command", cmd="seq 1 20000")])

    lab.servers.upstream.script = script
    ran = lab.ask("work")
    assert (ran.code, ran.text) == (0, "Done."), ran.err
    kinds = [record["kind"] for record in lab.log_records()]
    assert kinds.count("compaction") == 1
    at = kinds.index("compaction")
    turn, compaction = lab.chats[at - 1 : at + 1]
    assert compaction["tools"] == turn["tools"]
    assert compaction["messages"][: len(turn["messages"])] == turn["messages"]


def test_killed_it_ends_the_engines_work(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.servers.upstream.script = in_order(Turn(text="one two three", chunk_interval_s=30.0))
    with lab.start(lab.plan("exec", "--json", "hello")) as process:
        wait_until(lambda: lab.servers.upstream.running == 1, "the request")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    wait_until(lambda: lab.servers.upstream.disconnects == 1, "the end of the engine's work")


def test_a_session_is_resumed_with_the_same_beginning(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.servers.upstream.script = by_round(Turn(text="First."), Turn(text="Second."))
    assert lab.ask("one").text == "First."
    launch = lab.plan("exec", "--json", "--skip-git-repo-check", "resume", "--last", "two")
    done = subprocess.run(
        launch.argv,
        env=launch.env,
        cwd=lab.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert "Second." in done.stdout, done.stderr
    first, second = lab.chats
    assert second["messages"][: len(first["messages"])] == first["messages"]


def test_the_models_shell_does_not_see_the_key(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.servers.upstream.script = by_round(
        Turn(tool_calls=[call("exec_command", cmd="env")]), Turn(text="Done.")
    )
    assert lab.ask("look").code == 0
    shown = lab.chats[1]["messages"][-1]["content"]
    assert "PATH=" in shown
    assert "AUTOSRE_CODEX_KEY" not in shown
