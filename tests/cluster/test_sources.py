"""What a dashboard polls of a stack in a cluster: its engine's address, its limits, its logs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cluster import application_gate, options
from autosre_lab.cluster.kube import ExecResult
from autosre_lab.cluster.release import ENGINE, PROXY, apply_release
from autosre_lab.errors import KubeError, NotReadyError
from autosre_lab.lifecycle import cluster_sources, stack_sources
from autosre_lab.metrics import Feed
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.recipes import cpu_recipe
from tests.metrics.scripted_engine import scripted_engine
from tests.support.waiting import until


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setenv("AUTOSRE_PLACE", "cluster")
    client = FakeKube(FakeCluster(epoch=datetime.now(UTC)))
    monkeypatch.setattr(options, "configured_client", lambda: client)
    monkeypatch.setattr(cluster_sources, "_POD_LOG_S", 0.01)
    return client


def deployed(kube: FakeKube) -> None:
    recipe = cpu_recipe(engine={"args": {"max-num-seqs": 6}}, latency={"max_step_tokens": 4096})
    apply_release(kube, render(helm_values(recipe), namespace="autosre"))
    kube.cluster.advance(30)


def log_threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "log-lines"}


def test_without_a_release_the_namespace_is_named_with_what_to_do(kube: FakeKube) -> None:
    with pytest.raises(NotReadyError, match="namespace autosre") as caught:
        stack_sources()
    assert "--place cluster" in caught.value.remedy


def test_limits_are_those_of_the_recipe_that_was_applied(kube: FakeKube) -> None:
    deployed(kube)
    found = stack_sources()
    try:
        limits = found.limits()
        assert (limits.max_num_seqs, limits.max_num_batched_tokens) == (6, 4096)
        assert {"engine", "gpu", "host", "connections", "logs"} == set(found.readers())
    finally:
        found.close()


def test_the_engine_is_scraped_at_its_services_address(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(kube)
    asked: list[str] = []
    with scripted_engine() as (url, _):

        def address(section: dict[str, str]) -> str:
            asked.append(section["clusterIP"])
            return url

        monkeypatch.setattr(application_gate, "service_url", address)
        feed = Feed(stack_sources(patience_s=10.0), interval_s=0.1)
        with feed:
            sample = next(iter(feed.stream(seconds=20)))
    assert asked == ["10.96.0.30"]
    assert sample.engine is not None
    assert sample.engine.running == 1


def test_a_pods_lines_come_once_and_those_of_the_pod_after_it_too(kube: FakeKube) -> None:
    kube.cluster.behaviours["vllm"] = Behaviour(log=["first"])
    deployed(kube)
    lines = cluster_sources._pod_lines(kube, ENGINE)
    assert [next(lines), next(lines), next(lines)] == ["first", "", ""]
    kube.cluster.behaviours["vllm"].log.append("second")
    assert next(lines) == "second"

    (pod,) = kube.find("Pod", labels={"app.kubernetes.io/component": "vllm-local"})
    kube.delete("Pod", pod["metadata"]["name"], grace_s=0)
    kube.cluster.behaviours["vllm"] = Behaviour(log=["from the new one"])
    kube.cluster.advance(30)
    assert next(one for one in lines if one) == "from the new one"


def test_an_api_server_that_refuses_for_a_while_ends_no_log(kube: FakeKube) -> None:
    deployed(kube)
    lines = cluster_sources._pod_lines(kube, PROXY)
    kube.cluster.refuse = lambda *_: KubeError("busy", remedy="-", status=503)
    assert next(lines) == ""
    kube.cluster.refuse = lambda *_: None
    assert next(lines) == "started"


def test_nothing_asks_for_logs_any_more_once_the_view_is_closed(kube: FakeKube) -> None:
    before = log_threads()
    deployed(kube)
    found = stack_sources()
    ours = log_threads() - before
    assert len(ours) == 2
    found.close()
    until(lambda: not ours & log_threads(), "the threads of the logs to end", 10)


SMI = "0, NVIDIA GB10, GPU-1, 87, 40, [N/A], [N/A], 2418, 3003, 8000, 61, 88.50, [N/A]"


def in_the_pod(command: list[str]) -> ExecResult:
    """Answer as the shell of a Pod on another node."""
    text = command[-1]
    port = "1F4A" if "meminfo" in text else "1F4B"
    sockets = f"sl local\n 0: 0100007F:{port} 0100007F:1234 01\n"
    files = {
        "meminfo": "MemTotal: 1000 kB\nMemAvailable: 400 kB\n",
        "loadavg": "7.5 2.0 1.0 1/2 3\n",
        "stat": "cpu 1 2 3 4 5 6 7 8\ncpu0 1 2 3 4 5 6 7 8\n",
        "net/tcp": sockets,
        "smi": SMI + "\n",
    }
    told = "".join(f"=== {name}\n{body}" for name, body in files.items() if f"=== {name}'" in text)
    return ExecResult(exit_code=0, stdout=told, stderr="")


def test_the_nodes_gpu_host_and_connections_are_shown_and_not_those_of_here(
    kube: FakeKube,
) -> None:
    for container in ("vllm", "proxy"):
        kube.cluster.behaviours[container] = Behaviour(run=in_the_pod)
    deployed(kube)
    found = stack_sources()
    try:
        read = found.readers()
        host = read["host"]()
        assert (host.memory_total_bytes, host.memory_available_bytes) == (1_024_000, 409_600)
        assert host.load_1 == 7.5
        (gpu,) = read["gpu"]().gpus
        assert (gpu.name, gpu.util, gpu.temperature_c, gpu.power_w) == (
            *("NVIDIA GB10", 0.87, 61, 88.5),
        )
        assert gpu.memory_total_bytes is None, "unified memory"
        counted = {one.name: one.established for one in read["connections"]()}
        assert counted == {"engine": 1, "proxy": 1}
    finally:
        found.close()


def test_pods_that_may_not_be_asked_are_told_as_such(kube: FakeKube) -> None:
    deployed(kube)
    denied = KubeError("pods/exec is forbidden", remedy="-", status=403)
    kube.cluster.refuse = lambda _, __, name: denied if name.endswith("/exec") else None
    found = stack_sources()
    try:
        reading = found.readers()["gpu"]()
        assert (reading.gpus, reading.unavailable) == ((), "pods/exec is forbidden")
        with pytest.raises(KubeError, match="forbidden"):
            found.readers()["host"]()
    finally:
        found.close()
