"""Recipes for the real cluster: the CPU engine that is installed on the node, in a Pod."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from autosre_lab.chart.image import this_architecture
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.provision import provision
from autosre_lab.recipe import load_recipe
from tests.cluster.real_images import BASE


def write_recipe(folder: Path, name: str = "smollm2-pod", **changes: Any) -> Path:
    """Write a recipe that runs the provisioned engine and model in a Pod of this node."""
    local = load_recipe("smollm2-135m-cpu")
    provisioned = provision(local)
    engine = provisioned.engine_python.parents[1]
    # The environment's Python is a link to the one that it was made from.
    python = provisioned.engine_python.resolve().parents[1]
    mounts = [engine, provisioned.model_path]
    if python != Path("/usr"):
        mounts.append(python)
    tree: dict[str, Any] = {
        "schema": "autosre.recipe/v1",
        "name": name,
        "extends": ["smollm2-135m-cpu"],
        "meta": {"description": "the CPU engine in a Pod", "notes": None},
        "model": {
            "source": {
                "kind": "local",
                "path": str(provisioned.model_path),
                **dict.fromkeys(("package", "version", "file")),
            }
        },
        "runtime": None,
        "image": {
            "ref": BASE,
            "vllm_version": local.vllm_version,
            "entrypoint": [str(engine / "bin" / "vllm"), "serve"],
            "arch": this_architecture(),
        },
        "resources": {"cpu": "500m", "memory": {"request": "2Gi", "limit": "8Gi"}, "shm": "512Mi"},
        "storage": {
            "mounts": [{"host_path": str(path), "mount": str(path)} for path in mounts],
        },
        "lifecycle": {"startup_budget_s": 900, "grace_s": 10},
        "bench": None,
    }
    for key, value in changes.items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return file


def recipe_that_runs(kube: ApiServerClient, folder: Path) -> Path:
    """Write what the cluster says that it runs to a file of the recipe's name."""
    config = kube.get("ConfigMap", "autosre-recipe")
    assert config is not None
    text = config["data"]["recipe.yaml"]
    file = folder / f"{yaml.safe_load(text)['name']}.yaml"
    file.write_text(text, encoding="utf-8")
    return file
