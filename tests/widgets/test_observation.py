"""What the dashboard knows and says, from samples written down here."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from autosre_lab.metrics import (
    EngineSample,
    FeedSample,
    GpuReading,
    GpuSample,
    LogLine,
    Sources,
)
from autosre_lab.metrics.bottleneck import IN_WORDS, Label
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.widgets.dashboard import Dashboard
from autosre_lab.widgets.dashboard_figure import columns_for, dashboard_figure, show_observation
from autosre_lab.widgets.observation import CHARTS, POINTS, Chart, Observation

NO_GPU = GpuReading(gpus=(), unavailable="NVML is not there")


def engine(second: int, *, tokens: float) -> EngineSample:
    return EngineSample(
        time_s=float(second),
        clock_ns=second * 10**9,
        model="m",
        running=2.0,
        waiting=1.0,
        kv_usage=0.5,
        generation_tokens=tokens,
    )


def sample(second: int, **more: object) -> FeedSample:
    given: dict[str, object] = {"engine": engine(second, tokens=second * 40.0), "gpu": NO_GPU}
    return FeedSample(
        number=second,
        time_s=float(second),
        clock_ns=second * 10**9,
        poll_s=0.01,
        **(given | more),  # type: ignore[arg-type]
    )


def chart(title: str) -> Chart:
    (found,) = [one for one in CHARTS if one.title.startswith(title)]
    return found


def test_the_charts_are_a_table_with_missing_values_and_never_zeros() -> None:
    seen = Observation()
    seen.take_all(sample(second) for second in range(5))
    table = seen.table()
    assert len(table) == 5
    assert table["rates.gen_tps"].iloc[-1] == pytest.approx(40.0)
    assert table["engine.waiting"].iloc[-1] == 1
    assert table["gpu.power_w"].isna().all()
    assert "UTC" in str(table.index.dtype)


def test_a_figure_that_was_never_known_is_none_in_the_summary() -> None:
    one = Dashboard(Sources(), badge="scripted")
    one.seen.take_all(sample(second) for second in range(5))
    most = one.summary()["max"]
    assert most["gpu.power_w"] is None
    assert most["rates.gen_tps"] == pytest.approx(40.0)


def test_a_machine_without_a_gpu_says_so_on_each_panel_of_it() -> None:
    seen = Observation()
    seen.take_all(sample(second) for second in range(5))
    for one in CHARTS:
        said = seen.missing(one)
        assert ("no GPU here: NVML is not there" in said) == (one.source == "gpu")
    assert "no GPU here" in seen.sentence(chart("GPU clock"))


def test_a_gpu_that_does_not_tell_its_power_is_not_taken_for_none() -> None:
    seen = Observation()
    reading = GpuReading(gpus=(GpuSample(index=0, name="NVIDIA GB10", sm_clock_mhz=2000),))
    seen.take_all(sample(second, gpu=reading) for second in range(4))
    assert seen.missing(chart("GPU clock")) == ""
    assert seen.missing(chart("GPU: power")) == "this gpu does not tell it"


def test_an_engine_that_is_gone_is_said_with_its_error() -> None:
    seen = Observation()
    seen.take(sample(0, engine=None, errors={"engine": "connection refused"}))
    assert seen.missing(chart("Throughput")) == "connection refused"


def test_sentences_have_the_newest_value_and_its_range() -> None:
    seen = Observation()
    seen.take_all(sample(second) for second in range(5))
    assert "running 2 now, 2 to 2 so far" in seen.sentence(chart("Requests"))
    assert "KV blocks in use 50% now" in seen.sentence(chart("Cache"))


def test_what_is_kept_is_bounded() -> None:
    seen = Observation()
    line = (LogLine("engine", "hello"), LogLine("engine", '"GET /metrics HTTP/1.1"'))
    request = (RequestRecord(time="2026-11-25T00:00:00+00:00", request_id="r", kind="main"),)
    for second in range(POINTS + 50):
        seen.take(sample(second, logs=line, requests=request))
    assert len(seen.table()) == POINTS
    assert len(seen.requests()) <= 200
    assert {one.text for one in seen.lines()} == {"hello"}, "our own polls are left out"


def test_classes_are_told_with_priority_and_first_token() -> None:
    seen = Observation(classes={"main": -10, "background": 10})
    records = [
        RequestRecord(
            time="2026-11-25T00:00:00+00:00", request_id="r", kind=kind, ttft_ms=ttft, status=200
        )
        for kind, ttft in (("main", 100.0), ("main", 300.0), ("subagent", 50.0))
    ]
    seen.take(sample(0, requests=tuple(records)))
    rows = {row["class"]: row for row in seen.class_rows()}
    assert rows["main"] | {"priority": -10, "requests": 2, "ttft_max_s": 0.3} == rows["main"]
    assert rows["background"]["requests"] == 0
    assert rows["subagent"]["priority"] is None


def test_a_request_that_was_given_up_is_cancelled_and_has_not_failed() -> None:
    seen = Observation()
    told: list[dict[str, Any]] = [
        {"status": 200, "disconnected": True},  # Esc in the middle of an answer
        {"status": 499, "disconnected": True},  # before its first byte
        {"status": 499},
        {"status": 503},
        {"status": 200},
    ]
    records = [
        RequestRecord(time="2026-11-25T00:00:00+00:00", request_id=str(at), kind="main", **one)
        for at, one in enumerate(told)
    ]
    seen.take(sample(0, requests=tuple(records)))
    row = next(one for one in seen.class_rows() if one["class"] == "main")
    assert (row["requests"], row["failed"], row["cancelled"]) == (5, 1, 3)


@pytest.mark.parametrize(("width", "columns"), [(1200, 3), (860, 3), (800, 2), (519, 1), (0, 1)])
def test_a_narrow_page_has_fewer_charts_beside_each_other(width: int, columns: int) -> None:
    assert columns_for(width) == columns


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_the_figure_is_made_once_and_only_its_data_change(columns: int) -> None:
    figure = dashboard_figure(columns=columns)
    beside = {round(figure.layout[f"xaxis{at or ''}"].domain[0], 2) for at in (0, 2, 3)}
    assert len(beside) == columns
    count = len(figure.data)
    seen = Observation()
    request = RequestRecord(
        time="1970-01-01T00:00:02+00:00",
        request_id="r",
        kind="main",
        ttft_ms=500.0,
        total_ms=2000.0,
    )
    seen.take_all(sample(second) for second in range(5))
    seen.take(sample(5, requests=(request,)))
    show_observation(figure, seen)
    assert len(figure.data) == count
    generated = figure.data[0]
    assert list(generated.x)[-1] == 0
    assert list(generated.y)[-1] == pytest.approx(40.0)
    wait, answer = [trace for trace in figure.data if trace.name == "main"]
    assert list(wait.x)[:2] == pytest.approx([-3.0, -2.5])
    assert list(answer.x)[:2] == pytest.approx([-2.5, -1.0])
    notes = [one.text for one in figure.layout.annotations]
    assert any("no GPU here" in note for note in notes)


def test_before_the_first_sample_the_figure_is_empty_and_says_nothing_wrong() -> None:
    figure = dashboard_figure()
    show_observation(figure, Observation())
    assert all(len(trace.x) == 0 for trace in figure.data)


def test_what_holds_the_engine_back_is_said_in_words_with_what_to_do() -> None:
    seen = Observation()
    assert seen.headline() == "no sample yet"
    assert seen.advice() == ""
    seen.take_all(sample(second) for second in range(5))
    assert seen.headline().startswith("Requests wait: 1 waiting, 2 running")
    assert seen.advice().startswith("What to do: give the engine's limits")
    assert "Not judged, since figures are missing: all slots taken" in seen.advice()
    seen.take(sample(5, engine=None, errors={"engine": "refused"}))
    assert seen.headline() == "engine: refused"


def test_every_label_has_words() -> None:
    assert set(IN_WORDS) == set(get_args(Label))
    for words, cure in IN_WORDS.values():
        assert words[0].isupper()
        assert "_" not in words
        assert not cure.endswith(".")


def test_the_newest_request_stands_first_and_polls_are_no_log() -> None:
    board = Dashboard(sources=Sources(), badge="fixture")
    requests = tuple(
        RequestRecord(time=f"2026-11-27T00:00:{at:02d}+00:00", request_id=str(at), kind="main")
        for at in range(30)
    )
    logs = [f'INFO: 127.0.0.1:1 - "GET /{path} HTTP/1.1" 200 OK' for path in ("health", "metrics")]
    lines = tuple(LogLine(source="engine", text=text) for text in [*logs, "loaded"])
    board.seen.take(sample(1, requests=requests, logs=lines))
    times = [row[0] for row in board._requests_card().rows]
    assert times[0] == "00:00:29"
    assert times == sorted(times, reverse=True)
    assert [one.text for one in board.seen.lines()] == ["loaded"]
