"""Which node the engine will run on, and whether that node takes it, as the API server tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autosre_lab.cluster.gpu_gate import gpu_holders
from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.quantity import parse_quantity
from autosre_lab.recipe.placement import Gpu
from autosre_lab.stack.preflight import Check, fail, ok, warn

__all__ = [
    "check_device",
    "check_device_free",
    "check_device_plugin",
    "check_images",
    "check_node",
    "check_room",
    "check_runtime_class",
    "rank_nodes",
]

GIB = 2**30

LEAST_PLUGIN = (0, 17, 4)
"""The first device plugin that serves GB10, whose memory the driver does not report."""

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


def rank_nodes(
    nodes: Iterable[Object], selector: Mapping[str, str], gpu: Gpu | None
) -> list[Object]:
    """Return the nodes by how likely the engine's Pod lands there, likeliest first."""

    def misfits(node: Object) -> tuple[bool, bool, bool]:
        labels = node["metadata"].get("labels") or {}
        return (
            any(labels.get(key) != value for key, value in selector.items()),
            gpu is not None and _count(node, gpu.resource) < gpu.count,
            _condition(node, "Ready") != "True" or bool(node["spec"].get("unschedulable")),
        )

    return sorted(nodes, key=misfits)


def check_node(
    node: Object, selector: Mapping[str, str], tolerations: Sequence[Mapping[str, Any]]
) -> Check:
    """Whether the node is up and lets the Pod in."""
    name, said = "node", node["metadata"]["name"]
    labels = node["metadata"].get("labels") or {}
    wrong = [f"{key}={value}" for key, value in selector.items() if labels.get(key) != value]
    if wrong:
        return fail(
            name,
            f"no node has the label {', '.join(wrong)}; {said} has not",
            "use a recipe whose image is built for this machine (image.arch)"
            if set(wrong) <= {f"kubernetes.io/arch={selector.get('kubernetes.io/arch')}"}
            else "label the node that is meant (kubectl label node …), or correct "
            "AUTOSRE_NODE_SELECTOR",
        )
    if _condition(node, "Ready") != "True":
        return fail(name, f"{said} is not ready", f"kubectl describe node {said}")
    if node["spec"].get("unschedulable"):
        return fail(name, f"{said} is cordoned", f"kubectl uncordon {said}")
    if pressures := [kind for kind in _PRESSURES if _condition(node, kind) == "True"]:
        return fail(
            name,
            f"{said} is under {', '.join(pressures)} and evicts Pods",
            "free memory or disk on it (unused images: crictl rmi --prune)",
        )
    if taints := [
        taint
        for taint in node["spec"].get("taints") or []
        if taint["effect"] in ("NoSchedule", "NoExecute") and not _tolerated(taint, tolerations)
    ]:
        words = ", ".join(f"{taint['key']}:{taint['effect']}" for taint in taints)
        return fail(
            name,
            f"{said} has taints that the Pod does not tolerate: {words}",
            "put up with them: AUTOSRE_TOLERATIONS="
            + ",".join(f"{taint['key']}:{taint['effect']}" for taint in taints)
            + "; or take them away: "
            + "; ".join(f"kubectl taint node {said} {taint['key']}-" for taint in taints),
        )
    return ok(name, f"{said} is ready")


def check_runtime_class(gpu: Gpu, runtime_classes: Iterable[Object]) -> Check:
    """Whether the RuntimeClass that shows the GPU to a container is there."""
    name = "runtime class"
    there = [one["metadata"]["name"] for one in runtime_classes]
    if gpu.runtime_class is None:
        if "nvidia" in there:
            return warn(
                name,
                "the cluster has the RuntimeClass nvidia and the recipe does not use it",
                "set resources.gpu.runtime_class: nvidia, unless nvidia is the default runtime",
            )
        return ok(name, "none is asked for")
    if gpu.runtime_class in there:
        return ok(name, gpu.runtime_class)
    return fail(
        name,
        f"there is no RuntimeClass {gpu.runtime_class}",
        "install nvidia-container-toolkit on the node and restart k3s, which then makes it; or "
        f"create a RuntimeClass {gpu.runtime_class} with that handler",
    )


def check_device(gpu: Gpu, node: Object) -> Check:
    """Whether the node offers the device."""
    name, there = "device", _count(node, gpu.resource)
    said = f"{node['metadata']['name']} offers {there} {gpu.resource}"
    labels = node["metadata"].get("labels") or {}
    if there < gpu.count:
        return fail(
            name,
            f"{said}, the recipe needs {gpu.count}",
            "install the NVIDIA device plugin (0.17.4 or later on GB10) with the RuntimeClass "
            "nvidia, or see in its Pod's log why it reports no device",
        )
    sharing = labels.get("nvidia.com/gpu.sharing-strategy", "none")
    if sharing not in ("none", ""):
        return warn(
            name,
            f"{said} by {sharing}, which isolates neither memory nor faults",
            "switch the sharing off in the device plugin's configuration",
        )
    return ok(name, said)


