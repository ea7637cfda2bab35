from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.release import ENGINE_LABELS
from autosre_lab.errors import ClusterError, RecipeError
from autosre_lab.parity import TakenOver, find_drift, recipe_from_pod
from autosre_lab.parity.from_process import TAKEN_OVER
from autosre_lab.parity.pod_sections import version_in_tag
from autosre_lab.recipe import load_recipe, parse_recipe
from tests.parity.fake_cluster import FakeCluster, write_process
from tests.parity.running import DIGEST, HOOKED, Running, small

FOREIGN_ENV = [
    {"name": "HF_HUB_OFFLINE", "value": "1"},
    {"name": "SITE", "value": "attic"},
    {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
    {"name": "VLLM_API_KEY", "value": "sk-in-clear"},
    {"name": "VLLM_HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    {"name": "OMP_NUM_THREADS", "value": "$(SITE)4"},
]

FOREIGN: Object = {
    "kind": "Pod",
    "metadata": {
        "name": "their-vllm",
        "labels": ENGINE_LABELS,
        "creationTimestamp": "2026-01-01",
    },
    "spec": {
        "nodeName": "box",
        "runtimeClassName": "nvidia",
        "terminationGracePeriodSeconds": 45,
        "securityContext": {"runAsUser": 7},
        "containers": [
            {
                "name": "vllm",
                "image": "vllm/vllm-openai:v0.24.0",
                "command": ["bash", "-c"],
                "args": ["exec vllm serve /models/Qwen3.6-35B-A3B $EXTRA"],
                "env": FOREIGN_ENV,
                "resources": {
                    "requests": {"cpu": "2", "memory": "8Gi", "ephemeral-storage": "1Gi"},
                    "limits": {"nvidia.com/gpu": "1", "cpu": "4", "memory": "9Gi"},
                },
                "securityContext": {"readOnlyRootFilesystem": True, "privileged": True},
                "startupProbe": {"periodSeconds": 10, "failureThreshold": 90},
                "volumeMounts": [
                    {"name": "shm", "mountPath": "/dev/shm"},
                    {"name": "models", "mountPath": "/models", "subPath": "q", "readOnly": True},
                    {"name": "hub", "mountPath": "/root/.cache/huggingface"},
                    {"name": "claim", "mountPath": "/claim"},
                    {"name": "config", "mountPath": "/etc/vllm"},
                ],
            }
        ],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}},
            {"name": "models", "hostPath": {"path": "/data/models/"}},
            {"name": "hub", "hostPath": {"path": "/data/hub"}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "config", "configMap": {"name": "their-config"}},
        ],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "vllm", "imageID": f"vllm/vllm-openai@{DIGEST}"}],
    },
}

SERVICE: Object = {
    "kind": "Service",
    "metadata": {"name": "llm"},
    "spec": {
        "selector": ENGINE_LABELS,
        "clusterIP": "10.96.0.77",
    },
}

NODE: Object = {
    "kind": "Node",
    "metadata": {"name": "box"},
    "status": {"nodeInfo": {"architecture": "arm64"}},
}


@pytest.fixture
def foreign(tmp_path: Path) -> FakeCluster:
    """Somebody's own Pod, started through a shell."""
    argv = [
        *("/usr/bin/python3", "/usr/local/bin/vllm", "serve", "/models/Qwen3.6-35B-A3B"),
        *("--max_model_len=256K", "-tp", "1", "--kv-transfer-config.kv_role", "kv_both"),
        *("--served-model-name", "qwen", "--future-flag", "x", "--enable-auto-tool-choice"),
    ]
    environ = {
        "HF_HUB_OFFLINE": "1",
        "SITE": "attic",
        "HF_TOKEN": "hf-secret",
        "VLLM_API_KEY": "sk-in-clear",
        "VLLM_HOST_IP": "10.42.0.9",
        "OMP_NUM_THREADS": "attic4",
        "VLLM_FROM_IMAGE": "yes",
        "CUDA_VERSION": "13.0",
    }
    write_process(tmp_path, 1, ["bash", "-c", "exec vllm serve"], {})
    write_process(tmp_path, 9, argv, environ)
    return FakeCluster([copy.deepcopy(FOREIGN), SERVICE, NODE], proc=tmp_path)


def engine_drift(taken: TakenOver, cluster: FakeCluster) -> list[Any]:
    """Return what differs of the engine; the chart's objects are not there in a foreign stack."""
    return list(find_drift(taken.recipe, client=cluster, objects=[]).rows)


def test_a_foreign_pod_becomes_a_recipe_without_drift(foreign: FakeCluster) -> None:
    taken = recipe_from_pod(foreign)
    assert engine_drift(taken, foreign) == []
    assert parse_recipe(yaml.safe_load(taken.yaml)) == taken.recipe


