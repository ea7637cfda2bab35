"""What a person sees, and what a script gets, with a stack and without one."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyte
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from autosre_lab.cli.watch import metrics, watch
from autosre_lab.metrics import Feed, Limits, Sources, read_samples
from autosre_lab.metrics.figures import figure_of, shown, sparkline
from autosre_lab.metrics.gpu import GpuReader
from autosre_lab.metrics.host import HostReader
from autosre_lab.metrics.logs_feed import LogFeed
from autosre_lab.metrics.watch import StackView, watch_live
from autosre_lab.proxy.request_log import RequestRecord
from tests.metrics.fake_nvml import data_centre, gb10
from tests.metrics.scripted_engine import Script, scripted_engine


@pytest.fixture
def engine() -> Iterator[tuple[str, Script]]:
    with scripted_engine() as served:
        yield served


def run(*arguments: str) -> Result:
    return CliRunner().invoke(watch, list(arguments))


def printed(view: StackView, width: int = 140, height: int = 50) -> str:
    console = Console(width=width, height=height, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(view.screen(width, height))
        return console.export_text()


def test_without_a_stack_watch_says_how_to_start_one_and_shows_the_rest() -> None:
    seen = run("--once", "--interval", "0.1")
    assert seen.exit_code == 0
    assert "no stack runs here: start one with `autosre start`" in seen.output
    assert "Memory available" in seen.output
    told = json.loads(run("--once", "--json", "--interval", "0.1").output)
    assert "autosre start" in told["errors"]["engine"]
    assert "engine" not in told
    assert told["host"]["memory_available_bytes"] > 0


def test_a_script_gets_the_figures_of_an_engine_it_names(engine: tuple[str, Script]) -> None:
    url, script = engine
    script.running = 3.0
    told = json.loads(run("--engine", url, "--once", "--json", "--interval", "0.1").output)
    assert told["number"] == 1
    assert told["engine"]["running"] == 3
    assert told["rates"]["gen_tps"] == 0
    assert told["bottleneck"]["label"] == "NO_STEPS"


def test_json_without_once_is_a_line_a_poll(engine: tuple[str, Script]) -> None:
    url, _ = engine
    result = run("--engine", url, "--json", "--interval", "0.1", "--seconds", "1")
    samples = [json.loads(line) for line in result.output.splitlines()]
    assert len(samples) >= 3
    assert [sample["number"] for sample in samples] == list(range(len(samples)))


def test_where_the_output_is_no_terminal_a_line_is_printed_for_each_poll(
    engine: tuple[str, Script],
) -> None:
    url, _ = engine
    lines = run("--engine", url, "--interval", "0.1", "--seconds", "0.8").output.splitlines()
    assert len(lines) >= 3
    assert any("running 1 " in line and "kv n/a" in line for line in lines)


def test_what_is_watched_can_be_recorded(engine: tuple[str, Script], tmp_path: Path) -> None:
    url, _ = engine
    path = tmp_path / "r.jsonl"
    result = run("--engine", url, "--once", "--interval", "0.1", "--record", str(path))
    assert result.exit_code == 0
    assert [sample.number for sample in read_samples(path)] == [0, 1]


def test_a_file_that_cannot_be_recorded_to_is_told_in_two_lines(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    result = run("--once", "--record", str(blocked / "r.jsonl"))
    assert result.exit_code == 2
    assert "what to do" in result.output


def test_the_screen_shows_every_source(engine: tuple[str, Script], tmp_path: Path) -> None:
    url, script = engine
    port = int(url.rpartition(":")[2])
    log, requests = tmp_path / "engine.log", tmp_path / "requests.jsonl"
    log.write_text('INFO weights loaded \x1b[31m\nINFO "GET /metrics HTTP/1.1" 200 OK\n')
    record = RequestRecord(
        time="2026-01-01T10:00:00+00:00",
        request_id="r",
        kind="subagent",
        key="alice",
        status=200,
        input_tokens=100,
        cached_tokens=1900,
        output_tokens=77,
        ttft_ms=250.0,
        total_ms=61_000.0,
        stop_reason="tool_use",
    )
    requests.write_bytes(msgspec.json.encode(record) + b"\n")
    feed = Feed(
        Sources(
            patience_s=20,
            engine_url=url,
            request_log=requests,
            request_tail_bytes=10_000,
            gpu=GpuReader(gb10()),
            host=HostReader(processes=lambda: {"engine": os.getpid()}),
            ports=lambda: {"engine": port},
            logs=LogFeed(lambda: {"engine": log}),
            limits=lambda: Limits(4, 2048),
        )
    )
    view = StackView(feed, recording="r.jsonl")
    assert "waiting for the first sample" in printed(view)
    view.take(feed.poll())
    script.tokens, script.steps = 100.0, 50.0
    view.take(feed.poll())
    text = printed(view)
    small = printed(view, 80, 24)
    feed.stop()
    for one in ("UNDERLOADED", "tok/s now", "42.3 W", "67 °C", "61.2 GiB", "weights loaded"):
        assert one in text, one
    for one in ("subagent", "2,000", "1,900", "77", "250 ms", "61.0 s", "tool_use", "alice"):
        assert one in text, one
    assert "r.jsonl" in text
    assert "GPU memory in use" in text
    assert "GET /metrics" not in text, "our own polls are not news"
    assert "\x1b[31m" not in text, "a log must not colour the screen"
    for one in ("UNDERLOADED", "42.3 W", "Running", "subagent", "weights loaded"):
        assert one in small, one
    assert len(small.splitlines()) <= 24


def test_several_gpus_make_one_figure() -> None:
    feed = Feed(Sources(patience_s=20, gpu=GpuReader(data_centre())))
    sample = feed.poll()
    feed.stop()
    assert figure_of(sample, "gpu.power_w") == 1224
    assert figure_of(sample, "gpu.temperature_c") == 54
    assert figure_of(sample, "gpu.util") == 0.99
    assert figure_of(sample, "rates.gen_tps") is None
    assert figure_of(sample, "host.pressure_memory_some.avg10") is None


def test_a_live_view_ends_after_its_time(engine: tuple[str, Script]) -> None:
    url, _ = engine
    feed = Feed(Sources(patience_s=20, engine_url=url), interval_s=0.05)
    with open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, force_terminal=True, width=100, height=40)
        watch_live(feed, StackView(feed), console=console, seconds=0.3)
    assert not feed.running


def test_in_a_terminal_the_screen_moves_and_ctrl_c_gives_the_old_one_back(
    engine: tuple[str, Script],
) -> None:
    url, script = engine
    script.running = 7.0
    terminal, inside = pty.openpty()
    code = "from autosre_lab.cli.watch import watch; watch()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--engine", url, "--interval", "0.1"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(inside)
    screen = pyte.Screen(100, 30)
    stream = pyte.ByteStream(screen)

    def until(wanted: str) -> str:
        deadline = time.monotonic() + 20
        text = ""
        while wanted not in text and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                stream.feed(os.read(terminal, 1 << 16))
            text = "\n".join(screen.display)
        return text

    try:
        assert "NO_STEPS 7 running" in until("NO_STEPS 7 running")
        script.running = 2.0
        script.steps = script.tokens = 500.0
        assert "UNDERLOADED" in until("UNDERLOADED")
    finally:
        process.send_signal(signal.SIGINT)
        rest = b""
        with contextlib.suppress(OSError):  # its end, on Linux
            while piece := os.read(terminal, 1 << 16):
                rest += piece
        status = process.wait(10)
        os.close(terminal)
    assert status == 0
    assert b"\x1b[?1049l" in rest, "the alternate screen is left"
    assert b"Traceback" not in rest


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "tok/s", "n/a"),
        (0.0, "tok/s", "0 tok/s"),
        (12.345, "tok/s", "12.3 tok/s"),
        (1234.5, "tok/s", "1,234 tok/s"),
        (0.0421, "share", "4.2%"),
        (0.956, "share", "96%"),
        (0.0000051, "s", "5 µs"),
        (0.0042, "s", "4.2 ms"),
        (0.25, "s", "250 ms"),
        (1.55, "s", "1.6 s"),
        (61 * 2.0**30, "B", "61.0 GiB"),
        (3.0 * 2**20, "B", "3 MiB"),
        (7.0, "count", "7"),
        (1.987, "count", "1.99"),
        (67.0, "C", "67 °C"),
        (2405.0, "MHz", "2,405 MHz"),
    ],
)
def test_figures_have_their_unit(value: float | None, unit: Any, text: str) -> None:
    assert shown(value, unit) == text


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=40), st.integers(1, 30))
def test_a_sparkline_has_a_sign_for_each_value(values: list[float | None], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    gaps = [value is None for value in values[-width:]]
    assert [sign == " " for sign in line] == gaps


def test_metrics_are_listed_with_meaning_and_the_dashboard_is_written(tmp_path: Path) -> None:
    listed = CliRunner().invoke(metrics, ["list"]).output
    assert "rates.prefix_hit [share]: Prefix cache hits" in listed
    assert "= Δprompt_tokens_by_source{local_cache_hit} / Δprompt_tokens" in listed
    path = tmp_path / "dashboard.json"
    told = CliRunner().invoke(metrics, ["grafana", "--out", str(path)])
    assert "Import" in told.output
    assert json.loads(path.read_text())["uid"] == "autosre-stack"
    printed_one = CliRunner().invoke(metrics, ["grafana"]).output
    assert json.loads(printed_one) == json.loads(path.read_text())
