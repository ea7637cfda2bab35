"""What every `KubeClient` does: the fake that the other tests trust, and a real API server."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.kubeconfig import connect
from autosre_lab.errors import ConflictError, KubeError
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.fake_controllers import answer
from tests.cluster.objects import config_map, deployment, service


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def kube(request: pytest.FixtureRequest) -> Iterator[KubeClient]:
    """A client with an empty namespace of its own."""
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    if request.param == "fake":
        cluster = FakeCluster()
        cluster.behaviours["worker"] = Behaviour(run=answer)
        fake = FakeKube(cluster, namespace=namespace)
        fake.create(own)
        yield fake
        return
    with connect(namespace=namespace) as client:
        client.create(own)
        yield client
        client.delete("Namespace", namespace)


def awaited(
    kube: KubeClient, kind: str, holds: Callable[[list[Object]], bool], timeout_s: float = 60
) -> list[Object]:
    """Return the objects as soon as they are as wanted."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for _ in kube.watch(kind, timeout_s=1):
            pass
        found = kube.find(kind)
        if holds(found):
            return found
    raise AssertionError(f"not in {timeout_s} s: {found}")


def phases(pods: list[Object]) -> list[str]:
    return [pod["status"].get("phase", "") for pod in pods]


def test_what_is_not_there_is_none_and_cannot_be_deleted(kube: KubeClient) -> None:
    assert kube.get("ConfigMap", "absent") is None
    assert kube.delete("ConfigMap", "absent") is False


def test_an_object_is_created_once(kube: KubeClient) -> None:
    created = kube.create(config_map(a="1"))
    assert created["metadata"]["uid"]
    with pytest.raises(ConflictError) as refused:
        kube.create(config_map(a="2"))
    assert refused.value.reason == "AlreadyExists"


def test_objects_are_found_by_label_and_by_field_with_their_kind(kube: KubeClient) -> None:
    kube.create(config_map("one"))
    kube.create(config_map("two"))
    (found,) = kube.find("ConfigMap", labels={"app": "two"})
    assert (found["kind"], found["apiVersion"]) == ("ConfigMap", "v1")
    assert found["metadata"]["name"] == "two"
    (found,) = kube.find("ConfigMap", fields={"metadata.name": "one"}, everywhere=True)
    assert found["metadata"]["namespace"] == kube.namespace


def test_an_unchanged_apply_changes_no_resource_version(kube: KubeClient) -> None:
    first = kube.apply(config_map(a="1"))
    assert (
        kube.apply(config_map(a="1"))["metadata"]["resourceVersion"]
        == (first["metadata"]["resourceVersion"])
    )


def test_apply_takes_back_what_it_no_longer_names_and_leaves_what_others_wrote(
    kube: KubeClient,
) -> None:
    kube.apply(config_map(a="1", b="1"))
    kube.patch("ConfigMap", "note", {"metadata": {"annotations": {"theirs": "kept"}}})
    applied = kube.apply(config_map(a="2"))
    assert applied["data"] == {"a": "2"}
    assert applied["metadata"]["annotations"]["theirs"] == "kept"


def test_a_dry_run_tells_the_outcome_and_changes_nothing(kube: KubeClient) -> None:
    kube.apply(config_map(a="1"))
    assert kube.apply(config_map(a="2"), dry_run=True)["data"] == {"a": "2"}
    live = kube.get("ConfigMap", "note")
    assert live is not None
    assert live["data"] == {"a": "1"}


def test_a_dry_run_counts_the_generation_up_exactly_where_the_spec_changes(
    kube: KubeClient,
) -> None:
    idle = deployment("worker", replicas=0)
    assert kube.apply(idle)["metadata"]["generation"] == 1
    assert kube.apply(idle, dry_run=True)["metadata"]["generation"] == 1
    changed = deployment("worker", replicas=0, grace_s=7)
    assert kube.apply(changed, dry_run=True)["metadata"]["generation"] == 2
    live = kube.get("Deployment", "worker")
    assert live is not None
    assert live["metadata"]["generation"] == 1


def test_replacing_an_outdated_object_is_a_conflict(kube: KubeClient) -> None:
    old = kube.create(config_map(a="1"))
    kube.replace({**old, "data": {"a": "2"}})
    with pytest.raises(ConflictError):
        kube.replace({**old, "data": {"a": "3"}})


def test_a_merge_patch_removes_what_is_null(kube: KubeClient) -> None:
    kube.create(config_map(a="1", b="2"))
    assert kube.patch("ConfigMap", "note", {"data": {"a": None}})["data"] == {"b": "2"}


def test_a_missing_namespace_is_named_with_its_remedy(kube: KubeClient) -> None:
    with pytest.raises(KubeError, match="nowhere") as refused:
        kube.apply(config_map(), namespace="nowhere")
    assert refused.value.status == 404
    assert refused.value.remedy == "create the namespace: kubectl create namespace nowhere"


def test_an_address_outside_the_service_range_is_refused_with_its_remedy(kube: KubeClient) -> None:
    with pytest.raises(KubeError, match="not in the valid range") as refused:
        kube.apply(service("vllm", "10.222.0.30"))
    assert refused.value.status == 422
    assert "--service-cidr" in refused.value.remedy