def check_device_free(
    gpu: Gpu, node: Object, pods: Iterable[Object], ours: Mapping[str, str]
) -> Check:
    """Whether others have left the device; our own engine makes room for its successor."""
    others = [pod for pod in pods if not _has_labels(pod, ours)]
    holders = gpu_holders(others, gpu.resource)
    free = _count(node, gpu.resource) - sum(count for _, count in holders)
    if holders and free < gpu.count:
        return warn(
            "device in use",
            f"{gpu.resource} is held by {', '.join(sorted(name for name, _ in holders))}",
            "stop it, or start with --dedicated, which does that and restores it afterwards",
        )
    return ok("device in use", "by nobody else")


def check_device_plugin(pods: Iterable[Object]) -> Check | None:
    """Whether the device plugin is recent enough for GB10; None where its version is not told."""
    images = {
        container["image"]
        for pod in pods
        for container in pod["spec"].get("containers") or []
        if "k8s-device-plugin" in container.get("image", "")
    }
    for image in sorted(images):
        found = re.search(r":v?(\d+)\.(\d+)\.(\d+)", image)
        if found is None:
            continue
        version = tuple(map(int, found.groups()))
        if version < LEAST_PLUGIN:
            return warn(
                "device plugin",
                f"{image} does not know GPUs without memory of their own (GB10)",
                "use 0.17.4 or later",
            )
        return ok("device plugin", image)
    return None


def check_room(
    node: Object, pods: Iterable[Object], wanted: Mapping[str, str], ours: Mapping[str, str]
) -> list[Check]:
    """Whether the node has the processors and the memory that the Pod requests.

    Args:
        node: The node.
        pods: Every Pod on it.
        wanted: Resource to the request of the engine's Pod.
        ours: Labels of the engine's own Pods, which the new one replaces.
    """
    others = [
        pod
        for pod in pods
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        and not _has_labels(pod, ours)
    ]
    return [
        _check_amount(node, others, resource, parse_quantity(wanted[resource]))
        for resource in ("cpu", "memory")
        if resource in wanted
    ]


def _check_amount(node: Object, others: list[Object], resource: str, wanted: float) -> Check:
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    there = parse_quantity(str(allocatable.get(resource, "0")))
    taken = sum(_requested(pod, resource) for pod in others)
    show = _as_gib if resource == "memory" else _as_cores
    said = f"{show(wanted)} are requested; the node has {show(there)}"
    if wanted > there:
        return fail(resource, said, f"lower resources.{resource} in the recipe")
    if wanted > there - taken:
        return warn(
            resource,
            f"{said}, of which other Pods have requested {show(taken)}",
            f"stop some of them, or lower resources.{resource}; until then the Pod is not placed",
        )
    return ok(resource, said)


def check_images(node: Object, images: Iterable[str]) -> list[Check]:
    """Whether the images are on the node already, as far as its status lists them."""
    listed = [
        name
        for image in (node.get("status") or {}).get("images") or []
        for name in image.get("names") or []
    ]
    return [_check_image(image, listed) for image in dict.fromkeys(images)]


def _check_image(image: str, listed: list[str]) -> Check:
    by_digest = image.partition("@")[2]
    known = {_full_name(name) for name in listed}
    if _full_name(image) in known or (by_digest and any(by_digest in name for name in listed)):
        return ok("image", f"{image} is on the node")
    if image.startswith("localhost/"):
        return warn(
            "image",
            f"the node does not list {image}, and no registry has it",
            "import it: autosre image (the proxies'), or k3s ctr images import FILE; a node lists "
            "a new image after some seconds",
        )
    return warn(
        "image",
        f"the node does not list {image}",
        f"pull it beforehand, or the start waits for it: k3s crictl pull {image}",
    )


def _full_name(image: str) -> str:
    """Return a name as containerd writes it."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"


def _has_labels(pod: Object, labels: Mapping[str, str]) -> bool:
    return labels.items() <= (pod["metadata"].get("labels") or {}).items()


def _count(node: Object, resource: str) -> int:
    return int(((node.get("status") or {}).get("allocatable") or {}).get(resource, 0))


def _condition(node: Object, kind: str) -> str:
    for condition in (node.get("status") or {}).get("conditions") or []:
        if condition["type"] == kind:
            return str(condition["status"])
    return "Unknown"


def _tolerated(taint: Object, tolerations: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        one.get("key") in (None, taint["key"])
        and one.get("effect") in (None, "", taint["effect"])
        and (one.get("operator") == "Exists" or one.get("value", "") == taint.get("value", ""))
        for one in tolerations
    )


def _requested(pod: Object, resource: str) -> float:
    total = 0.0
    for container in pod["spec"].get("containers") or []:
        requests = (container.get("resources") or {}).get("requests") or {}
        total += parse_quantity(str(requests.get(resource, "0")))
    return total


def _as_gib(amount: float) -> str:
    return f"{amount / GIB:.1f} GiB of memory"


def _as_cores(amount: float) -> str:
    return f"{amount:g} processors"