def test_a_foreign_pod_s_sections_are_taken_over(foreign: FakeCluster) -> None:
    taken = recipe_from_pod(foreign)
    recipe = taken.recipe
    assert recipe.name == "qwen"
    assert recipe.image is not None
    assert recipe.image.model_dump() == {
        "ref": "vllm/vllm-openai:v0.24.0",
        "digest": DIGEST,
        "vllm_version": "0.24.0",
        "python": None,
        "entrypoint": ("vllm", "serve"),
        "arch": "arm64",
    }
    assert (recipe.model.kind, recipe.model.context) == ("hybrid_gdn", 262144)
    assert recipe.resources.model_dump(exclude_none=True) == {
        "gpu": {"resource": "nvidia.com/gpu", "count": 1, "runtime_class": "nvidia"},
        "cpu": "2",
        "memory": {"request": "8Gi", "limit": "9Gi"},
        "shm": "4Gi",
    }
    assert recipe.storage.model_dump(exclude_none=True) == {
        "hf_cache": {
            "host_path": "/data/hub",
            "mount": "/root/.cache/huggingface",
            "read_only": False,
        },
        "mounts": ({"host_path": "/data/models/q", "mount": "/models", "read_only": True},),
    }
    assert (recipe.lifecycle.grace_s, recipe.lifecycle.startup_budget_s) == (45, 900)
    assert (recipe.security.run_as_user, recipe.security.read_only_root) == (7, True)
    assert recipe.network.cluster_ip == "10.96.0.77"
    assert recipe.parity.ignore_env == ("^VLLM_FROM_IMAGE$", "^VLLM_HOST_IP$")
    notes = "\n".join(taken.notes)
    for told in ("ephemeral-storage", "/claim", "their-config", "privileged", "--future-flag"):
        assert told in notes
        assert told in taken.yaml.partition("schema:")[0]


def test_secrets_become_names_and_are_written_nowhere(foreign: FakeCluster) -> None:
    taken = recipe_from_pod(foreign)
    assert "hf-secret" not in taken.yaml
    assert "sk-in-clear" not in taken.yaml
    env = taken.recipe.env
    assert set(env.set) == {"HF_HUB_OFFLINE", "SITE", "OMP_NUM_THREADS"}
    assert {entry.reason for entry in env.set.values()} == {TAKEN_OVER}
    assert env.set["OMP_NUM_THREADS"].value == "attic4"
    assert env.secret["HF_TOKEN"].model_dump() == {
        "reason": TAKEN_OVER,
        "required": True,
        "secret": "hub",
        "key": "token",
    }
    assert "VLLM_API_KEY" in env.secret


@pytest.mark.parametrize("scheduler", [{"policy": "priority", "classes": {"main": -10}}, HOOKED])
def test_our_own_stack_gives_its_own_recipe_back(tmp_path: Path, scheduler: dict[str, Any]) -> None:
    running = Running(small(scheduler=scheduler), tmp_path)
    taken = recipe_from_pod(running.up())
    assert find_drift(taken.recipe, client=running.cluster).rows == ()
    assert taken.recipe == running.recipe


def test_an_edited_stack_of_ours_gives_the_edited_recipe_with_the_old_reasons(
    tmp_path: Path,
) -> None:
    running = Running(small(), tmp_path)
    running.argv[running.argv.index("8192")] = "4096"
    running.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    taken = recipe_from_pod(running.up(), name="edited")
    assert taken.recipe.name == "edited"
    assert taken.recipe.model.context == 4096
    assert taken.recipe.meta == running.recipe.meta
    reasons = {name: entry.reason for name, entry in taken.recipe.env.set.items()}
    assert reasons["HF_HUB_OFFLINE"] == "no start waits for a hub"
    assert reasons["CUBLAS_WORKSPACE_CONFIG"] == TAKEN_OVER
    assert engine_drift(taken, running.cluster) == []


def test_the_written_file_loads(foreign: FakeCluster, tmp_path: Path) -> None:
    taken = recipe_from_pod(foreign)
    file = tmp_path / f"{taken.recipe.name}.yaml"
    file.write_text(taken.yaml, encoding="utf-8")
    assert load_recipe(file) == taken.recipe


def test_a_pod_whose_vllm_nobody_knows_asks_for_its_version(foreign: FakeCluster) -> None:
    foreign.objects[("Pod", "their-vllm")]["spec"]["containers"][0]["image"] = "mine:latest"
    with pytest.raises(RecipeError, match="nothing tells which vLLM"):
        recipe_from_pod(foreign)
    assert recipe_from_pod(foreign, vllm_version="0.24.0").recipe.vllm_version == "0.24.0"


def test_a_pod_without_the_engine_s_container_is_refused(foreign: FakeCluster) -> None:
    foreign.objects[("Pod", "their-vllm")]["spec"]["containers"][0]["name"] = "main"
    with pytest.raises(ClusterError, match="has no container named vllm"):
        recipe_from_pod(foreign)


def test_a_node_that_may_not_be_read_leaves_a_note(foreign: FakeCluster) -> None:
    foreign.refused.add("Node")
    taken = recipe_from_pod(foreign)
    assert taken.recipe.image is not None
    assert taken.recipe.image.arch == "amd64"
    assert "image.arch is a guess: the node may not be read" in taken.notes


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("vllm/vllm-openai:v0.24.0", "0.24.0"),
        ("host:5000/vllm:0.32.0-cpu@sha256:ab", "0.32.0"),
        ("host:5000/vllm", None),
        ("vllm:nightly", None),
    ],
)
def test_the_version_is_read_from_the_tag(reference: str, version: str | None) -> None:
    assert version_in_tag(reference) == version
