"""What we rely on in Codex, as a table of behaviours that can be tried on any version."""

from __future__ import annotations

import base64
import json
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autosre_lab.agents.codex.plan import KEY_VARIABLE, STREAM_IDLE_MS
from autosre_lab.agents.codex.trial import CodexTrial, trial
from autosre_lab.agents.contract import Behaviour, expect, same
from autosre_lab.agents.trial import by_round, call, in_order, wait_until
from autosre_lab.scripted.chat_engine import HttpError, ToolCall, Turn
from autosre_lab.settings import home_folder

__all__ = ["CONTRACT", "attempt"]

WRITES = ("-s", "workspace-write", "--skip-git-repo-check")
PATCH = "*** Begin Patch\n*** Add File: a.txt\n+one\n*** End Patch\n"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    "kJggg=="
)


def attempt(behaviour: Behaviour[CodexTrial], executable: Path) -> None:
    """Try one behaviour in a folder of its own.

    Raises:
        Broken: It does not hold.
        TimeoutError: Codex did not end.
        ValueError: It ended without an answer.
    """
    # In the temporary folder Codex refuses to put its helper programs.
    kept = home_folder() / ".cache" / "autosre-trials"
    kept.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(
            prefix="codex-", dir=kept, ignore_cleanup_errors=True
        ) as folder,
        trial(
            executable, Path(folder), window=behaviour.window, keepalive_s=behaviour.keepalive_s
        ) as lab,
    ):
        behaviour.run(lab)


def _bodies(lab: CodexTrial) -> list[dict[str, Any]]:
    return [dict(chat.body) for chat in lab.chats]


def _begins_with(later: Mapping[str, Any], earlier: Mapping[str, Any]) -> None:
    same(later.get("tools"), earlier.get("tools"), "tools of the later request")
    expect(
        later["messages"][: len(earlier["messages"])] == earlier["messages"],
        "a request does not begin with the one before: the prefix cache would be missed",
    )


def _tools(lab: CodexTrial) -> None:
    patch = ToolCall(name="apply_patch", arguments=json.dumps({"input": PATCH}))
    calls = [call("exec_command", cmd="echo hi"), patch]
    lab.upstream.script = by_round(
        Turn(thinking="hm", text="I look.", tool_calls=calls), Turn(text="Done.")
    )
    ran = lab.exec("work", *WRITES)
    same((ran.code, ran.text), (0, "Done."), "exit code and answer")
    same((lab.work / "a.txt").read_text("utf-8"), "one\n", "the patched file")
    first, second = _bodies(lab)
    _begins_with(second, first)
    answer, *results = second["messages"][len(first["messages"]) :]
    same((answer["reasoning"], answer["content"]), ("hm", "I look."), "what comes back")
    made = [one["id"] for one in answer["tool_calls"]]
    same([one["tool_call_id"] for one in results], made, "calls that have a result")
    expect("hi" in results[0]["content"], "the command's output is not in its result")


def _over_a_websocket(lab: CodexTrial) -> None:
    def script(body: Mapping[str, Any]) -> Turn:
        if body.get("max_completion_tokens") == 1:
            return Turn(text="x")
        ran = any(message["role"] == "tool" for message in body["messages"])
        return Turn(text="Done.") if ran else Turn(tool_calls=[call("exec_command", cmd="pwd")])

    lab.upstream.script = script
    wanted = ("-c", "model_providers.autosre.supports_websockets=true")
    ran = lab.exec("work", *wanted, *WRITES)
    same((ran.code, ran.text), (0, "Done."), "exit code and answer")
    # Only over a WebSocket is there a warm-up, and what follows holds only what is new.
    warm, first, second = _bodies(lab)
    same(warm.get("max_completion_tokens"), 1, "tokens of the warm-up")
    same(warm["tools"], first["tools"], "tools of the warm-up")
    leading = warm["messages"][0]["content"]
    expect(first["messages"][0]["content"].startswith(leading), "the warm-up is no beginning")
    _begins_with(second, first)
    expect(str(lab.work) in second["messages"][-1]["content"], "the command's output is missing")


def _servers(lab: CodexTrial) -> None:
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__capabilities__list_modules")]), Turn(text="Done.")
    )
    same(lab.exec("look", servers=("capabilities",)).code, 0, "exit code")
    first, second = _bodies(lab)
    names = [tool["function"]["name"] for tool in first["tools"]]
    expect("mcp__capabilities__list_modules" in names, "our MCP server's tools are not loaded")
    _begins_with(second, first)
    expect("autosre_lab.proxy" in second["messages"][-1]["content"], "the tool was not called")


def _image(lab: CodexTrial) -> None:
    (lab.work / "a.png").write_bytes(base64.b64decode(PNG))
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("view_image", path=str(lab.work / "a.png"))]), Turn(text="Seen.")
    )
    ran = lab.exec("look")
    same((ran.code, ran.text, len(lab.chats)), (0, "Seen.", 2), "exit code, answer, requests")


def _too_long(lab: CodexTrial) -> None:
    ran = lab.exec("hello")
    same((ran.code, len(lab.chats)), (1, 0), "exit code and requests of the engine")
    said = any("ran out of room" in json.dumps(event) for event in ran.events)
    expect(said, "it does not say that there is no room")


def _asked_again(*statuses: int) -> Callable[[CodexTrial], None]:
    def run(lab: CodexTrial) -> None:
        refusals = [
            Turn(http_error=HttpError(status=status, headers={"retry-after": "1"}))
            for status in statuses
        ]
        lab.upstream.script = in_order(*refusals, Turn(text="There."))
        ran = lab.exec("hello")
        same((ran.code, ran.text), (0, "There."), "exit code and answer")
        same(len(lab.chats), len(statuses) + 1, "requests")

    return run


