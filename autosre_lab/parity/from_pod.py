"""A recipe out of a running Pod, complete enough that nothing of the engine drifts from it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import AutosreError, ClusterError, RecipeError
from autosre_lab.parity.drift import engine_rows
from autosre_lab.parity.from_process import draft_from_process
from autosre_lab.parity.live import ENGINE_CONTAINER, LiveEngine, find_engine_pod, read_pod
from autosre_lab.parity.pod_sections import add_pod_sections, version_in_tag
from autosre_lab.recipe import Recipe, parse_recipe, recipe_yaml

__all__ = ["TakenOver", "recipe_from_pod"]

_RECIPE_OBJECT = "autosre-recipe"
_RECIPE_KEY = "recipe.yaml"
# What neither a process nor a Pod can tell, and the recipe that it was started from can.
_KEPT = ("name", "meta", "claude", "bench", "verified", "runtime", "parity")


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A recipe that was made from what runs.

    Attributes:
        recipe: The recipe.
        yaml: The same as text, with the notes as comments on top.
        notes: What a person should know or decide.
    """

    recipe: Recipe
    yaml: str
    notes: tuple[str, ...]


def recipe_from_pod(
    client: KubeClient,
    pod: str | None = None,
    *,
    name: str | None = None,
    context: int | None = None,
    vllm_version: str | None = None,
) -> TakenOver:
    """Return a recipe that runs what a Pod runs. Nothing is changed, and no secret is read.

    Reasons that nobody has written down say so. Where the Pod was started by this project, it is
    the very recipe it was started from, or, if somebody has changed the engine since, what that
    recipe says besides (name, description, reasons) is kept.

    Args:
        client: The cluster to look in.
        pod: The engine's Pod; absent: the running one.
        name: The recipe's name; absent: that of the recipe it was started from, or made from the
            served name.
        context: The window, where the command line does not say it.
        vllm_version: What runs, where neither the installation nor the image's tag tells.

    Raises:
        KubeError: The API server refused.
        ClusterError: There is no such Pod, or it cannot be read.
        RecipeError: No recipe can say what runs.
    """
    found = find_engine_pod(client, pod)
    container = _container(found)
    secrets = [
        entry["name"]
        for entry in container.get("env") or ()
        if (entry.get("valueFrom") or {}).get("secretKeyRef")
    ]
    live = read_pod(client, str(found["metadata"]["name"]), secrets=secrets)
    before = _started_from(client)
    if before is not None and not engine_rows(parse_recipe(before), live):
        recipe = parse_recipe({**before, "name": name or before["name"]})
        return TakenOver(recipe, _text(recipe, live, []), ())
    version = vllm_version or live.process.vllm_version or version_in_tag(str(container["image"]))
    if version is None:
        raise RecipeError(
            f"nothing tells which vLLM runs in Pod {live.pod_name} ({container['image']})",
            remedy="give it as `vllm_version`",
        )
    version = version.partition("+")[0]
    draft = draft_from_process(
        live.process.argv,
        live.process.environ or {},
        vllm_version=version,
        context=context,
        secrets=secrets,
    )
    hooked = "preemption" in draft.tree.get("scheduler", {})
    add_pod_sections(draft, found, container, image_id=live.image_id, hooked=hooked)
    tree, notes = draft.tree, draft.notes
    if live.process.environ is None:
        notes.append("the environment could not be read: env is what the Pod declares")
    tree["image"] |= {"vllm_version": version, "arch": _architecture(client, found, notes)}
    if live.process.python_version:
        tree["image"]["python"] = live.process.python_version
    if (address := _address(client, found)) is not None:
        tree.setdefault("network", {})["cluster_ip"] = address
    tree["meta"]["description"] = f"{tree['model']['repo']}, taken over from a running Pod"
    _keep(tree, before)
    tree["name"] = name or tree["name"]
    recipe = parse_recipe(tree, where=f"Pod {live.pod_name}")
    return TakenOver(recipe, _text(recipe, live, notes), tuple(notes))


def _container(pod: Object) -> Object:
    for container in pod["spec"]["containers"]:
        if container["name"] == ENGINE_CONTAINER:
            found: Object = container
            return found
    raise ClusterError(
        f"Pod {pod['metadata']['name']} has no container named {ENGINE_CONTAINER}",
        remedy="name the Pod of the engine",
    )


