"""The whole GPU for one recipe, and everything back as it was."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from autosre_lab.cluster.dedicated import NOTE, dedicate, displaced, restore
from autosre_lab.cluster.release import ENGINE
from autosre_lab.errors import ClusterError, KubeError
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.objects import deployment, runtime_class, statefulset
from tests.cluster.recipes import cpu_recipe, gpu_recipe


class CrashError(Exception):
    """The operator's process ends here."""


def shared() -> FakeKube:
    """A cluster on which others use the GPU, and one does not."""
    cluster = FakeCluster(allocatable={"nvidia.com/gpu": "8"})
    kube = FakeKube(cluster)
    for name in ("team", "nvidia"):
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "idle"}})
    kube.apply(deployment("notebook", replicas=2, gpu=1, namespace="team"))
    kube.apply(statefulset("trainer", replicas=3, gpu=1, namespace="team"))
    kube.apply(deployment("paused", replicas=0, gpu=1, namespace="idle"))
    kube.apply(deployment("web", replicas=2, namespace="team"))
    kube.apply(deployment(ENGINE, gpu=1))
    cluster.advance(5)
    return kube


def replicas(kube: FakeKube) -> dict[str, int]:
    return {
        one["metadata"]["name"]: one["spec"]["replicas"]
        for kind in ("Deployment", "StatefulSet")
        for one in kube.find(kind, everywhere=True)
    }


BEFORE = {"notebook": 2, "trainer": 3, "paused": 0, "web": 2, ENGINE: 1}
DEDICATED = {**BEFORE, "notebook": 0, "trainer": 0}


def test_what_holds_the_gpu_is_scaled_to_zero_and_restored_exactly() -> None:
    kube = shared()
    names = {
        (one.kind, one.namespace, one.name, one.replicas) for one in dedicate(kube, gpu_recipe())
    }
    assert names == {
        ("Deployment", "team", "notebook", 2),
        ("StatefulSet", "team", "trainer", 3),
    }
    assert replicas(kube) == DEDICATED
    assert restore(kube) == []
    assert replicas(kube) == BEFORE
    assert kube.get("ConfigMap", NOTE) is None


def test_what_sees_the_gpu_by_its_runtime_class_alone_is_displaced_too() -> None:
    kube = shared()
    kube.apply(runtime_class("nvidia"))
    kube.apply(deployment("sneaky", namespace="team", runtimeClassName="nvidia"))
    dedicate(kube, gpu_recipe())
    assert replicas(kube)["sneaky"] == 0


def test_restoring_twice_or_without_a_note_changes_nothing() -> None:
    kube = shared()
    assert restore(kube) == []
    dedicate(kube, gpu_recipe())
    restore(kube)
    before = kube.find("Deployment", everywhere=True)
    assert restore(kube) == []
    assert kube.find("Deployment", everywhere=True) == before


def crash_at(kube: FakeKube, number: int) -> None:
    """Let the operator's process end at its so-many-th change."""
    changes = itertools.count(1)

    def refuse(action: str, *_: Any) -> KubeError | None:
        if action in ("patch", "create", "update", "delete") and next(changes) == number:
            raise CrashError
        return None

    kube.cluster.refuse = refuse


@pytest.mark.parametrize("number", range(1, 4))
def test_a_crash_while_displacing_loses_nothing(number: int) -> None:
    kube = shared()
    crash_at(kube, number)
    with pytest.raises(CrashError):
        dedicate(kube, gpu_recipe())
    kube.cluster.refuse = lambda *_: None
    assert restore(kube) == []
    assert replicas(kube) == BEFORE


@pytest.mark.parametrize("number", range(1, 4))
def test_a_crash_while_restoring_is_made_good_by_restoring_again(number: int) -> None:
    kube = shared()
    dedicate(kube, gpu_recipe())
    crash_at(kube, number)
    with pytest.raises(CrashError):
        restore(kube)
    kube.cluster.refuse = lambda *_: None
    assert restore(kube) == []
    assert replicas(kube) == BEFORE


