"""A feed tells what it can, says what it cannot, and is never stopped by a source."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.errors import NotReadyError
from autosre_lab.local.stack_files import StackFiles, StackNote
from autosre_lab.metrics import (
    Feed,
    FeedSample,
    GpuReader,
    Recorder,
    Sources,
    read_samples,
    sources,
)
from autosre_lab.metrics.host import HostReader
from autosre_lab.metrics.limits import Limits
from autosre_lab.metrics.logs_feed import LogFeed
from autosre_lab.metrics.polling import PolledSources
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.settings import paths
from tests.metrics.fake_nvml import GpuLostError, data_centre, gb10
from tests.metrics.scripted_engine import Script, scripted_engine


@pytest.fixture
def engine() -> Iterator[tuple[str, Script]]:
    with scripted_engine() as served:
        yield served


def patient(**given: Any) -> Sources:
    """Return sources that are waited for, however slow the machine is."""
    return Sources(patience_s=20, **given)


def test_two_polls_give_rates_and_a_label(engine: tuple[str, Script]) -> None:
    url, script = engine
    feed = Feed(patient(engine_url=url, limits=lambda: Limits(8, 2048)))
    first = feed.poll()
    assert first.rates is None
    assert first.bottleneck is not None
    assert first.bottleneck.label == "UNKNOWN"
    script.tokens, script.steps = 50.0, 10.0
    second = feed.poll()
    feed.stop()
    assert second.rates is not None
    assert second.rates.gen_tps == pytest.approx(50 / second.rates.duration_s)
    assert second.rates.tokens_per_step == 5
    assert second.bottleneck is not None
    assert second.bottleneck.label == "UNDERLOADED"
    assert second.errors == {}
    assert 0 < second.cost_s["engine"] <= second.poll_s < 1


def test_a_restart_is_said_and_the_next_window_counts_again(engine: tuple[str, Script]) -> None:
    url, script = engine
    feed = Feed(patient(engine_url=url))
    script.tokens = 1000.0
    feed.poll()
    script.tokens = 3.0
    restarted = feed.poll()
    script.tokens = 13.0
    after = feed.poll()
    feed.stop()
    assert restarted.rates is not None
    assert "generation_tokens went down" in str(restarted.rates.dropped)
    assert restarted.rates.gen_tps is None
    assert after.rates is not None
    assert after.rates.gen_tps == pytest.approx(10 / after.rates.duration_s)


def test_sources_that_fail_are_told_and_the_others_go_on(engine: tuple[str, Script]) -> None:
    url, script = engine

    def broken() -> dict[str, int]:
        raise ValueError("no ports today")

    nvml = gb10(PowerUsage=GpuLostError("GPU is lost"))
    feed = Feed(patient(engine_url=url, gpu=GpuReader(nvml), host=HostReader(), ports=broken))
    script.status = 500
    sample = feed.poll()
    feed.stop()
    assert "answered 500" in sample.errors["engine"]
    assert sample.errors["connections"] == "ValueError: no ports today"
    assert sample.engine is None
    assert sample.host is not None
    assert sample.gpu is not None
    assert sample.gpu.gpus[0].errors == {"power_w": "GPU is lost"}


def test_an_engine_that_hangs_costs_only_its_own_numbers(engine: tuple[str, Script]) -> None:
    url, script = engine
    feed = Feed(Sources(engine_url=url, host=HostReader(), patience_s=0.1))
    feed.poll()
    script.hold.clear()
    begin = time.monotonic()
    hanging = feed.poll()
    assert time.monotonic() - begin < 2
    assert hanging.engine is None
    assert "no answer for" in hanging.errors["engine"]
    assert hanging.host is not None
    assert "no answer for" in feed.poll().errors["engine"]
    script.hold.set()
    deadline = time.monotonic() + 10
    late = feed.poll()
    while late.engine is None and time.monotonic() < deadline:
        late = feed.poll()
    assert late.engine is not None, "a late answer is not lost"
    feed.stop()


def test_a_feed_stops_at_once_though_a_source_hangs(engine: tuple[str, Script]) -> None:
    url, script = engine
    script.hold.clear()
    with Feed(Sources(engine_url=url, patience_s=0.1), interval_s=60) as feed:
        feed.wait_for(lambda sample: "engine" in sample.errors, timeout_s=10)
        begin = time.monotonic()
        feed.stop(timeout_s=0.2)
        assert time.monotonic() - begin < 2
        script.hold.set()
    assert not feed.running


def test_requests_and_log_lines_come_once(tmp_path: Path) -> None:
    requests, log = tmp_path / "requests.jsonl", tmp_path / "engine.log"
    old = RequestRecord(time="2026-01-01T00:00:00+00:00", request_id="old")
    requests.write_bytes(msgspec.json.encode(old) + b"\n")
    feed = Feed(patient(request_log=requests, logs=LogFeed(lambda: {"engine": log})))
    assert feed.poll().requests == ()
    new = msgspec.structs.replace(old, request_id="new", output_tokens=12)
    with requests.open("ab") as file:
        file.write(b"not json\n" + msgspec.json.encode(new) + b"\n")
    log.write_text("hello\n")
    sample = feed.poll()
    assert sample.requests == (new,)
    assert [(line.source, line.text) for line in sample.logs] == [("engine", "hello")]
    assert feed.poll().requests == ()
    feed.stop()


def test_energy_is_that_of_the_window_and_divided_by_its_tokens(
    engine: tuple[str, Script],
) -> None:
    url, script = engine
    feed = Feed(patient(engine_url=url, gpu=GpuReader(data_centre())))
    feed.poll()
    script.tokens = 10.0
    sample = feed.poll()
    feed.stop()
    assert sample.rates is not None
    assert sample.energy is not None
    assert sample.energy.joules == pytest.approx(1224 * sample.rates.duration_s)
    assert sample.joules_per_token == pytest.approx(sample.energy.joules / 10)


def test_a_running_feed_yields_calls_and_remembers_within_its_bound(
    engine: tuple[str, Script],
) -> None:
    url, _ = engine
    heard: list[int] = []

    def fails(sample: FeedSample) -> None:
        raise RuntimeError("a notebook's cell is gone")

    with Feed(patient(engine_url=url), interval_s=0.01, history=5) as feed:
        feed.subscribe(fails)
        end = feed.subscribe(lambda sample: heard.append(sample.number))
        numbers = []
        for sample in feed.stream(seconds=20):
            numbers.append(sample.number)
            if len(numbers) == 12:
                break
        end()
        assert len(feed.history()) == 5
        assert feed.latest is not None
        assert feed.latest.number == feed.history()[-1].number
    assert numbers == list(range(numbers[0], numbers[0] + 12))
    assert len(heard) >= 10
    assert heard == list(range(heard[0], heard[0] + len(heard)))
    assert not feed.running


def test_history_is_kept_without_buckets_and_listeners_get_them(
    engine: tuple[str, Script],
) -> None:
    url, script = engine
    script.steps = 4.0
    feed = Feed(patient(engine_url=url))
    sample = feed.poll()
    feed.stop()
    assert sample.engine is not None
    assert sample.engine.iteration_tokens is not None
    assert sample.engine.iteration_tokens.buckets == ((1.0, 4.0),)
    kept = feed.history()[0].engine
    assert kept is not None
    assert kept.iteration_tokens is not None
    assert kept.iteration_tokens.buckets == ()
    assert kept.iteration_tokens.count == 4


def test_waiting_for_what_does_not_come_ends(engine: tuple[str, Script]) -> None:
    url, _ = engine
    with Feed(patient(engine_url=url), interval_s=0.01) as feed:
        assert feed.wait_for(lambda sample: sample.number >= 2, timeout_s=10).number >= 2
        with pytest.raises(NotReadyError, match="no sample"):
            feed.wait_for(lambda sample: False, timeout_s=0.05)


def test_a_feed_records_whole_samples_and_tells_of_a_recorder_that_fails(
    engine: tuple[str, Script], tmp_path: Path
) -> None:
    url, script = engine
    script.steps = 1.0
    with Recorder(tmp_path / "r.jsonl") as recorder:
        feed = Feed(patient(engine_url=url, host=HostReader()), recorder=recorder)
        sample = feed.poll()
    failed = feed.poll()
    feed.stop()
    assert list(read_samples(tmp_path / "r.jsonl")) == [sample]
    assert failed.errors["recorder"] == "the recorder is closed"


def test_without_a_stack_everything_else_is_told_and_how_to_start_one() -> None:
    feed = Feed(Sources.of_local_stack(gpu=None, patience_s=20))
    sample = feed.poll()
    feed.stop()
    assert "autosre start" in sample.errors["engine"]
    assert sample.host is not None
    assert sample.connections == ()


def test_a_stack_that_is_started_later_is_found(
    engine: tuple[str, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "NOTE_S", 0.1)
    url, _ = engine
    port = int(url.rpartition(":")[2])
    feed = Feed(Sources.of_local_stack(gpu=None, patience_s=20))
    feed.poll()
    files = StackFiles(paths().state)
    files.write(
        StackNote(
            recipe_name="smollm2-135m-cpu",
            fingerprint="x",
            engine_port=port,
            proxy_port=1,
            token="t",
        )
    )
    deadline = time.monotonic() + 10
    sample = feed.poll()
    while not (sample.engine and sample.connections) and time.monotonic() < deadline:
        time.sleep(0.05)
        sample = feed.poll()
    feed.stop()
    assert sample.engine is not None
    assert sample.connections is not None
    assert [service.port for service in sample.connections] == [port, 1]
    assert sample.connections[0].states["listen"] == 1


def test_sources_do_not_wait_for_each_other() -> None:
    gate = threading.Event()
    polled = PolledSources({"slow": lambda: gate.wait(10), "quick": lambda: 1})
    answers = polled.ask(0.05)
    assert answers.values == {"quick": 1}
    assert set(answers.errors) == {"slow"}
    gate.set()
    assert polled.ask(5).values == {"slow": True, "quick": 1}
    polled.stop()
    polled.join(5)
