"""One GPU, two who want it: on a real scheduler, with a device that the node only claims to have.

Kubernetes counts whatever a node advertises, so its part is real; what nvidia-smi would say is
scripted, since there is none here.
"""

from __future__ import annotations

import json
import os
import subprocess
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
from autosre_lab.errors import GpuGateError, RolloutError
from tests.cluster.real_images import BASE
from tests.cluster.real_recipes import write_recipe
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

DEVICE = "autosre.dev/test-gpu"
GPU = {"resource": DEVICE, "count": 1}
NO_PROCESS = ""
UNIFIED = "NVIDIA GB10, [N/A], [N/A]\n"


def set_device(kube: ApiServerClient, count: int | None) -> None:
    """Let the node advertise the device, as a device plugin would."""
    (node, *_) = kube.find("Node")
    for part in ("capacity", "allocatable"):
        if count is None:
            node["status"][part].pop(DEVICE, None)
        else:
            node["status"][part][DEVICE] = str(count)
    node["metadata"].pop("managedFields", None)
    path = f"/api/v1/nodes/{node['metadata']['name']}/status"
    subprocess.run(
        ["kubectl", "replace", "--raw", path, "-f", "-"],
        input=json.dumps(node),
        text=True,
        encoding="utf-8",
        capture_output=True,
        check=True,
    )


@pytest.fixture
def device(kube: ApiServerClient) -> Iterator[None]:
    autosre_lab.stop(place="cluster")
    set_device(kube, 1)
    yield
    set_device(kube, None)


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
    gates = ["gpu", "health", "models", "first_token"]
    return write_recipe(
        tmp_path,
        "wants-gpu",
        resources={"gpu": GPU},
        lifecycle={"gates": gates},
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
    assert [(one.name, one.replicas) for one in displaced(kube)] == [("neighbour", 1)]
    assert ready_replicas(kube) == 0
    autosre_lab.stop(place="cluster")
    assert displaced(kube) == []
    until(lambda: ready_replicas(kube) == 1, "the neighbour to run again", 60)