def test_an_address_of_another_service_is_refused_with_its_remedy(kube: KubeClient) -> None:
    taken = kube.create(service("first"))["spec"]["clusterIP"]
    with pytest.raises(KubeError, match="already allocated") as refused:
        kube.apply(service("second", taken))
    assert "another Service has this address" in refused.value.remedy


def test_an_address_cannot_be_changed(kube: KubeClient) -> None:
    ip = kube.create(service("first"))["spec"]["clusterIP"]
    other = ip.rsplit(".", 1)[0] + (".251" if not ip.endswith(".251") else ".252")
    with pytest.raises(KubeError, match="may not change once set") as refused:
        kube.patch("Service", "first", {"spec": {"clusterIP": other}})
    assert "delete the Service" in refused.value.remedy


def test_a_watch_tells_what_there_is_and_then_every_change(kube: KubeClient) -> None:
    kube.create(config_map("before"))
    told = []
    for event in kube.watch("ConfigMap", labels={"app": "before"}, timeout_s=20):
        told.append(event.type)
        if event.type == "ADDED":
            kube.patch("ConfigMap", "before", {"data": {"x": "1"}})
        elif event.type == "MODIFIED":
            kube.delete("ConfigMap", "before")
        else:
            break
    assert told == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_ends_in_time(kube: KubeClient) -> None:
    began = time.monotonic()
    assert list(kube.watch("Lease", timeout_s=1)) == []
    assert time.monotonic() - began < 5


def test_a_deployment_comes_up_counts_generations_and_goes_with_its_pods(kube: KubeClient) -> None:
    kube.apply(deployment("worker", grace_s=1))
    (pod,) = awaited(kube, "Pod", lambda pods: phases(pods) == ["Running"])
    (replicaset,) = kube.find("ReplicaSet")
    live = kube.get("Deployment", "worker")
    assert live is not None
    assert live["metadata"]["generation"] == 1
    assert pod["metadata"]["ownerReferences"][0]["uid"] == replicaset["metadata"]["uid"]
    assert replicaset["metadata"]["ownerReferences"][0]["uid"] == live["metadata"]["uid"]
    revision = "deployment.kubernetes.io/revision"
    assert live["metadata"]["annotations"][revision] == "1"
    assert replicaset["metadata"]["annotations"][revision] == "1"

    assert (
        kube.patch("Deployment", "worker", {"spec": {"replicas": 0}})["metadata"]["generation"] == 2
    )
    assert kube.delete("Deployment", "worker") is True
    awaited(kube, "Pod", lambda pods: pods == [])
    awaited(kube, "ReplicaSet", lambda sets: sets == [])


def test_recreate_starts_a_new_pod_beside_an_ending_one_when_scaled_to_zero_and_back(
    kube: KubeClient,
) -> None:
    stubborn = deployment("worker", grace_s=8)
    kube.apply(stubborn)
    if isinstance(kube, FakeKube):
        kube.cluster.behaviours["worker"] = Behaviour(stop_s=8)
    awaited(kube, "Pod", lambda pods: phases(pods) == ["Running"])
    kube.patch("Deployment", "worker", {"spec": {"replicas": 0}})
    awaited(kube, "Pod", lambda pods: all("deletionTimestamp" in pod["metadata"] for pod in pods))
    kube.patch("Deployment", "worker", {"spec": {"replicas": 1}})
    both = awaited(kube, "Pod", lambda pods: len(pods) == 2)
    assert sum("deletionTimestamp" in pod["metadata"] for pod in both) == 1


def test_recreate_waits_for_the_old_pod_when_the_template_changes(kube: KubeClient) -> None:
    kube.apply(deployment("worker", grace_s=2))
    (old,) = awaited(kube, "Pod", lambda pods: phases(pods) == ["Running"])
    kube.apply(deployment("worker", grace_s=3))
    most = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pods = kube.find("Pod")
        most = max(most, len(pods))
        if phases(pods) == ["Running"] and pods[0]["metadata"]["uid"] != old["metadata"]["uid"]:
            break
        for _ in kube.watch("Pod", timeout_s=1):
            most = max(most, len(kube.find("Pod")))
    assert most == 1


def test_a_command_in_a_container_tells_its_output_and_exit_code(kube: KubeClient) -> None:
    kube.apply(deployment("worker", grace_s=1))
    (pod,) = awaited(kube, "Pod", lambda pods: phases(pods) == ["Running"])
    name = pod["metadata"]["name"]
    result = kube.exec(name, ["sh", "-c", "echo out; echo err >&2; exit 3"], container="worker")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    with pytest.raises(KubeError):
        kube.exec(name, ["no-such-program"])
    with pytest.raises(KubeError) as refused:
        kube.exec("no-such-pod", ["true"])
    assert refused.value.status == 404
    assert kube.logs(name, previous=True) == []
    with pytest.raises(KubeError):
        kube.logs("no-such-pod")


def test_a_kind_that_the_server_does_not_know_is_named(kube: KubeClient) -> None:
    if isinstance(kube, FakeKube):
        kube.cluster.unknown_kinds.add("ServiceCIDR")
    elif kube.version() >= "v1.31":
        return
    with pytest.raises(KubeError, match="ServiceCIDR") as refused:
        kube.find("ServiceCIDR")
    assert refused.value.status == 404
