"""What we rely on in Claude Code, as a table of behaviours that can be tried on any version."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autosre_lab.agents.claude.first_request import first_request
from autosre_lab.agents.claude.plan import NOISE
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.trial import ClaudeTrial, trial
from autosre_lab.agents.claude.version import CLAUDE_CODE
from autosre_lab.agents.contract import Behaviour, Broken, expect, goes_on, same
from autosre_lab.agents.trial import by_round, call, in_order, wait_until
from autosre_lab.scripted.chat_engine import HttpError, Turn

__all__ = ["CONTRACT", "attempt"]

SUMMARY = "<summary>The user asked for numbers. They were printed.</summary>"
ANSWER = Turn(text="Recovered.")
SIZE_TOLERANCE = 0.1


def attempt(behaviour: Behaviour[ClaudeTrial], executable: Path) -> None:
    """Try one behaviour in a folder of its own.

    Raises:
        Broken: It does not hold.
        TimeoutError: Claude Code did not end.
        ValueError: It ended without a result.
    """
    with (
        tempfile.TemporaryDirectory(prefix="autosre-claude-check-") as folder,
        trial(
            executable,
            Path(folder),
            window=behaviour.window,
            keepalive_s=behaviour.keepalive_s,
            resume_tries=behaviour.resume_tries,
        ) as lab,
    ):
        behaviour.run(lab)


def _is_compaction(body: Mapping[str, Any]) -> bool:
    return "followed by a <summary> block" in json.dumps(body["messages"][-1])


def _sizes(lab: ClaudeTrial) -> None:
    said = lab.executable
    version = CLAUDE_CODE.named(said).version
    for profile in PROFILES.values():
        body = first_request(
            profile,
            executable=said,
            version=version,
            cache_dir=lab.folder / "cache",
            environ=dict(os.environ),
        )
        if body is None:
            raise Broken(f"the {profile.name} profile sent no request")
        found, wanted = len(json.dumps(body)), profile.size(version).recorded_bytes
        expect(
            abs(found - wanted) <= SIZE_TOLERANCE * wanted,
            f"the first request of the {profile.name} profile has {found} bytes, not some {wanted}",
        )


def _tools(lab: ClaudeTrial) -> None:
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("Bash", command="echo one"), call("Bash", command="echo two")]),
        Turn(text="Both ran."),
    )
    ran = lab.ask("Run two commands.")
    same((ran.code, ran.text), (0, "Both ran."), "exit code and answer")
    printed = sorted(str(one["content"]).strip() for one in ran.tool_results)
    same(printed, ["one", "two"], "what the commands printed")
    first, second = (request.body for request in lab.chats)
    expect(
        second["messages"][: len(first["messages"])] == first["messages"]
        and first["tools"] == second["tools"],
        "the second request does not begin with the first: the prefix cache would be missed",
    )


def _asked_again(failure: Turn) -> Callable[[ClaudeTrial], None]:
    def run(lab: ClaudeTrial) -> None:
        lab.upstream.script = in_order(failure, ANSWER)
        ran = lab.ask("Hello?")
        same((ran.code, ran.text), (0, "Recovered."), "exit code and answer")
        same(len(lab.chats), 2, "requests")

    return run


def _compacts(command: str, characters: str) -> Callable[[ClaudeTrial], None]:
    def run(lab: ClaudeTrial) -> None:
        def script(body: Mapping[str, Any]) -> Turn:
            if _is_compaction(body):
                return Turn(text=SUMMARY)
            if "They were printed" in json.dumps(body["messages"]):
                return Turn(text="Went on after compaction.")
            return Turn(tool_calls=[call("Bash", command=command)])

        lab.upstream.script = script
        ran = lab.ask("Print numbers.", BASH_MAX_OUTPUT_LENGTH=characters)
        same((ran.code, ran.text), (0, "Went on after compaction."), "exit code and answer")
        expect(
            any(event.get("subtype") == "compact_boundary" for event in ran.events),
            "it did not compact",
        )
        kinds = {one["kind"] for one in lab.log_records()}
        expect("compaction" in kinds, f"its compaction is taken for something else: {kinds}")
        largest = max(
            lab.upstream._count(request.body) + request.body["max_completion_tokens"]
            for request in lab.chats
        )
        expect(
            largest <= lab.upstream.max_model_len,
            f"prompt and answer are {largest} tokens, more than the window",
        )

    return run


def _compacts_ahead(lab: ClaudeTrial) -> None:
    _compacts("seq 1 5000", "30000")(lab)
    refused = [one["status"] for one in lab.log_records() if one["status"] != 200]
    expect(not refused, f"requests were refused first: {refused}")


def _waits(lab: ClaudeTrial) -> None:
    # Claude Code sends again when no status line came within API_TIMEOUT_MS, here 3 s.
    slow = Turn(
        tool_calls=[call("Bash", command="echo hi")],
        headers_delay_s=PREFILL_S / 2,
        first_chunk_delay_s=PREFILL_S / 2,
    )
    lab.upstream.script = by_round(slow, Turn(text="Worth waiting for."))
    ran = lab.ask("Take your time.", timeout_s=PREFILL_S + 60, API_TIMEOUT_MS="3000")
    same((ran.code, ran.text), (0, "Worth waiting for."), "exit code and answer")
    same(len(lab.chats), 2, "requests")
    expect(lab.log_records()[0]["keepalives"] >= 2, "the proxy sent no signs of life")
    # What kept the stream alive does not come back as something the model thought.
    *_, answered = (m for m in lab.chats[1].body["messages"] if m["role"] == "assistant")
    expect(
        not answered.keys() & {"reasoning", "reasoning_content"} and not answered.get("content"),
        "the empty thinking block came back as text",
    )


PREFILL_S = float(os.environ.get("AUTOSRE_TEST_PREFILL_S", "6"))
"""Claude Code's clock on a running stream is 300 s and cannot be set shorter: 400 outlasts it."""


