"""One GPU, two who want it: the production recipe's scheduling, gate and dedicated mode.

The node offers nvidia.com/gpu through a real device plugin, and the RuntimeClass nvidia; what
nvidia-smi would say is scripted, since there is no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autosre_lab
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.dedicated import displaced
from autosre_lab.cluster.gone import scale, wait_gone
from autosre_lab.cluster.memory_watchdog import watch_memory
from autosre_lab.cluster.node_probe import LocalNodeProbe
from autosre_lab.cluster.release import ENGINE
from autosre_lab.cluster.rollout import pods_of
from autosre_lab.errors import GpuGateError, RolloutError
from autosre_lab.recipe import load_recipe
from tests.cluster.real_images import BASE
from tests.cluster.real_recipes import write_recipe
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

PRODUCTION = load_recipe("qwen3.6-35b-a3b-nvfp4")
GPU = PRODUCTION.resources.gpu
assert GPU is not None
DEVICE = GPU.resource
NO_PROCESS = ""
UNIFIED = "NVIDIA GB10, [N/A], [N/A]\n"


@pytest.fixture
def device(kube: ApiServerClient) -> None:
    """The GPU that the node offers, through a real device plugin, and nobody holds."""
    autosre_lab.stop(place="cluster")
    (node, *_) = kube.find("Node")
    offered = node["status"]["allocatable"].get(DEVICE)
    assert offered == "1", f"the node offers {offered} {DEVICE}; these tests need one that is free"


@pytest.fixture
def neighbour(kube: ApiServerClient, device: None) -> Iterator[str]:
    """Somebody else's workload, which holds the device."""
    labels = {"app": "neighbour"}
    container: dict[str, Any] = {
        "name": "main",
        "image": BASE,
        "command": ["sleep", "infinity"],
        "resources": {"limits": {DEVICE: "1"}},
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        },
    }
    meta = {"name": "neighbour"}
    kube.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    until(lambda: ready_replicas(kube) == 1, "the neighbour to run", 60)
    yield "neighbour"
    scale(kube, "neighbour", 0)
    wait_gone(kube, "neighbour")
    kube.delete("Deployment", "neighbour")


def ready_replicas(kube: ApiServerClient) -> int:
    live = kube.get("Deployment", "neighbour") or {}
    return int((live.get("status") or {}).get("readyReplicas", 0))


@pytest.fixture
def gpu_recipe(tmp_path: Path) -> Path:
    """The production recipe's device, runtime class and gates, with an engine that runs here."""
    assert GPU is not None
    return write_recipe(
        tmp_path,
        "wants-gpu",
        resources={"gpu": GPU.model_dump(mode="json")},
        lifecycle={"gates": list(PRODUCTION.lifecycle.gates)},
        engine={"args": {"gpu-memory-utilization": 0.05}},
    )


@pytest.fixture
def scripted_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        f'  *compute-apps*) printf "%s" "{NO_PROCESS}" ;;\n'
        f'  *query-gpu*) printf "%s" "{UNIFIED}" ;;\nesac\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_an_engine_that_would_take_the_hosts_memory_is_ended(
    kube: ApiServerClient, recipe_file: Path
) -> None:
    autosre_lab.start(recipe_file, place="cluster", wait=False)
    # A floor above what this machine has: the first looks are already too low.
    with watch_memory(kube, ENGINE, LocalNodeProbe(), floor_bytes=1e18, every_s=0.2) as watchdog:
        until(lambda: watchdog.ended_at_bytes is not None, "the watchdog to act", 60)
    with pytest.raises(RolloutError, match="memory were left"):
        watchdog.check()
    wait_gone(kube, ENGINE)


def test_where_nobody_can_tell_whether_the_gpu_is_free_nothing_is_started(
    kube: ApiServerClient, device: None, gpu_recipe: Path
) -> None:
    with pytest.raises(GpuGateError, match="nvidia-smi") as caught:
        autosre_lab.start(gpu_recipe, place="cluster")
    assert caught.value.state == "unknown"
    assert autosre_lab.status(place="cluster").state == "stopped"


def test_dedicated_takes_the_gpu_from_others_and_stop_gives_it_back(
    kube: ApiServerClient, neighbour: str, gpu_recipe: Path, scripted_smi: None
) -> None:
    stack = autosre_lab.start(gpu_recipe, place="cluster", dedicated=True)
    assert stack.recipe_name == "wants-gpu"
    (pod,) = pods_of(kube, ENGINE)
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    assert pod["spec"]["containers"][0]["resources"]["limits"][DEVICE] == "1"
    assert [(one.name, one.replicas) for one in displaced(kube)] == [("neighbour", 1)]
    assert ready_replicas(kube) == 0
    autosre_lab.stop(place="cluster")
    assert displaced(kube) == []
    until(lambda: ready_replicas(kube) == 1, "the neighbour to run again", 60)