def _asked_once(lab: CodexTrial) -> None:
    lab.upstream.script = in_order(Turn(http_error=HttpError(status=500)))
    same((lab.exec("hello").code, len(lab.chats)), (1, 1), "exit code and requests")


def _broke_off(lab: CodexTrial) -> None:
    lab.upstream.script = in_order(
        Turn(text="one two three four", die_after_chunks=2), Turn(text="Whole.")
    )
    ran = lab.exec("hello")
    same((ran.code, ran.text), (0, "Whole."), "exit code and answer")
    same(len(ran.items("agent_message")), 1, "messages")


def _not_twice(lab: CodexTrial) -> None:
    counted = call("exec_command", cmd="echo x >> count.txt")
    other = call("exec_command", cmd="echo y >> count.txt")

    def script(body: Mapping[str, Any]) -> Turn:
        if any(message["role"] == "tool" for message in body["messages"]):
            return Turn(text="Done.")
        # The first call is whole when the second one breaks.
        return Turn(tool_calls=[counted, other], die_after_chunks=7)

    lab.upstream.script = script
    ran = lab.exec("work", *WRITES)
    same((ran.code, ran.text), (0, "Done."), "exit code and answer")
    same((lab.work / "count.txt").read_text("utf-8").count("x"), 1, "runs of the first call")


def _waits(lab: CodexTrial) -> None:
    lab.upstream.script = in_order(Turn(text="At last.", headers_delay_s=6.0))
    launch = lab.plan("exec", "--json", "hello")
    # A watchdog of two seconds, in place of one of half an hour.
    long, short = f"stream_idle_timeout_ms={STREAM_IDLE_MS}", "stream_idle_timeout_ms=2000"
    words = tuple(word.replace(long, short) for word in launch.argv)
    done = lab.run(replace(launch, argv=words))
    expect(done.returncode == 0 and "At last." in done.stdout, f"no answer: {done.stderr[-500:]}")
    same(len(lab.chats), 1, "requests")


def _compacts(lab: CodexTrial) -> None:
    def script(body: Mapping[str, Any]) -> Turn:
        if body.get("tool_choice") == "none":
            return Turn(text="A summary of it all.")
        if any("A summary of it all." in str(one["content"]) for one in body["messages"]):
            return Turn(text="Done.")
        return Turn(tool_calls=[call("exec_command", cmd="seq 1 20000")])

    lab.upstream.script = script
    ran = lab.exec("work")
    same((ran.code, ran.text), (0, "Done."), "exit code and answer")
    kinds = [record["kind"] for record in lab.log_records()]
    same(kinds.count("compaction"), 1, "compactions")
    at = kinds.index("compaction")
    turn, compaction = _bodies(lab)[at - 1 : at + 1]
    _begins_with(compaction, turn)


def _goes_away(lab: CodexTrial) -> None:
    lab.upstream.script = in_order(Turn(text="I talk and talk", hold=True))
    with lab.start(lab.plan("exec", "--json", "hello")) as process:
        wait_until(lambda: lab.upstream.running or process.poll() is not None, "the request")
        expect(lab.upstream.running == 1, "it ended by itself")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    wait_until(lambda: lab.upstream.running == 0, "the end of the engine's work")


def _resumed(lab: CodexTrial) -> None:
    lab.upstream.script = by_round(Turn(text="First."), Turn(text="Second."))
    same(lab.exec("one").text, "First.", "answer")
    ran = lab.exec("--skip-git-repo-check", "resume", "--last", "two")
    same((ran.code, ran.text), (0, "Second."), "exit code and answer")
    first, second = _bodies(lab)
    _begins_with(second, first)


def _key(lab: CodexTrial) -> None:
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("exec_command", cmd="env")]), Turn(text="Done.")
    )
    same(lab.exec("look").code, 0, "exit code")
    shown = _bodies(lab)[1]["messages"][-1]["content"]
    expect("PATH=" in shown, "the shell shows no environment")
    expect(KEY_VARIABLE not in shown, "the model's shell sees the proxy's token")


CONTRACT: tuple[Behaviour[CodexTrial], ...] = (
    Behaviour(name="tools run, and each request begins with the one before", run=_tools),
    Behaviour(name="a session can be continued", run=_resumed),
    Behaviour(name="asked again after 429 and 503", run=_asked_again(429, 503)),
    Behaviour(name="asked once after 500", run=_asked_once),
    Behaviour(name="asked again after a death in the stream", run=_broke_off),
    Behaviour(
        name="a tool that ran is not run again when the answer breaks behind it", run=_not_twice
    ),
    Behaviour(
        name="a first prompt beyond the window ends with 1 and a reason", run=_too_long, window=1024
    ),
    Behaviour(
        name="compacts before the window is full, with the prefix (16,384 tokens)",
        run=_compacts,
        window=16_384,
    ),
    Behaviour(name="waits through a slow prefill with one request", run=_waits, keepalive_s=0.5),
    Behaviour(name="our MCP servers' tools are loaded from the start", run=_servers, needs="mcp"),
    Behaviour(name="an image that a tool shows is answered", run=_image),
    Behaviour(name="over a WebSocket it warms up and sends what is new", run=_over_a_websocket),
    Behaviour(name="the model's shell does not see the key", run=_key),
    Behaviour(name="the engine stops when Codex goes away", run=_goes_away),
)