def _subagent(lab: ClaudeTrial) -> None:
    task = "SUBAGENT-TASK: say what 6 times 7 is."

    def is_agent(body: Mapping[str, Any]) -> bool:
        text = json.dumps(body["messages"])
        return task in text and "Let an agent" not in text

    def script(body: Mapping[str, Any]) -> Turn:
        asked = json.dumps([m for m in body["messages"] if m["role"] != "assistant"])
        if "It is 42." in asked:
            return Turn(text="The agent says 42.")
        if body["messages"][-1]["role"] == "tool":
            return Turn(text="It is at work.")  # 2.1.332 runs it in the background
        if task in asked:
            return Turn(text="It is 42.")
        agent = call("Agent", description="Multiply", prompt=task, subagent_type="general-purpose")
        return Turn(tool_calls=[agent])

    lab.upstream.script = script
    ran = lab.ask("Let an agent multiply.", profile="full")
    same((ran.code, ran.text), (0, "The agent says 42."), "exit code and answer")
    # Whatever model Claude Code would pick for its agents, ours answers.
    models = {request.body["model"] for request in lab.chats}
    same(models, {lab.upstream.model}, "models asked for")
    kinds = [one["kind"] for one in lab.log_records() if one["kind"] != "background"]
    expect(kinds[0] == "main" and kinds.count("subagent") == 1, f"kinds of requests: {kinds}")
    agent = [r.body["priority"] for r in lab.chats if is_agent(r.body)]
    main = [r.body["priority"] for r in lab.chats if not is_agent(r.body)]
    expect(max(main) < min(agent), "a subagent goes before the main conversation")


