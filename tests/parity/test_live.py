from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.cluster.kube import ExecResult, KubeClient, Object
from autosre_lab.cluster.release import ENGINE_LABELS
from autosre_lab.errors import ClusterError, EngineError, KubeError
from autosre_lab.parity.live import find_engine_pod, read_local, read_pod
from tests.parity.fake_cluster import FakeCluster, write_process

SERVE = ["/usr/bin/python3", "/usr/local/bin/vllm", "serve", "m", "--max-num-seqs", "4"]
DIGEST = "sha256:" + "a" * 64


def pod(name: str = "vllm-1", **given: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": ENGINE_LABELS,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **given,
        },
        "spec": {"containers": [{"name": "sidecar"}, {"name": "vllm", "image": "vllm:1"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "vllm", "imageID": f"vllm@{DIGEST}"}],
        },
    }


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Processes as in a real Pod: a wrapper, the API server, and what it has started."""
    folder = tmp_path / "proc"
    write_process(folder, 1, ["tini", "--", "vllm", *SERVE[2:]], {})
    write_process(folder, 7, SERVE, {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_x", "EMPTY_TOKEN": ""})
    write_process(folder, 30, SERVE, {"A": "1"}, parent=7)
    write_process(folder, 31, ["VLLM::EngineCore", ""], {}, parent=7)
    write_process(folder, 32, ["python3", "-c", "from multiprocessing import x"], {}, parent=7)
    write_process(folder, 40, ["bash", "-c", "vllm serve m"], {})
    (folder / "self").mkdir()
    return folder


def test_the_api_server_is_found_among_wrappers_children_and_renamed_processes(proc: Path) -> None:
    found = read_local(proc=proc).process
    assert (found.pid, list(found.argv)) == (7, SERVE)
    assert found.environ == {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "(hidden)", "EMPTY_TOKEN": ""}


def test_of_several_engines_the_port_says_which_is_meant(proc: Path) -> None:
    for pid, port in ((50, ["--port", "8020"]), (60, ["--port=8030"])):
        write_process(proc, pid, [*SERVE, *port], {})
    assert [read_local(proc=proc, api_port=port).process.pid for port in (8000, 8020, 8030)] == [
        *(7, 50, 60)
    ]
    with pytest.raises(EngineError, match="no API server of vLLM runs on this machine on port 1"):
        read_local(proc=proc, api_port=1)
    assert read_pod(FakeCluster([pod()], proc=proc), api_port=8030).process.pid == 60


def test_a_pod_is_read_by_one_command_and_secrets_do_not_leave_it(
    proc: Path, tmp_path: Path
) -> None:
    (tmp_path / "hook.py").write_text("x", encoding="utf-8")
    cluster = FakeCluster([pod()], proc=proc)
    hook, gone = str(tmp_path / "hook.py"), str(tmp_path / "gone")
    live = read_pod(cluster, secrets=["HF_HUB_OFFLINE"], files=[hook, gone], texts=[hook, gone])
    assert len(cluster.executed) == 1
    assert live.process.environ == {
        "HF_HUB_OFFLINE": "(hidden)",
        "HF_TOKEN": "(hidden)",
        "EMPTY_TOKEN": "",
    }
    assert live.file_hashes[gone] is None
    assert str(live.file_hashes[hook]).startswith("2d711642b726b04401627ca9fbac32f5c8530fb1")
    assert live.texts == {hook: "x", gone: None}
    assert (live.pod_name, live.image, live.image_id) == ("vllm-1", "vllm:1", f"vllm@{DIGEST}")


def test_a_real_process_is_read_from_the_kernel(tmp_path: Path) -> None:
    script = tmp_path / "vllm"
    script.write_text("import sys\nprint('up', flush=True)\nsys.stdin.read()\n", encoding="utf-8")
    argv = [sys.executable, str(script), "serve", "m", "--served-model-name", "näme\n2"]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "VLLM_API_KEY": "sk"},
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        live = read_local(pid=child.pid)
        child.communicate()
    assert list(live.process.argv) == argv
    assert live.process.environ is not None
    assert live.process.environ["VLLM_API_KEY"] == "(hidden)"


def test_no_engine_and_several_engines_are_told(proc: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no API server of vLLM runs with pid 31"):
        read_local(pid=31, proc=proc)
    write_process(proc, 50, SERVE, {})
    with pytest.raises(EngineError, match=r"several .* pids 7, 50"):
        read_local(proc=proc)
    assert read_local(pid=50, proc=proc).process.pid == 50
    with pytest.raises(EngineError, match="cannot be read"):
        read_local(proc=tmp_path / "nowhere")


def test_an_environment_that_may_not_be_read_is_unknown_and_not_empty(proc: Path) -> None:
    (proc / "7" / "environ").unlink()
    assert read_local(proc=proc).process.environ is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ExecResult(exit_code=127, stdout="", stderr=""), "no Python in it"),
        (ExecResult(exit_code=1, stdout="", stderr="a\nKeyError: 'x'"), "KeyError: 'x'"),
        (ExecResult(exit_code=0, stdout='{"servers": [', stderr=""), "cut off"),
    ],
)
def test_a_pod_that_cannot_be_read_says_why(answer: ExecResult, message: str) -> None:
    cluster = FakeCluster([pod()])
    cluster.exec_answer = answer
    with pytest.raises(ClusterError, match=message):
        read_pod(cluster)


def test_the_youngest_running_pod_that_is_not_being_ended_is_the_engine_s() -> None:
    ending = pod("ending", creationTimestamp="2026-01-03", deletionTimestamp="2026-01-04")
    pending = pod("pending", creationTimestamp="2026-01-05")
    pending["status"]["phase"] = "Pending"
    younger = pod("younger", creationTimestamp="2026-01-02")
    cluster: KubeClient = FakeCluster([ending, younger, pod("older"), pending])
    assert find_engine_pod(cluster)["metadata"]["name"] == "younger"
    assert find_engine_pod(cluster, "older")["metadata"]["name"] == "older"
    with pytest.raises(ClusterError, match="no Pod gone in namespace autosre"):
        find_engine_pod(cluster, "gone")
    with pytest.raises(ClusterError, match=r"no Pod of the engine runs .*\(pending Pending\)"):
        find_engine_pod(FakeCluster([pending]))


def test_a_refusal_of_the_api_server_is_passed_on() -> None:
    cluster = FakeCluster([pod()])
    cluster.refused.add("exec")
    with pytest.raises(KubeError, match="exec is forbidden"):
        read_pod(cluster)


def test_the_installed_version_is_found_beside_the_program(tmp_path: Path) -> None:
    packages = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    (packages / "vllm-0.24.0+cpu.dist-info").mkdir(parents=True)
    (packages / "vllm_other-9.dist-info").mkdir()
    argv = [f"{tmp_path}/venv/bin/python3", f"{tmp_path}/venv/bin/vllm", "serve", "m"]
    write_process(tmp_path / "proc", 5, argv, {})
    found = read_local(proc=tmp_path / "proc").process
    assert (found.vllm_version, found.python_version) == ("0.24.0+cpu", "3.12")