def _architecture(client: KubeClient, pod: Object, notes: list[str]) -> str:
    selector = pod["spec"].get("nodeSelector") or {}
    if found := selector.get("kubernetes.io/arch"):
        return str(found)
    try:
        node = client.get("Node", str(pod["spec"].get("nodeName")))
    except AutosreError:
        node = None
    if node is not None:
        return str(node["status"]["nodeInfo"]["architecture"])
    notes.append("image.arch is a guess: the node may not be read")
    return "amd64"


def _address(client: KubeClient, pod: Object) -> str | None:
    """Return the fixed address of the Service in front of the Pod."""
    labels = pod["metadata"].get("labels") or {}
    for service in client.find("Service"):
        selector = service["spec"].get("selector") or {}
        address = service["spec"].get("clusterIP")
        if selector and selector.items() <= labels.items() and address not in (None, "", "None"):
            return str(address)
    return None


def _started_from(client: KubeClient) -> dict[str, Any] | None:
    """Return the recipe that the stack was started from, where this project started it."""
    config = client.get("ConfigMap", _RECIPE_OBJECT)
    text = ((config or {}).get("data") or {}).get(_RECIPE_KEY)
    if text is None:
        return None
    try:
        tree = yaml.safe_load(text)
        parse_recipe(tree)
    except (yaml.YAMLError, RecipeError):
        return None
    return dict(tree)


def _keep(tree: dict[str, Any], before: Mapping[str, Any] | None) -> None:
    """Keep what no process can tell, as far as it still holds."""
    if before is None:
        return
    tree.update({key: before[key] for key in _KEPT if key in before and key != "parity"})
    parity = before.get("parity") or {}
    if parity:
        ignored = [*parity.get("ignore_env", ()), *tree.get("parity", {}).get("ignore_env", ())]
        tree["parity"] = {**parity, "ignore_env": list(dict.fromkeys(ignored))}
    runtime = tree.get("runtime") or {}
    if runtime.get("version") != tree["image"]["vllm_version"]:
        tree.pop("runtime", None)
    model, earlier = tree["model"], before["model"]
    for key in ("repo", "source", "revision", "kind", "quant", "weights_bytes"):
        if key in earlier and _argument(model) == _argument(earlier):
            model[key] = earlier[key]
    if "classes" in before.get("scheduler", {}):
        tree.setdefault("scheduler", {})["classes"] = before["scheduler"]["classes"]
    reasons = {tuple(one["argv"]): one["reason"] for one in _extra_args(before)}
    for one in _extra_args(tree):
        one["reason"] = reasons.get(tuple(one["argv"]), one["reason"])
    env, earlier_env = tree.setdefault("env", {}), before.get("env") or {}
    _keep_reasons(env, earlier_env)
    if unset := [one for one in earlier_env.get("unset") or () if one not in env.get("set", {})]:
        env["unset"] = unset


def _extra_args(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list((tree.get("engine") or {}).get("extra_args") or ())


def _keep_reasons(env: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for name, entry in (env.get("set") or {}).items():
        earlier = (before.get("set") or {}).get(name)
        if earlier and earlier["value"] == entry["value"]:
            entry["reason"] = earlier["reason"]
    for name, entry in (env.get("secret") or {}).items():
        if earlier := (before.get("secret") or {}).get(name):
            entry["reason"] = earlier["reason"]


def _argument(model: Mapping[str, Any]) -> str:
    source = model.get("source") or {}
    return str(source["path"] if source.get("kind") == "local" else model["repo"])


def _text(recipe: Recipe, live: LiveEngine, notes: list[str]) -> str:
    head = [f"Taken over from Pod {live.pod_name}, image {live.image}.", "To look at:"]
    head += [f"- {note}" for note in notes] or ["- nothing"]
    lines = [
        line
        for text in head
        for line in textwrap.wrap(
            text, 96, subsequent_indent="  " if text.startswith("-") else "", break_long_words=False
        )
    ]
    return "".join(f"# {line}\n" for line in lines) + recipe_yaml(recipe)
