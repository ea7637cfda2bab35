"""A stack that runs exactly what its recipe says, as an API server and a kernel would tell it."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

from autosre_lab.chart import helm_values, render
from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.release import ENGINE
from autosre_lab.preemption import HOOK_FOLDER, HOOK_MODULE, STATUS_FILE, hook_sha256, hook_text
from autosre_lab.recipe import Recipe, parse_recipe
from tests.parity.fake_cluster import FakeCluster, write_process

DIGEST = "sha256:" + "ab" * 32

RECIPE: dict[str, Any] = {
    "schema": "autosre.recipe/v1",
    "name": "small",
    "meta": {"description": "a recipe with a Pod"},
    "model": {
        "repo": "acme/Model-3.6",
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "served_names": ["small", "also"],
        "context": 8192,
    },
    "image": {
        "ref": "registry.example/vllm:v0.32.0",
        "digest": DIGEST,
        "vllm_version": "0.32.0",
        "python": "3.12",
        "arch": "amd64",
    },
    "engine": {
        "args": {
            "enable-prefix-caching": True,
            "gpu-memory-utilization": 0.4,
            "tool-call-parser": "hermes",
            "speculative-config": {"method": "ngram", "num_speculative_tokens": 3},
        },
        "extra_args": [{"argv": ["--flag-of-tomorrow", "1"], "reason": "tried out"}],
    },
    "env": {
        "set": {
            "HF_HUB_OFFLINE": {"value": "1", "reason": "no start waits for a hub"},
            "CUBLAS_WORKSPACE_CONFIG": {"value": ":4096:8", "reason": "cuBLAS errors in bursts"},
            "MINE": {"value": "x", "reason": "an entry point reads it"},
        },
        "secret": {
            "HF_TOKEN": {"reason": "gated", "required": True, "secret": "hub", "key": "token"}
        },
        "unset": ["VLLM_PORT"],
    },
    "scheduler": {"policy": "priority", "classes": {"main": -10}},
    "latency": {"max_step_tokens": 2048},
    "resources": {
        "gpu": {"resource": "nvidia.com/gpu", "count": 1, "runtime_class": "nvidia"},
        "cpu": "4",
        "memory": {"request": "8Gi", "limit": "16Gi"},
        "shm": "1Gi",
    },
    "storage": {
        "hf_cache": {"host_path": "/data/hf", "mount": "/root/.cache/huggingface"},
        "compile_cache": {"host_path": "/data/compiled", "mount": "/home/u/.cache"},
        "mounts": [{"host_path": "/weights", "mount": "/weights"}],
    },
    "security": {"run_as_user": 1000, "run_as_group": 1000},
    "network": {"port": 9000, "cluster_ip": "10.96.0.99"},
    "lifecycle": {"startup_budget_s": 600, "grace_s": 33},
}

HOOKED = {
    "policy": "priority",
    "preemption": {"mode": "hook", "options": {"max_preemptions": 4}},
}


def small(**changes: Any) -> Recipe:
    return parse_recipe({**copy.deepcopy(RECIPE), **changes})


@functools.cache
def _rendered(recipe: str) -> str:
    return json.dumps(render(helm_values(parse_recipe(json.loads(recipe))), namespace="autosre"))


class Running:
    """A deployed recipe whose parts a test can edit.

    Attributes:
        cluster: The API server.
        objects: What the chart rendered.
        argv: Of the API server process.
        environ: Of the API server process.
        root: The container's file system.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self.objects: list[Object] = json.loads(_rendered(recipe.model_dump_json(by_alias=True)))
        self.deployment = next(
            one for one in self.objects if (one["kind"], _name(one)) == ("Deployment", ENGINE)
        )
        self.container: Object = self.deployment["spec"]["template"]["spec"]["containers"][0]
        self.argv = ["/usr/bin/python3.12", "/usr/local/bin/vllm", *self.container["command"][1:]]
        self.environ = {
            "PATH": "/usr/bin",
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "VLLM_USAGE_SOURCE": "production-docker-image",
        }
        for entry in self.container.get("env") or ():
            self.environ[entry["name"]] = str(entry.get("value", "very-secret"))
        self.proc, self.root = folder / "proc", folder / "root"
        if recipe.scheduler.preemption.mode == "hook":
            self.write(f"{HOOK_FOLDER}/{HOOK_MODULE}.py", hook_text())
            self.write(STATUS_FILE, json.dumps({"status": "active", "sha256": hook_sha256()}))
        self.cluster = FakeCluster(self.objects, proc=self.proc, root=self.root)
        self.pod = self._pod()
        for one in (self.pod, self._replica_set(), _node()):
            self.put(one)

    def put(self, obj: Object) -> None:
        """Let the API server have an object."""
        self.cluster.objects[(obj["kind"], _name(obj))] = obj

    def live(self, kind: str, name: str) -> Object:
        """Return the API server's own copy, to be edited."""
        return self.cluster.objects[(kind, name)]

    def write(self, path: str, text: str) -> None:
        """Write a file in the container."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def up(self) -> FakeCluster:
        """Start the processes, as they now are, and return the API server."""
        write_process(self.proc, 1, ["tini", "--", *self.argv], {})
        write_process(self.proc, 8, self.argv, self.environ)
        return self.cluster

    def _pod(self) -> Object:
        template = copy.deepcopy(self.deployment["spec"]["template"])
        metadata = template["metadata"]
        metadata |= {"name": "vllm-1-a", "creationTimestamp": "2026-01-01T00:00:00Z"}
        metadata["labels"]["pod-template-hash"] = "1"
        template["spec"]["nodeName"] = "box"
        digest = f"{self.container['image'].partition(':')[0]}@{DIGEST}"
        status = {"name": "vllm", "imageID": digest}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            **template,
            "status": {"phase": "Running", "containerStatuses": [status]},
        }

    def _replica_set(self) -> Object:
        labels = dict(self.deployment["spec"]["template"]["metadata"]["labels"])
        return {
            "kind": "ReplicaSet",
            "metadata": {
                "name": "vllm-1",
                "labels": labels | {"pod-template-hash": "1"},
                "annotations": {"deployment.kubernetes.io/revision": "1"},
                "ownerReferences": [{"kind": "Deployment", "name": ENGINE}],
            },
        }


def _node() -> Object:
    return {
        "kind": "Node",
        "metadata": {"name": "box"},
        "status": {"nodeInfo": {"architecture": "arm64"}},
    }


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])
