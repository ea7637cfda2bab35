"""Small objects for tests."""

from __future__ import annotations

from typing import Any

from autosre_lab.cluster.kube import Object

__all__ = ["config_map", "deployment", "gpu_pod", "runtime_class", "service", "statefulset"]


def config_map(name: str = "note", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": name}},
        "data": data,
    }


def service(name: str, ip: str | None = None) -> Object:
    spec: dict[str, Any] = {
        "selector": {"app": name},
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
    }
    if ip:
        spec["clusterIP"] = ip
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def deployment(
    name: str = "vllm",
    *,
    replicas: int = 1,
    image: str = "localhost/pause:1",
    gpu: int = 0,
    grace_s: int = 30,
    strategy: str = "Recreate",
    namespace: str | None = None,
    **pod: Any,
) -> Object:
    spec = {
        "replicas": replicas,
        "strategy": {"type": strategy},
        "selector": {"matchLabels": {"app": name}},
        "template": _template(name, image, gpu, grace_s, pod),
    }
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def statefulset(
    name: str, *, replicas: int = 1, gpu: int = 0, namespace: str | None = None
) -> Object:
    spec = {
        "replicas": replicas,
        "serviceName": name,
        "selector": {"matchLabels": {"app": name}},
        "template": _template(name, "localhost/pause:1", gpu, 30, {}),
    }
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def runtime_class(name: str) -> Object:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": name,
    }


def gpu_pod(name: str, *, gpu: int = 1, grace_s: int = 30) -> Object:
    template = _template(name, "localhost/pause:1", gpu, grace_s, {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **template["metadata"]},
        "spec": template["spec"],
    }


def _template(name: str, image: str, gpu: int, grace_s: int, pod: dict[str, Any]) -> Object:
    container: Object = {
        "name": name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sleep", "600"],
    }
    if gpu:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpu)}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": grace_s, **pod}
    return {"metadata": {"labels": {"app": name}}, "spec": spec}
