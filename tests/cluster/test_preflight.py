"""Preflight names what a cluster lacks for a recipe, and the fix, and raises for nothing."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.chart import invalid_objects
from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.cluster import preflight_checks
from autosre_lab.cluster.preflight_checks import preflight, target_node
from autosre_lab.cluster.release import ENGINE
from autosre_lab.errors import ClusterError, KubeError
from autosre_lab.recipe import Recipe
from autosre_lab.stack.preflight import Check, PreflightReport
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.objects import deployment, runtime_class, service
from tests.cluster.recipes import REVISION, cpu_recipe, gpu_recipe
from tests.cluster.test_gpu_gate import Probe, meminfo


def fit(**options: Any) -> FakeKube:
    """A cluster on which the GPU recipe can start."""
    cluster = FakeCluster(**options)
    kube = FakeKube(cluster)
    kube.create(runtime_class("nvidia"))
    change_node(kube, labels={"kubernetes.io/arch": "arm64"})
    return kube


def change_node(
    kube: FakeKube,
    *,
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    condition: tuple[str, str] | None = None,
) -> None:
    (node,) = copy.deepcopy(kube.cluster.all("Node"))
    node["metadata"]["labels"].update(labels or {})
    node["spec"].update(spec or {})
    node["status"].update(status or {})
    for one in node["status"]["conditions"]:
        if condition is not None and one["type"] == condition[0]:
            one["status"] = condition[1]
    kube.cluster.put(node)


def look(kube: FakeKube, recipe: Recipe | None = None, **options: Any) -> PreflightReport:
    return preflight(recipe or gpu_recipe(), kube, **options)


def found(report: PreflightReport, name: str) -> Check:
    checks = [check for check in report.checks if check.name == name]
    assert checks, report.as_text()
    return checks[0]


def test_a_cluster_that_is_fit_passes() -> None:
    report = look(fit())
    assert report.passed, report.as_text()
    states = {check.name: check.state for check in report.checks}
    assert states["API server"] == states["service range"] == states["device"] == "ok"
    assert states["model"] == "unknown"  # the node is another machine
    told = report.as_dict()
    assert told["passed"] is True
    assert json.loads(json.dumps(told)) == told
    assert "✓ API server" in str(report)


def test_every_finding_that_is_not_in_order_has_a_remedy() -> None:
    kube = fit(allocatable={"cpu": "2"}, service_cidr="10.43.0.0/16")
    change_node(kube, condition=("Ready", "False"))
    report = look(kube)
    bad = [check for check in report.checks if check.state != "ok"]
    assert len(bad) >= 4
    assert all(check.remedy for check in bad)
    assert not report.passed


def test_a_server_that_does_not_answer_is_the_last_finding() -> None:
    kube = fit()
    silent = KubeError("no answer", remedy="start it", status=0)
    kube.cluster.refuse = lambda *_: silent
    checks = [one for one in look(kube).checks if not one.name.startswith("recipe")]
    assert [(one.name, one.state, one.remedy) for one in checks] == [
        ("API server", "fail", "start it")
    ]


def test_k3s_own_service_range_does_not_hold_the_addresses() -> None:
    check = found(
        look(fit(service_cidr="10.43.0.0/16", unknown_kinds=["ServiceCIDR"])), "service range"
    )
    assert check.state == "fail"
    assert "10.43.0.0" in check.message
    assert "autosre-vllm-local 10.96.0.30" in check.message
    assert "--service-cidr" in check.remedy


def test_from_1_33_on_another_range_is_opened_without_a_reinstall() -> None:
    kube = fit(service_cidr="10.43.0.0/16")
    cidr = {"kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}}
    kube.cluster.add({**cidr, "spec": {"cidrs": ["10.43.0.0/16"]}})
    check = found(look(kube), "service range")
    assert check.state == "fail"
    assert "kubectl apply" in check.remedy
    text = check.remedy.partition("echo '")[2].partition("'")[0]
    opened = json.loads(text)
    assert (opened["kind"], opened["spec"]) == ("ServiceCIDR", {"cidrs": ["10.96.0.0/24"]})
    assert invalid_objects([opened]) == []
    kube.cluster.add(opened)
    assert found(look(kube), "service range").state == "ok"


def test_a_range_that_the_server_tells_is_believed() -> None:
    kube = fit(service_cidr="10.96.0.0/16")
    cidr = {"kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}}
    kube.cluster.add({**cidr, "spec": {"cidrs": ["10.96.0.0/28", "fd00::/108"]}})
    check = found(look(kube), "service range")
    assert check.state == "fail"
    assert "10.96.0.0/28 does not hold" in check.message


def test_addresses_far_from_the_range_s_beginning_cannot_be_judged_without_being_told() -> None:
    kube = fit(unknown_kinds=["ServiceCIDR"])
    recipe = gpu_recipe(network={"cluster_ip": "10.111.0.30"})
    assert found(look(kube, recipe), "service range").state == "unknown"


def test_an_address_of_somebody_else_s_service_is_named_and_our_own_is_not() -> None:
    kube = fit()
    kube.create(service(ENGINE, "10.96.0.30"))
    assert found(look(kube), "addresses").state == "ok"
    kube.create(service("other", "10.96.0.31"), namespace="default")
    check = found(look(kube), "addresses")
    assert check.state == "fail"
    assert check.message == "10.96.0.31 (for autosre-proxy) is default/other's"


def test_a_missing_runtime_class_fails_and_an_unused_one_is_warned_about() -> None:
    kube = fit()
    kube.delete("RuntimeClass", "nvidia")
    check = found(look(kube), "runtime class")
    assert (check.state, check.message) == ("fail", "there is no RuntimeClass nvidia")
    unused = gpu_recipe(resources={"gpu": {}})
    assert found(look(fit(), unused), "runtime class").state == "warn"


def test_a_node_without_the_device_fails_with_the_plugin_as_remedy() -> None:
    check = found(look(fit(allocatable={"cpu": "2"})), "device")
    assert check.state == "fail"
    assert "0.17.4" in check.remedy


def test_a_device_that_others_hold_is_warned_about_and_our_own_engine_is_not() -> None:
    kube = fit()
    labels = {"app.kubernetes.io/name": "autosre", "app.kubernetes.io/component": "vllm-local"}
    ours = deployment("vllm", gpu=1)
    ours["spec"]["template"]["metadata"]["labels"].update(labels)
    kube.apply(ours)
    kube.cluster.advance(3)
    assert found(look(kube), "device in use").state == "ok"
    kube.delete("Deployment", "vllm")
    kube.cluster.advance(5)
    kube.apply(deployment("notebook", gpu=1))
    kube.cluster.advance(3)
    check = found(look(kube), "device in use")
    assert check.state == "warn"
    assert "held by autosre/notebook-" in check.message
    assert "--dedicated" in check.remedy


def test_a_shared_device_is_warned_about() -> None:
    kube = fit()
    change_node(kube, labels={"nvidia.com/gpu.sharing-strategy": "time-slicing"})
    assert found(look(kube), "device").state == "warn"


@pytest.mark.parametrize(("version", "state"), [("v0.17.0", "warn"), ("v0.17.4", "ok")])
def test_an_old_device_plugin_is_warned_about(version: str, state: str) -> None:
    kube = fit()
    kube.apply(deployment("plugin", image=f"nvcr.io/nvidia/k8s-device-plugin:{version}"))
    kube.cluster.advance(3)
    assert found(look(kube), "device plugin").state == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"condition": ("Ready", "False")}, "is not ready"),
        ({"condition": ("MemoryPressure", "True")}, "MemoryPressure"),
        ({"spec": {"unschedulable": True}}, "cordoned"),
        ({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}, "gpu:NoSchedule"),
        ({"labels": {"kubernetes.io/arch": "amd64"}}, "kubernetes.io/arch=arm64"),
    ],
)
def test_a_node_that_takes_no_pod_fails(change: dict[str, Any], message: str) -> None:
    kube = fit()
    change_node(kube, **change)
    check = found(look(kube), "node")
    assert check.state == "fail"
    assert message in check.message


def test_memory_that_the_node_has_not_fails_and_that_others_requested_is_warned_about() -> None:
    kube = fit()
    recipe = cpu_recipe(
        image={"ref": "localhost/vllm:1", "vllm_version": "0.24.0", "arch": "arm64"},
        resources={"cpu": "2", "memory": {"request": "100Gi"}},
    )
    assert found(look(kube, recipe), "memory").state == "ok"
    other = deployment("other")
    other["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "requests": {"memory": "50Gi"}
    }
    kube.apply(other)
    kube.cluster.advance(3)
    assert found(look(kube, recipe), "memory").state == "warn"
    change_node(kube, status={"allocatable": {"cpu": "1", "memory": "8Gi"}})
    report = look(kube, recipe)
    assert found(report, "memory").state == "fail"
    assert found(report, "cpu").state == "fail"


def test_images_are_known_by_their_full_names_and_missing_ones_are_warned_about() -> None:
    kube = fit()
    report = look(kube)
    images = [check for check in report.checks if check.name == "image"]
    assert [check.state for check in images] == ["warn", "warn"]
    assert "crictl pull" in images[0].remedy
    assert "autosre image" in images[1].remedy
    names = ["docker.io/vllm/vllm-openai:v0.24.0", "localhost/autosre-proxy:0.1.0"]
    proxy = helm_values(gpu_recipe())["proxy"]["image"]
    change_node(kube, status={"images": [{"names": [*names, proxy]}]})
    images = [check for check in look(kube).checks if check.name == "image"]
    assert [check.state for check in images] == ["ok", "ok"]


def test_a_required_secret_must_be_there_with_its_key() -> None:
    secret = {"HF_TOKEN": {"reason": "gated", "required": True, "secret": "hub", "key": "token"}}
    recipe = gpu_recipe(env={"secret": secret})
    kube = fit()
    check = found(look(kube, recipe), "secret")
    assert check.state == "fail"
    assert "kubectl create secret generic hub" in check.remedy
    hub = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hub"},
        "data": {"token": "eA=="},
    }
    kube.create(hub)
    assert found(look(kube, recipe), "secret").state == "ok"


def test_what_may_not_be_read_is_unknown_and_the_rest_is_looked_at() -> None:
    kube = fit()
    denied = KubeError("services is forbidden", remedy="ask", status=403)
    kube.cluster.refuse = lambda _, kind, __: denied if kind == "Service" else None
    report = look(kube)
    assert found(report, "addresses").state == "unknown"
    assert found(report, "device").state == "ok"


def test_a_recipe_that_has_no_image_is_a_finding() -> None:
    runtime = {"device": "cuda", "distribution": "vllm", "version": "0.24.0"}
    report = look(fit(), gpu_recipe(image=None, runtime=runtime))
    assert found(report, "chart").state == "fail"


def test_swap_is_read_through_the_probe() -> None:
    swapping = meminfo(100).replace("SwapTotal: 0", "SwapTotal: 8388608")
    check = found(look(fit(), node_probe=Probe([swapping])), "swap")
    assert check.state == "warn"
    assert "8.0 GiB of swap" in check.message
    assert found(look(fit(), node_probe=Probe([meminfo(9)])), "swap").state == "ok"
    assert found(look(fit(), node_probe=Probe([None])), "swap").state == "unknown"


def test_the_engine_s_node_is_one_that_fits() -> None:
    kube = fit()
    (gb10,) = kube.cluster.all("Node")
    plain = copy.deepcopy(gb10)
    plain["metadata"] = {"name": "a-plain-one", "labels": {"kubernetes.io/arch": "amd64"}}
    plain["status"]["allocatable"].pop("nvidia.com/gpu")
    kube.cluster.add(plain)
    assert target_node(kube, gpu_recipe())["metadata"]["name"] == "gb10"
    assert target_node(kube, cpu_recipe())["metadata"]["name"] == "a-plain-one"


def test_a_cluster_without_a_node_is_told() -> None:
    kube = fit()
    kube.delete("Node", "gb10")
    with pytest.raises(ClusterError, match="no node"):
        target_node(kube, gpu_recipe())
    assert found(look(kube), "node").state == "fail"


# -- the node's own files, where this machine is the node ---------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache on a node that is this machine, with a complete snapshot."""
    monkeypatch.setattr(preflight_checks, "is_this_machine", lambda _: True)
    model = tmp_path / "hub" / "models--nvidia--Qwen3.6-35B-A3B-NVFP4"
    snapshot = model / "snapshots" / REVISION
    blobs = model / "blobs"
    for folder in (snapshot, blobs, model / "refs"):
        folder.mkdir(parents=True)
    (model / "refs" / "main").write_text(REVISION, encoding="utf-8")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    contents = {
        "config.json": "{}",
        "tokenizer.json": "{}",
        "model.safetensors.index.json": json.dumps(index),
        "one.safetensors": "1" * 1000,
        "two.safetensors": "2" * 1000,
    }
    for name, text in contents.items():
        (blobs / name).write_text(text, encoding="utf-8")
        (snapshot / name).symlink_to(Path("..", "..", "blobs", name))
    return tmp_path


