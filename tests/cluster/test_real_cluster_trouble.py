"""What cannot run on the real cluster, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import autosre_lab
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.release import ENGINE
from autosre_lab.cluster.rollout import pods_of
from autosre_lab.errors import ClusterError, RolloutError
from tests.cluster.real_recipes import write_recipe
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]


def test_memory_that_runs_out_is_told_with_the_engines_last_words(
    kube: ApiServerClient, tmp_path: Path
) -> None:
    autosre_lab.stop(place="cluster")
    memory = {"request": "300Mi", "limit": "700Mi"}
    small = write_recipe(tmp_path, "small", resources={"memory": memory})
    with pytest.raises(RolloutError) as caught:
        autosre_lab.start(small, place="cluster")
    assert caught.value.reason == "OOMKilled"
    assert "resources.memory.limit" in caught.value.remedy
    assert caught.value.log_tail
    until(lambda: pods_of(kube, ENGINE) == [], "nothing to be left of it", 180)


@pytest.fixture
def tainted(kube: ApiServerClient) -> Iterator[str]:
    """The node, refusing Pods as it does under pressure."""
    (node, *_) = kube.find("Node")
    name = node["metadata"]["name"]
    before = node["spec"].get("taints")
    taint = {"key": "autosre.dev/pressure", "value": "test", "effect": "NoSchedule"}
    kube.patch("Node", name, {"spec": {"taints": [*(before or []), taint]}})
    yield name
    kube.patch("Node", name, {"spec": {"taints": before}})


def test_a_node_under_pressure_is_named_before_anything_is_changed(
    kube: ApiServerClient, tainted: str, recipe_file: Path
) -> None:
    with pytest.raises(ClusterError, match=r"autosre\.dev/pressure"):
        autosre_lab.start(recipe_file, place="cluster")
    assert pods_of(kube, ENGINE) == []
