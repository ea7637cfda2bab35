from __future__ import annotations

import json
from pathlib import Path

import pytest

from autosre_lab.claude import Answer
from autosre_lab.lab import plot_time_breakdown, time_breakdown
from autosre_lab.proxy import read_request_log

ANSWER = Answer(
    text="Paris",
    duration_s=10.0,
    ttft_s=None,
    input_tokens=5,
    cached_tokens=0,
    output_tokens=2,
    is_error=False,
    raw={"session_id": "mine"},
)


def log(folder: Path, *lines: dict[str, object]) -> Path:
    path = folder / "requests.jsonl"
    common = {"time": "2026-11-23T10:00:00.000+00:00", "request_id": "r", "status": 200}
    path.write_text("".join(json.dumps({**common, **line}) + "\n" for line in lines), "utf-8")
    return path


def test_the_parts_add_up_to_the_whole_and_leave_out_what_is_not_ours(tmp_path: Path) -> None:
    requests = read_request_log(
        log(
            tmp_path,
            {"session": "mine", "added_ms": 100, "ttft_ms": 2000, "total_ms": 5000},
            {"session": "mine", "added_ms": 50, "ttft_ms": 500, "total_ms": 1000},
            {"session": "other", "added_ms": 9, "ttft_ms": 9, "total_ms": 9000},
            {"session": "mine", "added_ms": 9, "total_ms": 9000, "status": 503},
        )
    )
    table = time_breakdown(ANSWER, requests)
    assert list(table.index) == ["Claude Code", "proxy", "prefill", "decode"]
    assert list(table["seconds"]) == pytest.approx([4.0, 0.15, 2.35, 3.5])
    assert table["share"].sum() == pytest.approx(1.0)


def test_an_answer_without_any_request_is_all_claude_codes(tmp_path: Path) -> None:
    table = time_breakdown(ANSWER, read_request_log(tmp_path / "none.jsonl"))
    assert list(table["seconds"]) == [10.0, 0.0, 0.0, 0.0]


def test_half_a_line_does_not_lose_the_others(tmp_path: Path) -> None:
    path = log(tmp_path, {"session": "mine", "total_ms": 1})
    path.write_text(path.read_text(encoding="utf-8") + '{"time": "20', encoding="utf-8")
    assert len(read_request_log(path)) == 1


def test_the_plot_shows_each_part_with_its_seconds(tmp_path: Path) -> None:
    figure = plot_time_breakdown(
        time_breakdown(ANSWER, read_request_log(tmp_path / "none.jsonl")), title="t"
    )
    assert [trace.name for trace in figure.data] == ["Claude Code", "proxy", "prefill", "decode"]
    assert figure.data[0].text.endswith("10.00 s")