def cached(cache: Path, *, offline: bool = True, **model: Any) -> Recipe:
    """The recipe that serves from that cache."""
    value = {"value": "1" if offline else "0", "reason": "boot race"}
    hub = {"value": "/cache/hub", "reason": "mounted"}
    return gpu_recipe(
        model={
            "repo": "nvidia/Qwen3.6-35B-A3B-NVFP4",
            "served_names": ["qwen"],
            "context": 32768,
            "weights_bytes": 2000,
            **model,
        },
        env={"set": {"HF_HUB_OFFLINE": value, "HF_HUB_CACHE": hub}},
        storage={
            "hf_cache": {"host_path": str(cache), "mount": "/cache"},
            "compile_cache": {"host_path": str(cache / "kernels"), "mount": "/root/.cache"},
        },
    )


def snapshot_of(cache: Path) -> Path:
    return cache / "hub" / "models--nvidia--Qwen3.6-35B-A3B-NVFP4" / "snapshots" / REVISION


def model_check(recipe: Recipe) -> Check:
    return found(look(fit(), recipe), "model")


def test_a_complete_snapshot_is_in_order_pinned_or_by_its_main_branch(cache: Path) -> None:
    assert model_check(cached(cache, revision=REVISION)).state == "ok"
    assert model_check(cached(cache)).state == "ok"
    disk = found(look(fit(), cached(cache)), "disk")
    assert str(cache / "kernels") in disk.message


