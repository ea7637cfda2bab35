"""Recipes that are rendered here: the production one, and one that uses every key of a Pod."""

from __future__ import annotations

from typing import Any

from autosre_lab.recipe import Recipe, load_recipe, parse_recipe

EVERYTHING: dict[str, Any] = {
    "schema": "autosre.recipe/v1",
    "name": "everything",
    "meta": {"description": "every key that a Pod can have"},
    "model": {
        "repo": "acme/model",
        "source": {"kind": "local", "path": "/weights"},
        "served_names": ["one", "two"],
        "context": 4096,
    },
    "image": {
        "ref": "registry.example/vllm:1",
        "digest": "sha256:" + "ab" * 32,
        "vllm_version": "0.32.0",
        "entrypoint": ["/opt/venv/bin/vllm", "serve"],
        "arch": "amd64",
    },
    "engine": {"args": {"enforce-eager": True}},
    "env": {
        "set": {"HF_HUB_OFFLINE": {"value": "0", "reason": "fetches"}},
        "secret": {
            "HF_TOKEN": {"reason": "gated", "required": True, "secret": "hub", "key": "token"},
            "OTHER": {"reason": "optional"},
        },
    },
    "scheduler": {"policy": "priority", "preemption": {"mode": "hook"}},
    "resources": {
        "gpu": {"resource": "nvidia.com/gpu", "count": 2, "runtime_class": "nvidia"},
        "cpu": "4",
        "memory": {"request": "8Gi", "limit": "16Gi"},
        "shm": "1Gi",
    },
    "storage": {
        "hf_cache": {"host_path": "/data/hf", "mount": "/root/.cache/huggingface"},
        "compile_cache": {"host_path": "/data/compiled", "mount": "/home/u/.cache"},
        "mounts": [{"host_path": "/weights", "mount": "/weights"}],
    },
    "security": {"run_as_user": 1000, "run_as_group": 1000, "read_only_root": True},
    "network": {"port": 9000, "cluster_ip": "10.96.0.99"},
    "lifecycle": {"startup_budget_s": 601, "grace_s": 33},
}


def production() -> Recipe:
    return load_recipe("qwen3.6-35b-a3b-nvfp4")


def everything(**changes: Any) -> Recipe:
    return parse_recipe({**EVERYTHING, **changes})
