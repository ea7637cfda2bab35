from __future__ import annotations

import copy
from typing import Any

import pytest

from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.release import ENGINE_LABELS
from autosre_lab.errors import KubeError
from autosre_lab.parity.judgement import judge_object
from autosre_lab.parity.objects import ObjectComparison, compare_objects, stale_pods
from tests.parity.fake_cluster import FakeCluster

LABELS = ENGINE_LABELS

WANTED: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "vllm", "labels": LABELS},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS, "annotations": {"autosre.dev/recipe-sha256": "new"}},
            "spec": {
                "containers": [
                    {
                        "name": "vllm",
                        "image": "vllm:1",
                        "command": ["vllm", "serve", "m", "--max-num-seqs", "4"],
                        "env": [{"name": "A", "value": "1"}],
                        "resources": {"limits": {"memory": "8Gi"}},
                        "volumeMounts": [
                            {"name": "cache", "mountPath": "/a"},
                            {"name": "cache", "mountPath": "/b"},
                        ],
                    }
                ]
            },
        },
    },
}

CONFIG: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "autosre-recipe"},
    "data": {"recipe.yaml": "name: x\ncontext: 8192\nend: 1\n"},
}


def as_the_server_keeps_it(obj: Object) -> Object:
    """Return an object with what a server and its controllers write into it."""
    live = copy.deepcopy(obj)
    live["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "autosre"}],
        "annotations": {"deployment.kubernetes.io/revision": "3"},
    }
    live["status"] = {"replicas": 1}
    if obj["kind"] == "Service":
        live["spec"]["sessionAffinity"] = "None"
    if obj["kind"] == "Deployment":
        live["spec"]["revisionHistoryLimit"] = 10
        live["spec"]["template"]["spec"]["containers"][0]["terminationMessagePath"] = "/dev/log"
    return live


def container(obj: Object) -> Any:
    return obj["spec"]["template"]["spec"]["containers"][0]


def compare(*live: Object) -> ObjectComparison:
    return compare_objects(FakeCluster(live), [WANTED, CONFIG])


def rows(*live: Object) -> list[tuple[str, str, str | None, str | None]]:
    found = compare(*live)
    assert found.unread == ()
    return [(one.subject, one.kind, one.expected, one.live) for one in found.mismatches]


def test_what_was_applied_and_defaulted_by_the_server_does_not_differ() -> None:
    assert rows(as_the_server_keeps_it(WANTED), as_the_server_keeps_it(CONFIG)) == []


def test_an_object_that_is_not_there_is_missing() -> None:
    found = rows(as_the_server_keeps_it(WANTED))
    assert found == [("ConfigMap/autosre-recipe", "missing", "there", None)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("hostPID", True),
        ("hostIPC", True),
        ("nodeName", "elsewhere"),
        ("tolerations", [{"operator": "Exists"}]),
        ("initContainers", [{"name": "first", "image": "x"}]),
    ],
)
def test_what_the_chart_never_set_is_told_of_a_pod(path: str, value: object) -> None:
    live, config = as_the_server_keeps_it(WANTED), as_the_server_keeps_it(CONFIG)
    live["spec"]["template"]["spec"][path] = value
    (row,) = rows(live, config)
    assert row[:2] == (f"Deployment/vllm: spec.template.spec.{path}", "extra")


def test_an_open_port_of_the_node_and_a_privileged_container_are_told() -> None:
    live, config = as_the_server_keeps_it(WANTED), as_the_server_keeps_it(CONFIG)
    container(live)["securityContext"] = {"privileged": True}
    container(live)["ports"] = [{"containerPort": 8010, "hostPort": 8010}]
    where = "Deployment/vllm: spec.template.spec.containers[vllm]"
    assert {one[0] for one in rows(live, config)} == {
        f"{where}.securityContext",
        f"{where}.ports",
    }


SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "autosre-vllm-local"},
    "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.30", "selector": LABELS},
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("externalIPs", ["192.168.1.7"]),
        ("sessionAffinity", "ClientIP"),
        ("loadBalancerIP", "192.168.1.7"),
        ("externalTrafficPolicy", "Local"),
        ("publishNotReadyAddresses", True),
    ],
)
def test_what_decides_who_reaches_a_service_is_told(key: str, value: object) -> None:
    live = as_the_server_keeps_it(SERVICE)
    live["spec"]["clusterIPs"] = ["10.96.0.30"]
    live["spec"][key] = value
    (found,) = compare_objects(FakeCluster([live]), [SERVICE]).mismatches
    assert (found.subject, found.kind) == (f"Service/autosre-vllm-local: spec.{key}", "extra")
    assert judge_object(found)[0] == "error"