def test_another_revision_than_the_pinned_one_is_not_enough(cache: Path) -> None:
    check = model_check(cached(cache, revision="f" * 40))
    assert check.state == "fail"
    assert f"not in revision {'f' * 12} (there: {REVISION[:12]})" in check.message
    assert f"--revision {'f' * 40}" in check.remedy


def test_what_is_missing_fails_offline_and_is_downloaded_otherwise(cache: Path) -> None:
    other: dict[str, Any] = {"repo": "org/other"}
    assert model_check(cached(cache, **other)).state == "fail"
    check = model_check(cached(cache, offline=False, **other))
    assert check.state == "warn"
    assert "the start downloads it" in check.message


def test_a_file_whose_content_is_missing_is_named(cache: Path) -> None:
    (snapshot_of(cache).parents[1] / "blobs" / "two.safetensors").unlink()
    check = model_check(cached(cache))
    assert check.state == "fail"
    assert "two.safetensors" in check.message


def test_a_weight_file_that_only_the_index_knows_is_named(cache: Path) -> None:
    (snapshot_of(cache) / "two.safetensors").unlink()
    check = model_check(cached(cache))
    assert check.state == "fail"
    assert "two.safetensors" in check.message


def test_weights_that_are_much_smaller_than_stated_are_not_complete(cache: Path) -> None:
    assert model_check(cached(cache, weights_bytes=4000)).state == "fail"