def _web_tools(lab: ClaudeTrial) -> None:
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__capabilities__get_command", name="autosre stop")]),
        Turn(text="That stops it."),
    )
    ran = lab.ask("How do I stop it?", profile="full", servers=["capabilities"])
    same((ran.code, ran.text), (0, "That stops it."), "exit code and answer")
    tools = [tool["function"]["name"] for tool in lab.chats[0].body["tools"]]
    expect("mcp__capabilities__get_command" in tools, "our MCP server's tools are not loaded")
    withheld = {"WebFetch", "WebSearch", "Workflow"} & set(tools)
    expect(not withheld, f"tools that only Anthropic can serve are loaded: {withheld}")


def _too_long(lab: ClaudeTrial) -> None:
    ran = lab.ask("Hello? " * 1000)
    same((ran.code, len(lab.chats)), (1, 0), "exit code and requests of the engine")
    expect("too long" in ran.text.lower(), f"its result gives no reason: {ran.text!r}")


def _permission_check(lab: ClaudeTrial) -> None:
    def script(body: Mapping[str, Any]) -> Turn:
        if "</block>" in (body.get("stop") or ()):
            return Turn(text="<block>no")
        if body["messages"][-1]["role"] == "tool":
            return Turn(text="It ran.")
        return Turn(tool_calls=[call("Bash", command="touch made; curl -s http://127.0.0.1:1/")])

    lab.upstream.script = script
    done = lab.run(lab.plan("-p", "Make a file.", "--permission-mode", "auto"))
    same((done.returncode, done.stdout.strip()), (0, "It ran."), "exit code and answer")
    kinds = [one["kind"] for one in lab.log_records()]
    same(kinds, ["main", "permission", "main"], "kinds of requests")


LATER = "mcp__later__get_command"


def _fetches(lab: ClaudeTrial) -> None:
    """A server that is not ours: its tools are fetched first, where there is a search for them."""

    def listed(body: Mapping[str, Any]) -> list[str]:
        tools = (body.get("chat_template_kwargs") or {}).get("tools", body["tools"])
        return [tool["function"]["name"] for tool in tools]

    fetch = Turn(tool_calls=[call("ToolSearch", query=f"select:{LATER}")])
    use = Turn(tool_calls=[call(LATER, name="autosre stop")])

    def script(body: Mapping[str, Any]) -> Turn:
        turns = [*([fetch] if "ToolSearch" in listed(body) else []), use, Turn(text="That stops.")]
        return by_round(*turns)(body)

    server = {"command": sys.executable, "args": ["-m", "autosre_lab.mcp_servers.capabilities"]}
    servers = json.dumps({"mcpServers": {"later": server}})
    lab.upstream.script = script
    ran = lab.ask(
        "How do I stop it?",
        f"--mcp-config={servers}",
        f"--allowedTools={LATER}",
        profile="full",
        MCP_CONNECTION_NONBLOCKING="0",  # 2.1.197 would not wait for the server
    )
    same((ran.code, ran.text), (0, "That stops."), "exit code and answer")
    result = str(ran.tool_results[-1]["content"])
    expect("autosre stop" in result and len(result) > 100, f"the tool said: {result[:200]!r}")
    bodies = [request.body for request in lab.chats]
    expect(all(listed(one) == listed(bodies[0]) for one in bodies), "the list of tools changed")
    expect("DeferredToolPlaceholder" not in listed(bodies[0]), "a placeholder is offered")
    for before, after in itertools.pairwise(bodies):
        expect(
            after["messages"][: len(before["messages"])] == before["messages"],
            "a request does not begin with the one before: the prefix cache would be missed",
        )
    if "ToolSearch" in listed(bodies[0]):
        told = str(bodies[1]["messages"][-1]["content"])
        expect(f'"name":"{LATER}"' in told, f"the search came to: {told[:200]!r}")
        expect(LATER not in listed(bodies[-1]), "a fetched tool changed the list")
        parsed = [tool["function"]["name"] for tool in bodies[-1]["tools"]]
        expect(LATER in parsed, "the engine's parser does not know the fetched tool")


