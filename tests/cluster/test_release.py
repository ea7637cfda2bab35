"""What is deployed: applied in order, found again, pruned; status as it really is."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.release import (
    ENGINE,
    ENGINE_LABELS,
    PROXY,
    apply_release,
    engine_would_change,
    ensure_namespace,
    ensure_token,
    read_release,
    read_token,
)
from autosre_lab.cluster.rollout import take_snapshot
from autosre_lab.cluster.stack_status import engine_identity, mark_ready, read_status
from autosre_lab.errors import KubeError
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.objects import config_map, service
from tests.cluster.recipes import cpu_recipe


def objects(**sections: Any) -> list[Object]:
    return render(helm_values(cpu_recipe(**sections)), namespace="autosre")


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube(FakeCluster(epoch=datetime.now(UTC)))


def names(kube: FakeKube, kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in kube.find(kind)}


def test_what_was_applied_is_read_back_as_the_same_recipe(kube: FakeKube) -> None:
    assert read_release(kube) is None
    apply_release(kube, objects())
    release = read_release(kube)
    assert release is not None
    assert release.recipe == cpu_recipe()
    assert release.values["vllm"]["clusterIP"] == "10.96.0.30"


def test_a_release_that_somebody_broke_is_none(kube: FakeKube) -> None:
    apply_release(kube, objects())
    kube.patch("ConfigMap", "autosre-recipe", {"data": {"recipe.yaml": "["}})
    assert read_release(kube) is None


def test_what_is_no_longer_rendered_is_taken_away_and_what_is_not_ours_stays(
    kube: FakeKube,
) -> None:
    apply_release(kube, objects())
    kube.create(config_map("theirs"))
    before = names(kube, "ConfigMap")
    extra = copy.deepcopy(next(one for one in objects() if one["kind"] == "ConfigMap"))
    extra["metadata"]["name"] = "autosre-earlier"
    kube.apply(extra)
    apply_release(kube, objects())
    assert names(kube, "ConfigMap") == before
    assert "theirs" in before


def test_applying_the_same_release_makes_no_new_engine(kube: FakeKube) -> None:
    assert engine_would_change(kube, objects())
    apply_release(kube, objects())
    assert not engine_would_change(kube, objects())
    assert engine_would_change(kube, objects(latency={"max_step_tokens": 2048}))


def test_a_service_gets_another_address_by_being_made_anew(kube: FakeKube) -> None:
    apply_release(kube, objects())
    apply_release(kube, objects(network={"cluster_ip": "10.96.0.40"}))
    moved = kube.get("Service", ENGINE)
    assert moved is not None
    assert moved["spec"]["clusterIP"] == "10.96.0.40"


def test_a_service_whose_new_address_is_refused_keeps_the_old_one(kube: FakeKube) -> None:
    apply_release(kube, objects())
    kube.create(service("other", "10.96.0.40"))
    with pytest.raises(KubeError, match="already allocated"):
        apply_release(kube, objects(network={"cluster_ip": "10.96.0.40"}))
    kept = kube.get("Service", ENGINE)
    assert kept is not None
    assert kept["spec"]["clusterIP"] == "10.96.0.30"


def test_the_token_is_made_once(kube: FakeKube) -> None:
    assert read_token(kube) is None
    token = ensure_token(kube)
    assert len(token) >= 24
    assert ensure_token(kube) == read_token(kube) == token


def test_a_namespace_is_created_once() -> None:
    kube = FakeKube(FakeCluster(), namespace="fresh")
    ensure_namespace(kube)
    ensure_namespace(kube)
    assert kube.get("Namespace", "fresh") is not None


# -- status --------------------------------------------------------------------------------------


def deployed(kube: FakeKube, behaviour: Behaviour | None = None) -> None:
    kube.cluster.behaviours["vllm"] = behaviour or Behaviour(stop_s=20)
    apply_release(kube, objects())
    kube.cluster.advance(15)


def test_a_stack_that_was_never_started_is_stopped(kube: FakeKube) -> None:
    assert read_status(kube).state == "stopped"


def test_a_ready_pod_is_starting_until_its_container_has_generated_a_token(kube: FakeKube) -> None:
    deployed(kube)
    assert read_status(kube).state == "starting"
    identity = engine_identity(take_snapshot(kube, ENGINE))
    assert identity is not None
    mark_ready(kube, identity)
    status = read_status(kube)
    assert (status.state, status.recipe_name) == ("ready", "cpu")
    assert status.services["engine"].pod is not None


def test_another_container_than_the_proven_one_is_not_ready(kube: FakeKube) -> None:
    deployed(kube)
    mark_ready(kube, engine_identity(take_snapshot(kube, ENGINE)) or "")
    (pod,) = kube.find("Pod", labels=ENGINE_LABELS)
    kube.delete("Pod", pod["metadata"]["name"], grace_s=1)
    kube.cluster.advance(15)
    assert read_status(kube).state == "starting"


def test_a_pod_that_cannot_run_is_crashed_with_its_cause(kube: FakeKube) -> None:
    deployed(kube, Behaviour(waits_for=("ErrImagePull", "no such image")))
    status = read_status(kube)
    assert status.state == "crashed"
    assert "no such image" in (status.services["engine"].cause or "")
    assert status.services["engine"].remedy


def test_zero_replicas_are_stopping_until_the_last_pod_is_gone(kube: FakeKube) -> None:
    deployed(kube)
    for name in (ENGINE, PROXY):
        kube.patch("Deployment", name, {"spec": {"replicas": 0}})
    kube.cluster.advance(5)
    assert read_status(kube).state == "stopping"
    kube.cluster.advance(30)
    assert read_status(kube).state == "stopped"