def test_a_cache_without_a_main_branch_needs_a_pinned_revision(cache: Path) -> None:
    (snapshot_of(cache).parents[1] / "refs" / "main").unlink()
    assert "no refs/main" in model_check(cached(cache)).message
    assert model_check(cached(cache, revision=REVISION)).state == "ok"


def test_a_folder_that_is_mounted_and_not_there_fails(cache: Path) -> None:
    recipe = cached(cache / "elsewhere")
    check = found(look(fit(), recipe), "folder")
    assert check.state == "fail"
    assert str(cache / "elsewhere") in check.message


def test_a_local_model_must_lie_in_a_folder_that_the_pod_sees(cache: Path) -> None:
    local: dict[str, Any] = {"source": {"kind": "local", "path": "/elsewhere/model"}}
    assert "in no folder that the Pod sees" in model_check(cached(cache, **local)).message
    inside = f"/cache/hub/models--nvidia--Qwen3.6-35B-A3B-NVFP4/snapshots/{REVISION}"
    assert model_check(cached(cache, source={"kind": "local", "path": inside})).state == "ok"


def test_a_full_disk_is_warned_about(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 2**20})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    check = found(look(fit(), cached(cache)), "disk")
    assert check.state == "warn"
    assert "0.0 GiB free" in check.message