def _goes_away(lab: ClaudeTrial) -> None:
    lab.upstream.script = by_round(Turn(text="I talk and talk", hold=True))
    with lab.start(lab.plan("-p", "Talk.")) as process:
        wait_until(lambda: lab.upstream.running or process.poll() is not None, "the request")
        expect(lab.upstream.running == 1, "it ended by itself")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    wait_until(lambda: lab.upstream.running == 0, "the end of the engine's work")


def _stays_down(lab: ClaudeTrial) -> None:
    lab.upstream.script = by_round(Turn(http_error=HttpError(status=503)))
    ran = lab.ask("Hello?", CLAUDE_CODE_MAX_RETRIES="1")
    same(ran.code, 1, "exit code")
    expect(bool(ran.result["is_error"]), "its result is no error")
    expect("503" in ran.text or "529" in ran.text, f"its result gives no reason: {ran.text!r}")


def _continued(lab: ClaudeTrial) -> None:
    lab.upstream.script = by_round(Turn(text="The word is xylophone."), Turn(text="As I said."))
    same(lab.ask("Give me a word.").code, 0, "exit code")
    ran = lab.ask("Which word?", "--continue")
    same((ran.code, ran.text), (0, "As I said."), "exit code and answer")
    expect("xylophone" in str(lab.chats[-1].body["messages"]), "the first session is forgotten")


def _quiet(lab: ClaudeTrial) -> None:
    lab.upstream.script = by_round(Turn(text="Hello."))
    ran = lab.ask("Hello?")
    said = [
        line for line in ran.err.splitlines() if line.strip() and not any(n in line for n in NOISE)
    ]
    same(said, [], "lines on standard error")


CONTRACT: tuple[Behaviour[ClaudeTrial], ...] = (
    Behaviour(name="first requests have the recorded sizes", run=_sizes),
    Behaviour(name="tools run, and each request begins with the one before", run=_tools),
    Behaviour(name="nothing but known lines on standard error", run=_quiet),
    Behaviour(name="a session can be continued", run=_continued),
    *(
        Behaviour(name=f"asked again after {name}", run=_asked_again(failure))
        for name, failure in (
            ("503", Turn(http_error=HttpError(status=503))),
            ("529", Turn(http_error=HttpError(status=529))),
            ("500", Turn(http_error=HttpError(status=500))),
            ("an error in the stream", Turn(text="one two three", error_after_chunks=2)),
            ("a death in the stream", Turn(text="one two three", die_after_chunks=2)),
            ("a death before the first token", Turn(die_after_chunks=0)),
        )
    ),
    Behaviour(
        name="compacts once a request was refused as too long (16,384 tokens)",
        run=_compacts("seq 1 2000", "8000"),
        window=16_384,
    ),
    Behaviour(
        name="compacts before the window is full (65,536 tokens)",
        run=_compacts_ahead,
        window=65_536,
    ),
    Behaviour(name="waits through a slow prefill with one request", run=_waits, keepalive_s=0.5),
    Behaviour(
        name="an answer goes on when its engine was killed and came back",
        run=lambda lab: goes_on(lab, lab.ask),
        keepalive_s=0.5,
        resume_tries=3,
    ),
    Behaviour(name="a subagent is answered by our model, after the main turn", run=_subagent),
    Behaviour(name="our MCP servers' tools are loaded from the start", run=_web_tools, needs="mcp"),
    Behaviour(
        name="a first prompt beyond the window ends with 1 and a reason", run=_too_long, window=2048
    ),
    Behaviour(name="a permission check by the model is told from a turn", run=_permission_check),
    Behaviour(
        name="a tool that is fetched later is called, and the prompt's beginning stays",
        run=_fetches,
        needs="mcp",
    ),
    Behaviour(name="an engine that stays down ends with 1 and a reason", run=_stays_down),
    Behaviour(name="the engine stops when Claude Code goes away", run=_goes_away),
)
