"""Recipes for tests of the cluster: one for a GPU with unified memory, one for the CPU."""

from __future__ import annotations

from typing import Any

from autosre_lab.recipe import Recipe, parse_recipe

__all__ = ["cpu_recipe", "gpu_recipe"]

REVISION = "0123456789abcdef0123456789abcdef01234567"


def gpu_recipe(**sections: Any) -> Recipe:
    """Like the GB10's, with what a section is replaced by."""
    tree: dict[str, Any] = {
        "schema": "autosre.recipe/v1",
        "name": "gpu",
        "meta": {"description": "for tests"},
        "model": {
            "repo": "nvidia/Qwen3.6-35B-A3B-NVFP4",
            "revision": REVISION,
            "served_names": ["qwen"],
            "context": 32768,
        },
        "image": {"ref": "vllm/vllm-openai:v0.24.0", "vllm_version": "0.24.0", "arch": "arm64"},
        "engine": {"args": {"gpu-memory-utilization": 0.5}},
        "resources": {"gpu": {"runtime_class": "nvidia"}},
        "network": {"cluster_ip": "10.96.0.30"},
        "lifecycle": {"gates": ["gpu", "health", "models", "first_token"]},
    }
    return parse_recipe({**tree, **sections})


def cpu_recipe(**sections: Any) -> Recipe:
    """Without a device."""
    resources = {"cpu": "2", "memory": {"request": "8Gi", "limit": "8Gi"}}
    image = {"ref": "localhost/vllm:1", "vllm_version": "0.24.0", "arch": "amd64"}
    return gpu_recipe(**{"name": "cpu", "resources": resources, "image": image, **sections})
