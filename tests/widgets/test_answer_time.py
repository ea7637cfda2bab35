from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autosre_lab.agents.claude import Answer
from autosre_lab.proxy import read_request_log
from autosre_lab.widgets import plot_time_breakdown, time_breakdown

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC).timestamp()
ANSWER = Answer(
    text="Paris",
    duration_s=9.5,
    ttft_s=None,
    input_tokens=5,
    cached_tokens=0,
    output_tokens=2,
    is_error=False,
    started_at=START,
    wall_s=10.0,
    session="mine",
    raw={},
)
PARTS = ["start-up", "proxy", "prefill", "decode", "tools", "end"]


def log(folder: Path, *lines: tuple[float, dict[str, object]]) -> Path:
    """Write a request log; each line is the second of its arrival, and what differs."""
    path = folder / "requests.jsonl"
    common: dict[str, object] = {"request_id": "r", "status": 200, "session": "mine"}
    with path.open("w", encoding="utf-8") as file:
        for second, line in lines:
            time = datetime.fromtimestamp(START + second, tz=UTC).isoformat(timespec="milliseconds")
            file.write(json.dumps({**common, "time": time, **line}) + "\n")
    return path


def seconds(path: Path) -> dict[str, float]:
    table = time_breakdown(ANSWER, read_request_log(path))
    assert list(table.index) == PARTS
    assert table["seconds"].sum() == pytest.approx(ANSWER.wall_s)
    assert table["share"].sum() == pytest.approx(1.0)
    return {str(part): round(float(value), 3) for part, value in table["seconds"].items()}


def test_each_moment_from_start_to_end_is_in_one_part(tmp_path: Path) -> None:
    path = log(
        tmp_path,
        (1.0, {"added_ms": 100, "ttft_ms": 2000, "total_ms": 5000}),
        (7.0, {"added_ms": 50, "ttft_ms": 500, "total_ms": 1000}),
        (2.0, {"session": "another", "added_ms": 9, "ttft_ms": 9, "total_ms": 9000}),
    )
    assert seconds(path) == {
        "start-up": 1.0,
        "proxy": 0.15,
        "prefill": 2.35,
        "decode": 3.5,
        "tools": 1.0,
        "end": 2.0,
    }


def test_a_moment_with_two_requests_counts_once_for_the_one_that_is_furthest(
    tmp_path: Path,
) -> None:
    path = log(
        tmp_path,
        (0.0, {"added_ms": 0, "ttft_ms": 1000, "total_ms": 10_000}),
        (0.5, {"added_ms": 0, "ttft_ms": 4000, "total_ms": 5000, "agent": "a"}),
    )
    found = seconds(path)
    assert (found["prefill"], found["decode"]) == (1.0, 9.0)


def test_a_request_that_failed_took_its_time_too(tmp_path: Path) -> None:
    path = log(tmp_path, (2.0, {"added_ms": 10, "total_ms": 3000, "status": 529}))
    found = seconds(path)
    assert (found["proxy"], found["prefill"], found["decode"]) == (0.01, 2.99, 0.0)


def test_what_lies_outside_the_answers_own_time_is_left_out(tmp_path: Path) -> None:
    path = log(tmp_path, (-5.0, {"added_ms": 0, "ttft_ms": 0, "total_ms": 60_000}))
    assert seconds(path)["decode"] == 10.0


def test_an_answer_without_any_request_is_all_start_up(tmp_path: Path) -> None:
    assert seconds(tmp_path / "none.jsonl")["start-up"] == 10.0


def test_half_a_line_does_not_lose_the_others(tmp_path: Path) -> None:
    path = log(tmp_path, (0.0, {"total_ms": 1}))
    path.write_text(path.read_text(encoding="utf-8") + '{"time": "20', encoding="utf-8")
    assert len(read_request_log(path)) == 1


def test_the_plot_has_every_part_with_its_seconds_in_words(tmp_path: Path) -> None:
    path = log(tmp_path, (1.0, {"added_ms": 1, "ttft_ms": 2000, "total_ms": 5000}))
    table = time_breakdown(ANSWER, read_request_log(path))
    figure = plot_time_breakdown(table, title="10 s")
    assert [trace.name for trace in figure.data] == [
        "start-up 1.00 s",
        "proxy 0.00 s",
        "prefill 2.00 s",
        "decode 3.00 s",
        "tools 0.00 s",
        "end 4.00 s",
    ]
    assert sum(trace.x[0] for trace in figure.data) == pytest.approx(10.0)
    assert figure.layout.barmode == "stack"
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in figure.data}
    assert len(looks) == len(PARTS)
