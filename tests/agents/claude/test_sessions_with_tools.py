"""The real Claude Code works through our proxy: its tools are run, its requests only grow."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from autosre_lab.agents.trial import by_round, call
from autosre_lab.scripted.chat_engine import ToolCall, Turn
from tests.agents.claude.conftest import EACH_VERSION, MakeLab

pytestmark = [pytest.mark.claude, EACH_VERSION]

DONE = Turn(text="All done.")


def names(request: Any) -> list[str]:
    return [tool["function"]["name"] for tool in request.body.get("tools", [])]


def test_a_session_of_many_turns_changes_files_and_only_appends(make_lab: MakeLab) -> None:
    lab = make_lab()
    notes = str(lab.work / "notes.txt")
    lab.upstream.script = by_round(
        Turn(
            thinking="I need a file.",
            text="First a file.",
            tool_calls=[call("Write", file_path=notes, content="one\ntwo\n")],
        ),
        Turn(tool_calls=[call("Read", file_path=notes)]),
        Turn(tool_calls=[call("Edit", file_path=notes, old_string="two", new_string="TWO")]),
        Turn(tool_calls=[call("Bash", command=f"wc -l < {notes}; echo 'ünïcödé ✓'")]),
        DONE,
    )

    ran = lab.ask("Make me a file.")

    assert (ran.code, ran.text) == (0, "All done.")
    assert (lab.work / "notes.txt").read_text() == "one\nTWO\n"
    assert not any(result.get("is_error") for result in ran.tool_results)
    assert "2\nünïcödé ✓" in json.dumps(ran.tool_results[-1], ensure_ascii=False).replace(
        "\\n", "\n"
    )
    assert_append_only([request.body for request in lab.chats], turns=5)


def test_parallel_tool_calls_are_all_run_and_answered_each_by_its_own_result(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(
        Turn(
            text="Three at once.",
            tool_calls=[call("Bash", command=f"echo result-{number}") for number in range(3)],
            interleave=True,
        ),
        DONE,
    )

    ran = lab.ask("Run three things.")

    assert (ran.code, ran.text) == (0, "All done.")
    *_, asked = (m for m in lab.chats[-1].body["messages"] if m["role"] == "assistant")
    answers = {
        message["tool_call_id"]: message["content"]
        for message in lab.chats[-1].body["messages"]
        if message["role"] == "tool"
    }
    assert [answers[one["id"]] for one in asked["tool_calls"]] == [
        "result-0",
        "result-1",
        "result-2",
    ]


def test_malformed_tool_json_comes_back_to_the_model_and_is_tried_again(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(
        Turn(tool_calls=[ToolCall(name="Bash", arguments='{"command": "echo bro')]),
        Turn(tool_calls=[call("Bash", command="echo fixed")]),
        DONE,
    )

    ran = lab.ask("Run something.")

    assert (ran.code, ran.text) == (0, "All done.")
    broken, fixed = ran.tool_results
    assert broken["is_error"]
    assert "InputValidationError" in str(broken["content"])
    assert "fixed" in str(fixed["content"])


def test_a_fetched_tool_is_fetched_again_after_a_compaction_and_works(make_lab: MakeLab) -> None:
    lab = make_lab(window=65_536)
    later = "mcp__later__get_command"
    fetch = Turn(tool_calls=[call("ToolSearch", query=f"select:{later}")])
    use = Turn(tool_calls=[call(later, name="autosre stop")])
    fill = Turn(tool_calls=[call("Bash", command="seq 1 5000")])
    listed: list[list[str]] = []

    def script(body: Mapping[str, Any]) -> Turn:
        said = json.dumps(body["messages"])
        if "followed by a <summary> block" in json.dumps(body["messages"][-1]):
            return Turn(text="<summary>A tool was used.</summary>")
        listed.append([tool["function"]["name"] for tool in leading_tools(body)])
        turns = [fetch, use] if "ToolSearch" in listed[-1] else [use]
        if "A tool was used." not in said:
            return by_round(*turns, fill)(body)
        # What was said before the compaction is kept in part; what was fetched is not.
        done = [
            called["function"]["name"]
            for message in body["messages"]
            for called in message.get("tool_calls") or ()
        ]
        rest = [turn for turn in turns if turn.tool_calls[0].name not in done]
        return rest[0] if rest else DONE

    lab.upstream.script = script
    server = {"command": sys.executable, "args": ["-m", "autosre_lab.mcp_servers.capabilities"]}
    ran = lab.ask(
        "Use it.",
        f"--mcp-config={json.dumps({'mcpServers': {'later': server}})}",
        f"--allowedTools={later}",
        profile="full",
        MCP_CONNECTION_NONBLOCKING="0",
        BASH_MAX_OUTPUT_LENGTH="30000",
    )

    assert (ran.code, ran.text) == (0, "All done."), ran.err
    assert any(event.get("subtype") == "compact_boundary" for event in ran.events)
    used = [one for one in ran.tool_results if "Stop the engine" in str(one["content"])]
    assert len(used) == 2
    assert all(one == listed[0] for one in listed), "the compaction changed the list"
    if "ToolSearch" in listed[0]:
        last = json.dumps(lab.chats[-1].body["messages"])
        assert f'\\"name\\":\\"{later}\\"' in last, "the model is not told the tool again"
        assert later in names(lab.chats[-1])


def leading_tools(body: Mapping[str, Any]) -> list[Any]:
    """Return the tools that stand before the conversation."""
    tools: list[Any] = (body.get("chat_template_kwargs") or {}).get("tools", body["tools"])
    return tools


def test_any_model_name_is_answered_by_the_model_served(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(text="Here."))

    ran = lab.ask("Who is there?", "--model", "claude-opus-4-1-20250805")

    assert (ran.code, ran.text) == (0, "Here.")
    assert {request.body["model"] for request in lab.chats} == {lab.upstream.model}


def test_a_web_search_is_refused_honestly(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("WebSearch", query="weather in Paris today")]),
        Turn(text="I cannot search."),
    )

    ran = lab.ask("Search the web.", "--allowedTools=WebSearch", "--tools=Bash,WebSearch")

    assert (ran.code, ran.text) == (0, "I cannot search.")
    # The nested request that Claude Code makes for it must not reach the model, which would
    # invent results.
    assert len(lab.chats) == 2
    (result,) = ran.tool_results
    assert "unavailable" in str(result["content"])


def test_a_first_request_is_the_same_from_another_session(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(text="Yes."))

    for _ in range(2):
        assert lab.ask("Are you there?", profile="full").code == 0

    first, second = (request.body for request in lab.chats)
    assert first["messages"] == second["messages"]
    assert first["tools"] == second["tools"]
    assert list(first["tools"][0]) == list(second["tools"][0])


def assert_append_only(bodies: list[Any], *, turns: int) -> None:
    """Each request's conversation is the beginning of the next one's."""
    assert len(bodies) == turns
    for earlier, later in itertools.pairwise(bodies):
        assert json.dumps(earlier["tools"]) == json.dumps(later["tools"])
        kept = later["messages"][: len(earlier["messages"])]
        assert json.dumps(kept) == json.dumps(earlier["messages"])
        assert len(later["messages"]) > len(earlier["messages"])