def test_other_services_and_policies_that_lead_to_the_engine_are_told() -> None:
    door = {
        **SERVICE,
        "metadata": {"name": "door"},
        "spec": {"selector": LABELS, "type": "NodePort"},
    }
    hole = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "hole"},
        "spec": {"podSelector": {"matchLabels": LABELS}, "ingress": [{}]},
    }
    wider = {**hole, "metadata": {"name": "all"}, "spec": {"podSelector": {}, "ingress": [{}]}}
    other = {
        **hole,
        "metadata": {"name": "x"},
        "spec": {"podSelector": {"matchLabels": {"a": "b"}}},
    }
    denies = {**hole, "metadata": {"name": "deny"}, "spec": {"podSelector": {}}}
    cluster = FakeCluster(
        [*map(as_the_server_keeps_it, (WANTED, CONFIG, SERVICE)), door, hole, wider, other, denies]
    )
    found = compare_objects(cluster, [WANTED, CONFIG, SERVICE]).mismatches
    assert {one.subject for one in found} == {
        "Service/door: leads to the engine",
        "NetworkPolicy/hole: opens the engine",
        "NetworkPolicy/all: opens the engine",
    }
    assert {judge_object(one)[0] for one in found} == {"error"}


def test_values_edited_by_hand_are_told_by_their_path() -> None:
    live, config = as_the_server_keeps_it(WANTED), as_the_server_keeps_it(CONFIG)
    container(live)["image"] = "vllm:2"
    container(live)["command"] = ["vllm", "serve", "m", "--max-num-seqs", "8", "--x"]
    container(live)["env"][0]["value"] = "2"
    container(live)["volumeMounts"][1]["mountPath"] = "/c"
    config["data"]["recipe.yaml"] = "name: x\ncontext: 4096\nend: 1\n"
    where = "Deployment/vllm: spec.template.spec.containers[vllm]"
    found = rows(live, config)
    assert found[:3] == [
        (f"{where}.image", "different", "vllm:1", "vllm:2"),
        (f"{where}.command", "different", "--max-num-seqs 4", "--max-num-seqs 8 --x"),
        (f"{where}.env[A].value", "different", "1", "2"),
    ]
    assert {one[0] for one in found[3:-1]} == {
        f"{where}.volumeMounts[/b]",
        f"{where}.volumeMounts[/c]",
    }
    assert found[-1] == (
        "ConfigMap/autosre-recipe: data.recipe.yaml",
        "different",
        "name: x context: 8192",
        "name: x context: 4096",
    )


def test_what_was_added_by_hand_is_told_although_applying_would_leave_it() -> None:
    live, config = as_the_server_keeps_it(WANTED), as_the_server_keeps_it(CONFIG)
    container(live)["env"].append({"name": "VLLM_X", "value": "1"})
    container(live)["resources"]["limits"]["cpu"] = "1"
    live["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})
    config["data"]["more"] = "text"
    spec = "Deployment/vllm: spec.template.spec"
    assert sorted(one[:2] for one in rows(live, config)) == [
        ("ConfigMap/autosre-recipe: data.more", "extra"),
        (f"{spec}.containers[sidecar]", "extra"),
        (f"{spec}.containers[vllm].env[VLLM_X]", "extra"),
        (f"{spec}.containers[vllm].resources.limits.cpu", "extra"),
    ]


def test_an_object_that_the_server_would_not_take_differs_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: FakeCluster, obj: Object, **_: Any) -> Object:
        raise KubeError("clusterIP is immutable", remedy="-", status=422, reason="Invalid")

    monkeypatch.setattr(FakeCluster, "apply", refuse)
    found = compare(as_the_server_keeps_it(CONFIG), as_the_server_keeps_it(WANTED))
    assert {one.live for one in found.mismatches} == {"clusterIP is immutable"}


def test_what_may_not_be_read_is_unread_and_not_equal() -> None:
    cluster = FakeCluster([as_the_server_keeps_it(CONFIG)])
    cluster.refused.add("Deployment")
    found = compare_objects(cluster, [WANTED, CONFIG])
    assert found.unread == (("Deployment/vllm", "Deployment is forbidden"),)
    assert found.mismatches == ()


def replica_set(name: str, revision: int, owner: str = "vllm") -> Object:
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "labels": {**LABELS, "pod-template-hash": name},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"kind": "Deployment", "name": owner}],
        },
    }


def pod(name: str, template: str, recipe: str = "new", **metadata: Any) -> Object:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**LABELS, "pod-template-hash": template},
            "annotations": {"autosre.dev/recipe-sha256": recipe},
            **metadata,
        },
    }


def stale(*live: Object) -> list[tuple[str, str | None, str | None]]:
    found = stale_pods(FakeCluster(live), [WANTED, CONFIG])
    return [(one.subject, one.expected, one.live) for one in found]


def test_a_pod_of_an_older_template_is_stale() -> None:
    sets = [replica_set("two", 2), replica_set("ten", 10), replica_set("z", 99, owner="other")]
    assert stale(*sets, pod("a", "ten")) == []
    assert stale(*sets, pod("a", "two")) == [("Pod/a: template", "ten", "two")]


def test_a_pod_started_from_another_recipe_is_stale() -> None:
    assert stale(replica_set("one", 1), pod("a", "one", recipe="old")) == [
        ("Pod/a: autosre.dev/recipe-sha256", "new", "old")
    ]


def test_a_pod_that_is_being_ended_is_no_longer_stale() -> None:
    ending = pod("a", "old", deletionTimestamp="2026-01-01T00:00:00Z")
    assert stale(replica_set("one", 1), ending) == []
