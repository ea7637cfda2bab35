"""The node's own texts, read here or through a Pod."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autosre_lab.cluster.gpu_gate import parse_meminfo
from autosre_lab.cluster.kube import ExecResult
from autosre_lab.cluster.node_probe import (
    LocalNodeProbe,
    PodNodeProbe,
    is_this_machine,
    open_node_probe,
)
from autosre_lab.cluster.probe_pod import probe_pod, running_probe_pod
from autosre_lab.errors import RolloutError
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube


def tool(folder: Path, text: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    program.chmod(0o755)


def test_this_machine_s_memory_and_tools_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, 'echo "$1"')
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    probe = LocalNodeProbe()
    text = probe.meminfo()
    assert text is not None
    assert parse_meminfo(text) is not None
    assert probe.compute_processes() == "--query-compute-apps=pid,process_name,used_memory\n"
    assert probe.devices() == "--query-gpu=name,memory.total,memory.free\n"


def test_a_tool_that_is_missing_or_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    probe = LocalNodeProbe()
    assert probe.devices() is None
    assert "nvidia-smi" in probe.why
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    tool(tmp_path, "echo no driver; exit 9")
    assert probe.devices() is None
    assert probe.why == "no driver"


def test_a_pod_s_commands_are_read_and_their_failures_told() -> None:
    cluster = FakeCluster()
    answers = {
        "cat": ExecResult(exit_code=0, stdout="MemTotal: 1 kB\n", stderr=""),
        "nvidia-smi": ExecResult(exit_code=6, stdout="", stderr="NVML: not supported"),
    }
    cluster.behaviours["probe"] = Behaviour(run=lambda command: answers[command[0]])
    kube = FakeKube(cluster)
    clock = cluster.clock
    with running_probe_pod(kube, "gb10", image="vllm:1", runtime_class=None, clock=clock) as pod:
        probe = PodNodeProbe(kube, pod)
        assert probe.meminfo() == "MemTotal: 1 kB\n"
        assert probe.compute_processes() is None
        assert probe.why == "NVML: not supported"
    assert kube.find("Pod") == []
    assert probe.meminfo() is None
    assert "not found" in probe.why


def test_a_probe_pod_that_cannot_start_says_why_and_is_taken_away() -> None:
    cluster = FakeCluster()
    cluster.behaviours["probe"] = Behaviour(waits_for=("ErrImagePull", "no such image"))
    kube = FakeKube(cluster)
    with (
        pytest.raises(RolloutError, match="ErrImagePull no such image"),
        running_probe_pod(kube, "gb10", image="vllm:1", runtime_class=None, clock=cluster.clock),
    ):
        pass
    assert kube.find("Pod") == []


def test_the_probe_pod_sees_all_processes_and_asks_for_no_device() -> None:
    pod = probe_pod("probe", "gb10", image="vllm:1", runtime_class="nvidia")
    spec = pod["spec"]
    # Without the host's processes nvidia-smi would list none, which would look like a free GPU.
    assert spec["hostPID"] is True
    assert spec["runtimeClassName"] == "nvidia"
    assert spec["nodeName"] == "gb10"
    assert "resources" not in spec["containers"][0]
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["activeDeadlineSeconds"] <= 600


def node(address: str, **info: str) -> dict[str, object]:
    addresses = [{"type": "InternalIP", "address": address}]
    return {"status": {"addresses": addresses, "nodeInfo": info}}


def test_this_machine_is_known_by_its_addresses() -> None:
    assert is_this_machine(node("127.0.0.1"))
    assert not is_this_machine(node("203.0.113.9"))
    assert not is_this_machine({})
    kube = FakeKube(FakeCluster())
    with open_node_probe(kube, node("127.0.0.1"), image="", runtime_class=None) as probe:
        assert isinstance(probe, LocalNodeProbe)
    assert kube.cluster.requests == []


def test_the_same_boot_of_a_kernel_is_this_machine_and_an_address_alone_is_not() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert is_this_machine(node("203.0.113.9", bootID=boot))
    assert not is_this_machine(node("127.0.0.1", bootID="another"))
