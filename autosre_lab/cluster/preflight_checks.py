"""What a cluster lacks for a recipe, found before anything is changed.

A finding is never raised: whatever cannot be looked at becomes a finding itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.node_probe import LocalNodeProbe, NodeProbe, is_this_machine
from autosre_lab.cluster.options import chart_options, configured_client
from autosre_lab.cluster.preflight_host import (
    ON_THE_NODE,
    check_disk,
    check_folders,
    check_model,
    check_swap,
)
from autosre_lab.cluster.preflight_network import (
    check_addresses_free,
    check_service_range,
    pinned_addresses,
)
from autosre_lab.cluster.preflight_node import (
    check_device,
    check_device_free,
    check_device_plugin,
    check_images,
    check_node,
    check_room,
    check_runtime_class,
    rank_nodes,
)
from autosre_lab.cluster.preflight_objects import check_owner
from autosre_lab.cluster.release import ENGINE_LABELS
from autosre_lab.errors import AutosreError, ClusterError, KubeError
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.stack.preflight import (
    Check,
    PreflightReport,
    fail,
    ok,
    recipe_checks,
    unknown,
)

__all__ = ["preflight", "target_node"]

Values = Mapping[str, Any]


def preflight(
    recipe: Recipe | str,
    client: KubeClient | None = None,
    node_probe: NodeProbe | None = None,
) -> PreflightReport:
    """Look at everything that a start of the recipe needs; changes nothing, raises for no finding.

    Args:
        recipe: What is to be started; a recipe, its name or its file.
        client: The API server; the one that the settings name by default.
        node_probe: Reads the node's memory; this machine's own where it is the node, by default.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    kube = client or configured_client()
    return PreflightReport(recipe=chosen.name, checks=tuple(_checks(chosen, kube, node_probe)))


def target_node(client: KubeClient, recipe: Recipe) -> Object:
    """Return the node that the engine will run on, or the likeliest one.

    Raises:
        ClusterError: The cluster has no node.
        KubeError: Nodes may not be listed.
    """
    selector = dict(chart_options().node_selector)
    if recipe.image is not None:
        selector["kubernetes.io/arch"] = recipe.image.arch
    nodes = rank_nodes(client.find("Node"), selector, recipe.resources.gpu)
    if not nodes:
        raise ClusterError(
            "the cluster has no node", remedy="see whether k3s runs: systemctl status k3s"
        )
    return nodes[0]


def _checks(recipe: Recipe, client: KubeClient, probe: NodeProbe | None) -> Iterator[Check]:
    yield from recipe_checks(recipe)
    try:
        yield ok("API server", client.version())
    except KubeError as error:
        yield fail("API server", error.message, error.remedy)
        return
    try:
        values = helm_values(recipe, chart_options(client, recipe))
    except AutosreError as error:
        yield fail("chart", error.message, error.remedy)
        return
    yield from _guarded("names", lambda: _owner(client, values))
    yield from _guarded("addresses", lambda: _network(client, values))
    yield from _guarded("secrets", lambda: _secrets(recipe, client))
    try:
        node = target_node(client, recipe)
    except KubeError as error:
        yield unknown("node", error.message, error.remedy)
        return
    except ClusterError as error:
        yield fail("node", error.message, error.remedy)
        return
    yield from _guarded("node", lambda: _node(recipe, client, node, values))
    yield from _guarded("host", lambda: _host(recipe, node, values, probe))


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield what is found; what ends the look becomes the last finding."""
    try:
        yield from look()
    except AutosreError as error:
        yield unknown(name, error.message, error.remedy)
    except OSError as error:
        yield unknown(name, f"{error.filename or name}: {error.strerror}", "make it readable")


def _owner(client: KubeClient, values: Values) -> Iterator[Check]:
    yield check_owner(client, render(values, namespace=client.namespace))


def _network(client: KubeClient, values: Values) -> Iterator[Check]:
    addresses = pinned_addresses(values)
    try:
        ranges = client.find("ServiceCIDR")
    except KubeError:  # before 1.33, or not for everybody to read
        ranges = None
    kubernetes = client.get("Service", "kubernetes", namespace="default")
    yield check_service_range(addresses, ranges, kubernetes)
    services = client.find("Service", everywhere=True)
    yield check_addresses_free(addresses, services, client.namespace)


def _secrets(recipe: Recipe, client: KubeClient) -> Iterator[Check]:
    for variable, secret in recipe.env.secret.items():
        if not secret.required:
            continue
        if secret.secret is None or secret.key is None:
            remedy = f"write env.secret.{variable}.secret and .key"
            yield fail("secret", f"the recipe names no Secret for {variable}", remedy)
            continue
        live = client.get("Secret", secret.secret)
        where = f"{client.namespace}/{secret.secret}"
        if secret.key in ((live or {}).get("data") or {}):
            yield ok("secret", f"{where} has {secret.key}")
        else:
            yield fail(
                "secret",
                f"{variable} needs the key {secret.key} of the Secret {where}, which is not there",
                f"kubectl create secret generic {secret.secret} --namespace {client.namespace} "
                f"--from-literal={secret.key}=…",
            )


def _node(recipe: Recipe, client: KubeClient, node: Object, values: Values) -> Iterator[Check]:
    yield check_node(node, values.get("nodeSelector") or {}, values.get("tolerations") or [])
    gpu = recipe.resources.gpu
    if gpu is not None:
        yield check_runtime_class(gpu, client.find("RuntimeClass"))
        yield check_device(gpu, node)
    pods = client.find("Pod", fields={"spec.nodeName": node["metadata"]["name"]}, everywhere=True)
    if gpu is not None:
        yield check_device_free(gpu, node, pods, ENGINE_LABELS)
        if (plugin := check_device_plugin(pods)) is not None:
            yield plugin
    requests = (values["vllm"].get("resources") or {}).get("requests") or {}
    yield from check_room(node, pods, requests, ENGINE_LABELS)
    sections = (values["vllm"], values["proxy"])
    yield from check_images(node, [section["image"] for section in sections])


def _host(recipe: Recipe, node: Object, values: Values, probe: NodeProbe | None) -> Iterator[Check]:
    here = is_this_machine(node)
    if recipe.resources.gpu is not None:
        if probe is not None or here:
            yield check_swap(probe or LocalNodeProbe())
        else:
            yield unknown("swap", "the node is another machine", ON_THE_NODE)
    if not here:
        yield unknown("model", "the node is another machine", ON_THE_NODE)
        return
    yield from check_folders(values)
    model = check_model(recipe, values)
    yield model
    yield from check_disk(recipe, values, model)
