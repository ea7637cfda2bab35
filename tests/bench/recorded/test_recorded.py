"""The user's own sessions, read and sent again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.bench.recorded import (
    RecordedRequest,
    RecordedSession,
    read_transcript,
    read_weka,
    sessions_in_request_log,
    weka_trace,
    workload_from_transcript,
    workload_from_weka,
    write_weka,
)
from autosre_lab.errors import BenchmarkError

TRANSCRIPT = Path(__file__).parent / "fixtures" / "session.jsonl"
"""As Claude Code 2.1.197 writes them, with neutral contents; its last line is torn."""


def test_an_answer_in_several_lines_is_one_request() -> None:
    session = read_transcript(TRANSCRIPT)
    main = session.of_agent("")
    assert [one.output_tokens for one in main] == [40, 60, 25, 8]
    assert [one.input_tokens for one in main] == [5000, 5100, 5250, 3096]
    assert [one.cached_tokens for one in main] == [0, 4992, 5120, 2496]
    assert [one.tool for one in main] == ["Bash", "Task", "", ""]
    assert main[0].text == "List the files and say what they hold."
    assert main[1].text == "README.md\nshop.py"
    assert "A listing first." not in main[0].answer


def test_a_requests_time_is_from_its_input_to_its_answers_last_line() -> None:
    first, second, *_ = read_transcript(TRANSCRIPT).of_agent("")
    assert first.end_s - first.start_s == pytest.approx(2.0)
    assert second.start_s - first.end_s == pytest.approx(1.0)


def test_a_subagents_requests_stay_its_own() -> None:
    session = read_transcript(TRANSCRIPT)
    assert session.agents == ["agent-7"]
    assert [one.input_tokens for one in session.of_agent("agent-7")] == [2000, 2104]


def test_subagents_with_a_file_of_their_own_are_found(tmp_path: Path) -> None:
    lines = TRANSCRIPT.read_text().splitlines()
    own = [one for one in lines if "agent-7" in one]
    file = tmp_path / "one.jsonl"
    file.write_text("\n".join(one for one in lines if "agent-7" not in one))
    (tmp_path / "one" / "subagents").mkdir(parents=True)
    (tmp_path / "one" / "subagents" / "agent-7.jsonl").write_text("\n".join(own))
    assert read_transcript(file).requests == read_transcript(TRANSCRIPT).requests


@pytest.mark.parametrize("content", ["", "{}\n", '{"type":"user","uuid":"1"}\n', "not json\n"])
def test_another_file_is_no_transcript(content: str, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content)
    with pytest.raises(BenchmarkError, match=r"x\.jsonl"):
        read_transcript(file)
    with pytest.raises(BenchmarkError, match="projects"):
        read_transcript(tmp_path / "missing.jsonl")


def test_a_recorded_session_is_sent_again_with_its_own_words() -> None:
    workload = workload_from_transcript(TRANSCRIPT)
    main, agent = workload.sessions
    assert workload.history == "scripted"
    assert [turn.max_tokens for turn in main.turns] == [40, 60, 25, 8]
    assert main.turns[1].text == "README.md\nshop.py"
    assert main.turns[1].wait_s == pytest.approx(1.0)
    assert (agent.parent, agent.after_turn) == (main.id, 1)
    assert workload == workload_from_transcript(TRANSCRIPT)


def test_an_exported_trace_has_sizes_and_no_words(tmp_path: Path) -> None:
    file = write_weka(weka_trace(read_transcript(TRANSCRIPT)), tmp_path / "deep" / "t.json")
    text = file.read_text()
    assert not any(word in text for word in ("README", "sell", "price", "subagent will", "/home"))
    trace = read_weka(file)
    assert write_weka(trace, tmp_path / "again.json").read_text() == text


def requests(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text())["requests"]
    return found


def test_a_trace_has_the_keys_of_weka_v1(tmp_path: Path) -> None:
    file = write_weka(weka_trace(read_transcript(TRANSCRIPT)), tmp_path / "t.json")
    top = json.loads(file.read_text())
    assert set(top) == {
        *("id", "models", "block_size", "hash_id_scope"),
        *("tool_tokens", "system_tokens", "requests"),
    }
    assert (top["block_size"], top["hash_id_scope"]) == (64, "local")
    first, second, agent, *_ = requests(file)
    assert set(first) == {"t", "type", "model", "in", "out", "hash_ids", "stop", "api_time"}
    assert set(second) == {*first, "think_time"}
    assert (second["t"], second["api_time"], second["think_time"]) == (3.0, 1.5, 1.0)
    assert agent["type"] == "subagent"
    assert agent["tool_use_count"] == 1
    assert [one["type"] for one in requests(file)] == ["s", "s", "subagent", "s", "s"]


def test_block_ids_are_shared_where_prompts_begin_alike(tmp_path: Path) -> None:
    file = write_weka(weka_trace(read_transcript(TRANSCRIPT)), tmp_path / "t.json")
    first, second, agent, third, compacted = (
        one.get("hash_ids") or one["requests"][0]["hash_ids"] for one in requests(file)
    )
    assert len(first) == -(-5000 // 64)
    assert second[: 5000 // 64] == first[: 5000 // 64]
    assert third[: 5100 // 64] == second[: 5100 // 64]
    assert not set(agent) & {*first, *second, *third}
    # Of the compacted prompt, what the cache had is the old beginning.
    assert compacted[: 2496 // 64] == first[: 2496 // 64]
    assert not set(compacted[2496 // 64 :]) & {*first, *second, *third}


def test_a_replayed_trace_repeats_beginnings_and_sizes() -> None:
    workload = workload_from_weka(weka_trace(read_transcript(TRANSCRIPT)))
    main, compacted, agent = workload.sessions
    assert [turn.max_tokens for turn in main.turns] == [40, 60, 25]
    assert agent.parent == main.id
    assert agent.after_turn == 1
    shared = 2496 // 64
    beginning = "\n".join(main.system.split("\n")[:shared])
    assert compacted.system.startswith(beginning)
    assert not agent.system.startswith(main.system[:40])
    assert len({one.id for one in workload.sessions}) == 3


def test_a_trace_can_be_shrunk_for_a_small_window() -> None:
    trace = weka_trace(read_transcript(TRANSCRIPT))
    whole, small = workload_from_weka(trace), workload_from_weka(trace, scale=0.1)
    ratio = len(small.sessions[0].system) / len(whole.sessions[0].system)
    assert ratio == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '{"id":"a","models":[],"block_size":64,"hash_id_scope":"global","requests":[]}',
        '{"id":"a","models":[],"block_size":64,"hash_id_scope":"local","requests":[{"t":0}]}',
        '{"id":"a","models":[],"block_size":0,"hash_id_scope":"local","requests":[]}',
        '{"id":"a","models":[],"block_size":64,"hash_id_scope":"local","requests":'
        '[{"t":0,"type":"s","model":"m","in":1000000000000,"out":1}]}',
        '{"id":"a","models":[],"block_size":64,"hash_id_scope":"local","requests":'
        '[{"t":0,"type":"s","model":"m","in":-5,"out":1}]}',
        '{"id":"a","models":[],"block_size":64,"hash_id_scope":"local","requests":'
        '[{"t":0,"type":"s","model":"m","in":1,"out":1,"think_time":1e300}]}',
        "[" * 100_000,
        "\udcff",
    ],
    ids=range(9),
)
def test_another_file_is_no_trace(content: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BenchmarkError, match="weka v1"):
        read_weka(file)


def test_a_trace_with_more_text_than_memory_is_refused_before_any_is_made() -> None:
    requests = tuple(
        RecordedRequest(
            start_s=at,
            end_s=at + 1,
            model="m",
            input_tokens=9_000_000,
            cached_tokens=0,
            output_tokens=9_000_000,
        )
        for at in range(5)
    )
    trace = weka_trace(RecordedSession(id="a", requests=requests))
    with pytest.raises(BenchmarkError, match="tokens of text"):
        workload_from_weka(trace)
    assert workload_from_weka(trace, scale=0.0001).sessions


def test_a_trace_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(BenchmarkError, match="larger than 256 MB"):
        read_weka("/dev/zero")


def test_a_trace_without_requests_is_nothing_to_send() -> None:
    one = RecordedRequest(
        start_s=0, end_s=1, model="m", input_tokens=1, cached_tokens=0, output_tokens=1
    )
    trace = weka_trace(RecordedSession(id="a", requests=(one,)))
    trace.requests.clear()
    with pytest.raises(BenchmarkError, match="no request"):
        workload_from_weka(trace)


def test_the_proxys_log_gives_sessions_without_contents(tmp_path: Path) -> None:
    record = {
        "time": "2026-11-23T10:00:00.000Z",
        "request_id": "r",
        "session": "s1",
        "kind": "main",
        "model": "m",
        "status": 200,
        "input_tokens": 100,
        "cached_tokens": 4900,
        "output_tokens": 30,
        "ttft_ms": 250.0,
        "total_ms": 1500.0,
        "stop_reason": "tool_use",
    }
    skipped = [{**record, "status": 500}, {**record, "kind": "count_tokens"}]
    other = {**record, "session": "s2", "agent": "a"}
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in [*skipped, other]) + '{"time"')
    file.with_name("requests.jsonl.1").write_text(json.dumps(record) + "\n")
    first, second = sessions_in_request_log(file)
    assert (first.id, second.agents) == ("s1", ["a"])
    assert (first.requests[0].input_tokens, first.requests[0].ttft_s) == (5000, 0.25)
    assert first.requests[0].end_s - first.requests[0].start_s == pytest.approx(1.5)
    assert weka_trace(first).requests[0]["ttft"] == 0.25


def test_a_log_without_sessions_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="autosre claude"):
        sessions_in_request_log(tmp_path / "none.jsonl")
