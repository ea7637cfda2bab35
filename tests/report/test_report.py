"""A report of everything measured: nothing is lost, nothing is run, people and programs read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from autosre_lab.bench.result import save_result
from autosre_lab.cli.main import main
from autosre_lab.errors import ConfigError, MissingExtraError
from autosre_lab.evaluation import CheckResult, EvaluationResult, save_evaluation
from autosre_lab.metrics import EngineSample, FeedSample, Recorder
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.report import gather, write_report
from autosre_lab.report.measuring import planned
from autosre_lab.stack import Stack
from autosre_lab.tuning import run_experiment
from tests.bench.test_comparison import CHECK, result
from tests.tuning.scripted import Engines, Speeds, experiment, passing

EVIL = "</script><script>alert(1)</script>"


def evaluated(**more: Any) -> EvaluationResult:
    checks = (
        CheckResult(level="L0", name="usage", passed=True, detail="24 tokens"),
        CheckResult(level="L1", name="the cache was hit", passed=None, detail="never"),
        CheckResult(level="L3", name="HumanEval/0", passed=False, detail=f"said {EVIL}"),
    )
    return EvaluationResult(
        id="e", at="2026-01-02", badge="cpu-engine", model="m", checks=checks, seconds=3, **more
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything."""
    folder = tmp_path_factory.mktemp("measured")
    with_check: dict[str, Any] = {
        "check_before": CHECK,
        "check_after": CHECK,
        "warnings": (EVIL,),
    }
    save_result(result("a", **with_check), folder / "results" / "a.json.gz")
    save_result(result("b", conditions={"workload": "other"}), folder / "results" / "b.json")
    save_evaluation(evaluated(), folder / "evaluation.json")
    speeds = Speeds(lambda slots: 0.5 if slots == 4 else 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSRE_CONFIG_DIR", str(folder / "config"))
        run_experiment(experiment(), folder / "tuning", Engines(), speeds, passing)
    with Recorder(folder / "recording.jsonl") as recorder:
        for number in range(5):
            engine = EngineSample(
                time_s=100.0 + number, clock_ns=number, running=2, generation_tokens=10 * number
            )
            recorder.add(
                FeedSample(
                    number=number,
                    time_s=100.0 + number,
                    clock_ns=number,
                    poll_s=0.01,
                    engine=engine,
                    errors={"gpu": "none"},
                )
            )
    (folder / "notes.json").write_text('{"mine": 1}')
    return folder


def test_everything_in_a_folder_is_found_and_told_apart(measured: Path) -> None:
    found = gather([measured])
    assert [one.id for _, one in found.results] == ["a", "b"]
    assert [one.id for _, one in found.evaluations] == ["e"]
    assert [folder.name for folder, *_ in found.experiments] == ["tuning"]
    assert [one.name for one in found.recordings] == ["recording.jsonl"]
    assert found.skipped == []


def test_the_page_tells_people_and_the_json_tells_programs(measured: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(
        main, ["report", "make", str(measured), "--out", str(tmp_path / "out")]
    )
    assert shown.exit_code == 0, shown.output
    page = Path(shown.output.strip()).read_text("utf-8")
    for told in (
        "Benchmarks at a glance",
        "other, closed:1, cold cache",
        "Evaluation of m",
        "Tuning of smollm2-135m-cpu",
        "Best: trial 2.",
        "Recording recording.jsonl",
        "gpu had nothing to say in 5 of 5 samples",
        "CPU engine",
    ):
        assert told in page, told
    tree = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert tree["schema"] == "autosre.report/v1"
    assert [one["summary"]["requests"] for one in tree["results"]] == [12, 12]
    level = tree["evaluations"][0]["levels"][0]
    assert (level["level"], level["passed"], level["n"], level["untold"]) == ("L0", 1, 1, 0)
    assert [one["outcome"] for one in tree["experiments"][0]["trials"]] == ["ok"] * 3
    assert tree["machine"]["cores"] > 0


def test_what_was_not_known_is_never_shown_as_zero(measured: Path, tmp_path: Path) -> None:
    page = write_report(gather([measured / "recording.jsonl"]), tmp_path).read_text("utf-8")
    assert re.search(r"<td>GPU power</td><td>n/a</td><td>n/a</td><td>n/a</td><td>0</td>", page)
    assert "<td>Running</td><td>2</td><td>2</td><td>2</td><td>5</td>" in page


def test_what_a_model_said_is_text_and_never_runs(measured: Path, tmp_path: Path) -> None:
    page = write_report(gather([measured]), tmp_path).read_text("utf-8")
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page
    # The two of its own, and one for each figure's data.
    figures = page.count('<div class="plot"')
    assert figures == 2 * 2 + 1 + 1 + 1
    assert page.count("<script") == figures + 2


def test_the_page_loads_nothing_from_elsewhere(measured: Path, tmp_path: Path) -> None:
    page = write_report(gather([measured]), tmp_path).read_text("utf-8")
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"', page) == ["plotly.min.js"]
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000


@pytest.mark.browser
def test_a_browser_draws_every_figure_and_runs_nothing_else(measured: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "install it: apt-get install chromium"
    page = write_report(gather([measured]), tmp_path / "out")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    shown = subprocess.run(
        [chromium, *options, profile, "--virtual-time-budget=20000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert shown.stdout.count("js-plotly-plot") == 7
    assert shown.stdout.count('class="main-svg"') >= 7


def test_a_file_that_is_broken_is_left_out_and_said(measured: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema": "autosre.result/v1", "id": 3}')
    found = gather([measured / "results", broken])
    assert [path for path, _ in found.skipped] == [broken]
    assert "Left out: " in write_report(found, tmp_path / "out").read_text("utf-8")
    with pytest.raises(ConfigError, match=r"nothing to report.*broken\.json"):
        gather([broken])
    with pytest.raises(ConfigError, match="nothing to report"):
        gather([tmp_path])


def test_a_request_log_is_reported_as_usage_by_key(tmp_path: Path) -> None:
    log, day = tmp_path / "requests.jsonl", "2026-01-02T03:04:05+00:00"
    used: dict[str, Any] = {"time": day, "kind": "main", "status": 200, "cached_tokens": 70_000}
    records = [
        RequestRecord(request_id="a", key="alice", input_tokens=5000, output_tokens=21, **used),
        RequestRecord(request_id="b", input_tokens=7, **used),
    ]
    log.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in records))
    page = write_report(gather([tmp_path]), tmp_path / "out").read_text("utf-8")
    for one in ("alice", "the owner", "5,021", "70,000", "2026-01-02"):
        assert one in page, one
    tree = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [one["computed_tokens"] for one in tree["usage"][0]["by_key"]] == [7, 5021]


def test_what_is_not_there_is_named() -> None:
    shown = CliRunner().invoke(main, ["report", "make", "/nowhere", "--out", "x"])
    assert shown.exit_code == 2
    assert "there is no /nowhere" in shown.output


def test_without_plotly_the_extra_is_named(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"autosre-lab\[notebooks\]|make .*\.venv"):
        write_report(gather([measured]), tmp_path)


def test_a_failed_protocol_is_said_above_its_speed(tmp_path: Path) -> None:
    bad = msgspec.structs.replace(
        evaluated(), checks=(CheckResult(level="L1", name="x", passed=False),)
    )
    found = gather([save_evaluation(bad, tmp_path / "bad.json")])
    assert "cache path failed" in write_report(found, tmp_path / "out").read_text("utf-8")


@pytest.mark.parametrize("window", [4096, 8192, 131_072, 262_144])
@pytest.mark.parametrize("quick", [True, False])
def test_what_is_measured_fits_the_window(window: int, quick: bool) -> None:
    plan = planned(window, quick=quick)
    assert [one.name for one in plan] == ["decode", "prefill-cold", "prefill-warm", "sessions"]
    assert all(one.workload.requests for one in plan)


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_one_command_measures_the_real_engine_and_reports_it(
    real_stack: Stack, tmp_path: Path
) -> None:
    out = tmp_path / "report"
    shown = CliRunner().invoke(
        main,
        ["report", "run", "--quick", "--levels", "L0,L1,L3", "--limit", "2", "--out", str(out)],
    )
    assert shown.exit_code == 0, shown.output
    tree = json.loads((out / "report.json").read_text("utf-8"))
    results = {Path(one["file"]).name.split(".")[0]: one for one in tree["results"]}
    assert set(results) == {"decode", "prefill-cold", "prefill-warm", "sessions"}
    assert all(one["summary"]["failed"] == 0 for one in results.values())
    assert all(one["badge"] == "cpu-engine" for one in results.values())
    cold, warm = results["prefill-cold"], results["prefill-warm"]
    assert cold["summary"]["hit_rate"] < 0.1 < 0.8 < warm["summary"]["hit_rate"]
    assert warm["summary"]["latency"]["ttft"]["p50"] < cold["summary"]["latency"]["ttft"]["p50"]
    levels = {one["level"]: one for one in tree["evaluations"][0]["levels"]}
    assert levels["L0"]["passed"] == levels["L0"]["n"] == 10
    assert tree["recordings"]
    page = (out / "index.html").read_text("utf-8")
    assert "of the roofline" in page
    assert real_stack.token not in page
    assert real_stack.token not in (out / "report.json").read_text("utf-8")