@pytest.mark.parametrize("number", range(1, 4))
def test_a_crash_while_displacing_and_then_going_on_loses_nothing(number: int) -> None:
    kube = shared()
    crash_at(kube, number)
    with pytest.raises(CrashError):
        dedicate(kube, gpu_recipe())
    kube.cluster.refuse = lambda *_: None
    dedicate(kube, gpu_recipe())
    assert replicas(kube) == DEDICATED
    restore(kube)
    assert replicas(kube) == BEFORE


def test_the_note_is_written_before_the_first_workload_is_touched() -> None:
    kube = shared()
    began = len(kube.cluster.requests)
    dedicate(kube, gpu_recipe())
    changes = [one for one in kube.cluster.requests[began:] if one[0] == "patch"]
    assert changes[0] == ("patch", "ConfigMap", NOTE)
    assert {name for _, _, name in changes[1:]} == {"notebook", "trainer"}


def test_what_somebody_scaled_meanwhile_is_reported_and_left() -> None:
    kube = shared()
    dedicate(kube, gpu_recipe())
    kube.patch("Deployment", "notebook", {"spec": {"replicas": 1}}, namespace="team")
    assert restore(kube) == ["Deployment team/notebook was scaled to 1 meanwhile; it had 2"]
    assert replicas(kube) == {**BEFORE, "notebook": 1}


def test_what_somebody_deleted_or_made_anew_meanwhile_is_reported_and_left() -> None:
    kube = shared()
    dedicate(kube, gpu_recipe())
    kube.delete("StatefulSet", "trainer", namespace="team")
    kube.delete("Deployment", "notebook", namespace="team")
    kube.apply(deployment("notebook", replicas=0, gpu=1, namespace="team"))
    assert restore(kube) == [
        "Deployment team/notebook is gone; it had 2 replicas",
        "StatefulSet team/trainer is gone; it had 3 replicas",
    ]
    assert replicas(kube)["notebook"] == 0


def test_called_again_it_displaces_what_came_since_with_what_it_has_now() -> None:
    kube = shared()
    dedicate(kube, gpu_recipe())
    kube.patch("Deployment", "notebook", {"spec": {"replicas": 5}}, namespace="team")
    kube.apply(deployment("late", replicas=1, gpu=1, namespace="team"))
    dedicate(kube, gpu_recipe())
    assert replicas(kube) == {**DEDICATED, "late": 0}
    restore(kube)
    assert replicas(kube) == {**BEFORE, "notebook": 5, "late": 1}


def test_what_may_not_be_changed_stays_noted_and_the_others_are_restored() -> None:
    kube = shared()
    dedicate(kube, gpu_recipe())
    denied = KubeError("forbidden", remedy="-", status=403)
    kube.cluster.refuse = lambda action, _, name: (
        denied if (action, name) == ("patch", "notebook") else None
    )
    with pytest.raises(KubeError, match="forbidden"):
        restore(kube)
    assert replicas(kube) == {**BEFORE, "notebook": 0}
    assert [one.name for one in displaced(kube)] == ["notebook"]
    kube.cluster.refuse = lambda *_: None
    restore(kube)
    assert replicas(kube) == BEFORE


def test_a_note_that_somebody_edited_is_told_and_kept() -> None:
    kube = shared()
    dedicate(kube, gpu_recipe())
    kube.patch("ConfigMap", NOTE, {"data": {"workloads.json": "[{]"}})
    with pytest.raises(ClusterError, match="not as it was written"):
        restore(kube)
    assert kube.get("ConfigMap", NOTE) is not None


def test_a_recipe_without_a_device_displaces_nobody() -> None:
    kube = shared()
    with pytest.raises(ClusterError, match="needs no GPU"):
        dedicate(kube, cpu_recipe())
    assert replicas(kube) == BEFORE
