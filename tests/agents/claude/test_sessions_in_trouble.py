"""The real Claude Code meets what goes wrong in an engine, and goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from autosre_lab.scripted.upstream import HttpError, Turn
from tests.agents.claude.conftest import EACH_VERSION, MakeLab
from tests.agents.claude.lab import by_round, call, in_order, wait_until

pytestmark = [pytest.mark.claude, EACH_VERSION]

ANSWER = Turn(text="Recovered.")
PREFILL_S = float(os.environ.get("AUTOSRE_TEST_PREFILL_S", "6"))
"""Claude Code's clock on a running stream is 300 s and cannot be set shorter: 400 outlasts it."""
SUMMARY = "<summary>The user asked for numbers. They were printed.</summary>"


def is_compaction(body: Mapping[str, Any]) -> bool:
    return "followed by a <summary> block" in json.dumps(body["messages"][-1])


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Turn(http_error=HttpError(status=503)), id="503"),
        pytest.param(Turn(http_error=HttpError(status=529)), id="529"),
        pytest.param(Turn(http_error=HttpError(status=500)), id="500"),
        pytest.param(Turn(text="one two three", error_after_chunks=2), id="error in the stream"),
        pytest.param(Turn(text="one two three", die_after_chunks=2), id="death in the stream"),
        pytest.param(Turn(die_after_chunks=0), id="death before the first token"),
    ],
)
def test_a_failing_engine_is_asked_again(make_lab: MakeLab, failure: Turn) -> None:
    lab = make_lab()
    lab.upstream.script = in_order(failure, ANSWER)

    ran = lab.ask("Hello?")

    assert (ran.code, ran.text) == (0, "Recovered.")
    assert len(lab.chats) == 2


def test_a_full_window_is_compacted_and_the_session_goes_on(make_lab: MakeLab) -> None:
    lab = make_lab(window=16_384)

    def script(body: Mapping[str, Any]) -> Turn:
        if is_compaction(body):
            return Turn(text=SUMMARY)
        text = json.dumps(body["messages"])
        if "They were printed" in text:
            return Turn(text="Went on after compaction.")
        return Turn(tool_calls=[call("Bash", command="seq 1 2000")])

    lab.upstream.script = script

    ran = lab.ask("Print numbers.", BASH_MAX_OUTPUT_LENGTH="8000")

    assert (ran.code, ran.text) == (0, "Went on after compaction.")
    assert any(event.get("subtype") == "compact_boundary" for event in ran.events)
    # No request that the engine would have refused has reached it.
    assert all(lab.upstream._count(request.body) < 16_384 for request in lab.chats)


def test_a_watched_window_is_compacted_before_it_is_full(make_lab: MakeLab) -> None:
    lab = make_lab(window=65_536)

    def script(body: Mapping[str, Any]) -> Turn:
        if is_compaction(body):
            return Turn(text=SUMMARY)
        if "They were printed" in json.dumps(body["messages"]):
            return Turn(text="Went on after compaction.")
        return Turn(tool_calls=[call("Bash", command="seq 1 5000")])

    lab.upstream.script = script

    ran = lab.ask("Print numbers.", BASH_MAX_OUTPUT_LENGTH="30000")

    assert (ran.code, ran.text) == (0, "Went on after compaction.")
    assert all(record["status"] == 200 for record in lab.log_records())


@pytest.mark.timeout(PREFILL_S + 120)
def test_a_slow_prefill_is_waited_for_with_one_request(make_lab: MakeLab) -> None:
    # Claude Code sends again when no status line came within API_TIMEOUT_MS, here 3 s.
    lab = make_lab(keepalive_s=0.5)
    slow = Turn(
        tool_calls=[call("Bash", command="echo hi")],
        headers_delay_s=PREFILL_S / 2,
        first_chunk_delay_s=PREFILL_S / 2,
    )
    lab.upstream.script = by_round(slow, Turn(text="Worth waiting for."))

    ran = lab.ask("Take your time.", timeout_s=PREFILL_S + 60, API_TIMEOUT_MS="3000")

    assert (ran.code, ran.text) == (0, "Worth waiting for.")
    assert len(lab.chats) == 2
    assert lab.log_records()[0]["keepalives"] >= 2
    # What kept the stream alive does not come back as something the model thought.
    *_, answered = (m for m in lab.chats[1].body["messages"] if m["role"] == "assistant")
    assert not answered.keys() & {"reasoning", "reasoning_content"}
    assert not answered.get("content")


def test_without_keepalive_the_same_prefill_is_asked_for_again(make_lab: MakeLab) -> None:
    # The other half of the proof: the shortened clock really is in force.
    lab = make_lab(keepalive_s=60.0)
    lab.upstream.script = in_order(
        Turn(text="Too late.", headers_delay_s=30.0), Turn(text="Quicker.")
    )

    ran = lab.ask("Take your time.", API_TIMEOUT_MS="3000")

    assert ran.text == "Quicker."
    assert len(lab.chats) > 1
    # The first one was not left running beside it.
    assert lab.upstream.running == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_claude_goes_away_the_engine_is_told(make_lab: MakeLab, number: int) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(text="I talk and talk", hold=True))
    launch = lab.plan("-p", "Talk.")

    with lab.start(launch) as process:
        wait_until(lambda: lab.upstream.running == 1, "the request")
        process.send_signal(number)
        process.communicate(timeout=30)

    wait_until(lambda: lab.upstream.running == 0, "the abort")
    assert lab.upstream.disconnects == 1


def test_an_engine_that_stays_down_ends_the_session_with_a_reason(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(Turn(http_error=HttpError(status=503)))

    ran = lab.ask("Hello?", CLAUDE_CODE_MAX_RETRIES="1")

    assert ran.code == 1
    assert ran.result["is_error"]
    assert "503" in ran.text or "529" in ran.text
