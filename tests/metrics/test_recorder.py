"""Recordings survive being killed, stay bounded, and read back as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.metrics import find_bottleneck, window_rates
from autosre_lab.metrics.energy import Energy
from autosre_lab.metrics.gpu import GpuReader
from autosre_lab.metrics.host import Connections, HostReader
from autosre_lab.metrics.logs_feed import LogLine
from autosre_lab.metrics.recorder import Recorder, segments
from autosre_lab.metrics.recording import read_recording, read_samples
from autosre_lab.metrics.samples import FeedSample
from autosre_lab.metrics.tables import sample_tables
from autosre_lab.proxy.request_log import RequestRecord
from tests.metrics.bodies import parsed
from tests.metrics.fake_nvml import gb10

RECORDING = """
import itertools, sys
from autosre_lab.metrics.recorder import Recorder
from autosre_lab.metrics.samples import FeedSample

recorder = Recorder(sys.argv[1], max_bytes=400_000, segment_bytes=20_000)
for number in itertools.count():
    error = recorder.add(
        FeedSample(number=number, time_s=0, clock_ns=0, poll_s=0, errors={"x": "y" * 500})
    )
    assert not error, error
    if number == 20:
        print("recording", flush=True)
"""


def bare(number: int, **fields: object) -> FeedSample:
    return FeedSample(
        number=number,
        time_s=1000.0 + number,
        clock_ns=number,
        poll_s=0.01,
        **fields,  # type: ignore[arg-type]
    )


def full() -> FeedSample:
    before, after = parsed("vllm-0.32.0-started", at_s=0), parsed("vllm-0.32.0-after", at_s=10)
    rates = window_rates(before, after)
    return bare(
        7,
        engine=after,
        rates=rates,
        bottleneck=find_bottleneck(after, rates),
        gpu=GpuReader(gb10()).read(),
        energy=Energy(joules=423.1, seconds=10, mean_w=42.31, max_w=50, readings=50),
        joules_per_token=423.1 / 126,
        host=HostReader(processes=lambda: {"engine": os.getpid()}).read(),
        connections=(
            Connections(name="engine", port=8010, states={"listen": 1, "established": 2}),
        ),
        requests=(
            RequestRecord(time="2026-01-02T03:04:05+00:00", request_id="req_1", output_tokens=26),
        ),
        logs=(LogLine("engine", "INFO: äö"),),
        errors={"x": "why"},
        cost_s={"engine": 0.01},
    )


def test_a_sample_reads_back_as_it_was_written(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r.jsonl", facts={"recipe": "smollm2"}) as recorder:
        assert recorder.add(full()) == ""
        assert recorder.mark("benchmark begins") == ""
    assert list(read_samples(tmp_path / "r.jsonl")) == [full_without_time(full(), tmp_path)]
    recording = read_recording(tmp_path / "r.jsonl")
    assert recording.headers[0].facts == {"recipe": "smollm2"}
    assert recording.headers[0].autosre
    assert [mark.text for mark in recording.marks] == ["benchmark begins"]
    assert recording.skipped_lines == 0


def full_without_time(sample: FeedSample, folder: Path) -> FeedSample:
    """Return the sample with what differs from reading to reading taken from the disk."""
    (stored,) = read_samples(folder / "r.jsonl")
    return msgspec.structs.replace(sample, host=stored.host)


def test_tables_have_a_row_a_thing_and_missing_values_are_missing() -> None:
    tables = sample_tables([full()])
    (engine,) = tables["engine"].to_dict("records")
    assert engine["generation_tokens"] == 128
    assert engine["ttft_s_count"] == 6
    assert tables["engine"]["drafts"].isna().all()
    assert tables["rates"]["bottleneck"].tolist() == ["UNDERLOADED"]
    assert tables["rates"]["joules_per_token"].iloc[0] == pytest.approx(3.358, abs=1e-3)
    assert tables["gpu"]["name"].tolist() == ["NVIDIA GB10"]
    assert tables["gpu"]["memory_total_bytes"].isna().all()
    assert tables["gpu_processes"]["pid"].tolist() == [900, 4242]
    assert tables["connections"][["state", "count"]].to_numpy().tolist() == [
        ["listen", 1],
        ["established", 2],
    ]
    assert tables["requests"]["output_tokens"].tolist() == [26]
    assert str(tables["requests"]["time"].dtype).endswith("UTC]")
    assert tables["logs"]["text"].tolist() == ["INFO: äö"]
    assert tables["processes"]["name"].tolist() == ["engine"]
    assert tables["polls"]["errors"].tolist() == [{"x": "why"}]
    for name, table in tables.items():
        assert str(table["time"].dtype).endswith("UTC]"), name


def test_no_samples_give_empty_tables_with_columns() -> None:
    for name, table in sample_tables([]).items():
        assert len(table) == 0
        assert "time" in table.columns, name


def test_a_recording_that_is_killed_in_the_middle_is_whole_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDING, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        deadline = time.monotonic() + 10
        while len(segments(path)) < 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    recording = read_recording(path)
    numbers = recording["polls"]["number"].tolist()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "none lost, none doubled"
    assert len(numbers) > 20
    assert recording.skipped_lines <= 1
    with Recorder(path) as again:
        assert again.add(bare(10**9)) == ""
    assert next(reversed(list(read_samples(path)))).number == 10**9


@pytest.mark.parametrize("torn", [b'{"kind":"sam', b"\xff\xfe", b'{"kind":"sample","number":"x"}'])
def test_a_torn_line_costs_itself_only(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "r.jsonl"
    with Recorder(path) as recorder:
        recorder.add(bare(0))
    with path.open("ab") as file:
        file.write(torn)
    with Recorder(path) as recorder:
        recorder.add(bare(1))
    assert [sample.number for sample in read_samples(path)] == [0, 1]
    recording = read_recording(path)
    assert recording.skipped_lines == 1
    assert len(recording.headers) == 2


def test_a_line_of_a_later_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    line = msgspec.json.encode(bare(3)).replace(b'"number":3', b'"number":3,"new":{"a":1}')
    path.write_bytes(line + b'\n{"kind":"something new"}\n')
    assert [sample.number for sample in read_samples(path)] == [3]
    assert read_recording(path).skipped_lines == 1


def test_all_segments_together_stay_within_their_bound_and_keep_the_newest(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    with Recorder(path, max_bytes=40_000, segment_bytes=10_000) as recorder:
        for number in range(500):
            assert recorder.add(bare(number, errors={"x": "y" * 400})) == ""
            total = sum(part.stat().st_size for part in segments(path))
            assert total <= 40_000
    numbers = [sample.number for sample in read_samples(path)]
    assert numbers == list(range(500 - len(numbers), 500))
    assert total > 25_000, "and use their room"
    headers = read_recording(path).headers
    assert len(headers) == len(segments(path))
    assert len({header.run for header in headers}) == 1


def test_two_recorders_do_not_write_one_file(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r.jsonl"), pytest.raises(ConfigError, match="cannot be written"):
        Recorder(tmp_path / "r.jsonl")


def test_a_disk_that_is_full_at_the_begin_is_told() -> None:
    with pytest.raises(ConfigError, match="No space left"):
        Recorder("/dev/full")


def test_a_disk_that_fills_up_costs_the_samples_meanwhile_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"
    real = os.write
    with Recorder(path) as recorder:
        recorder.add(bare(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: real(file, data[:10]))
            assert "in part" in recorder.add(bare(1))

            def full_disk(file: int, data: bytes) -> int:
                raise OSError(28, "No space left on device")

            patch.setattr(os, "write", full_disk)
            assert "No space left" in recorder.add(bare(2))
        assert recorder.add(bare(3)) == ""
    assert recorder.add(bare(4)) == "the recorder is closed"
    assert [sample.number for sample in read_samples(path)] == [0, 3]
    assert read_recording(path).skipped_lines == 1


def test_a_recording_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recording") as caught:
        read_recording(tmp_path / "none.jsonl")
    assert "--record" in caught.value.remedy
