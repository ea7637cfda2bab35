"""What only the node's own files tell: the model's revision, folders, free disk, swap."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autosre_lab.cluster.gpu_gate import parse_meminfo
from autosre_lab.cluster.node_probe import NodeProbe
from autosre_lab.errors import ProvisionError
from autosre_lab.provision.model_folder import check_model_folder
from autosre_lab.recipe import HuggingFaceSource, LocalSource, Recipe
from autosre_lab.stack.preflight import Check, fail, ok, unknown, warn

__all__ = ["check_disk", "check_folders", "check_model", "check_swap", "host_folder"]

GIB = 2**30
COMPILE_CACHE_BYTES = 5 * GIB
"""What compiled kernels of one image take, generously."""
LEAST_SHARE = 0.95
"""Of the weights' size: below it something is missing."""

ON_THE_NODE = "run `autosre preflight` on the node itself"


def host_folder(values: Mapping[str, Any], inside: str) -> Path | None:
    """Return the host's folder behind a path of the engine's container; None where it is none."""
    wanted = Path(inside)
    for host, mount in _host_mounts(values):
        if wanted.is_relative_to(mount):
            return host / wanted.relative_to(mount)
    return None


def check_folders(values: Mapping[str, Any]) -> list[Check]:
    """Whether the folders that are mounted are there, on this machine."""
    checks = []
    for volume in values["vllm"]["volumes"]:
        host = volume["source"].get("hostPath")
        if host is None or host.get("type") != "Directory":
            continue
        if Path(host["path"]).is_dir():
            checks.append(ok("folder", host["path"]))
        else:
            remedy = "make it, or correct `storage` in the recipe"
            checks.append(fail("folder", f"{host['path']} is not there", remedy))
    return checks


def check_model(recipe: Recipe, values: Mapping[str, Any]) -> Check:
    """Whether the model is complete in the revision that will be served, on this machine."""
    source = recipe.model.source
    if isinstance(source, LocalSource):
        folder = host_folder(values, source.path)
        if folder is None:
            return fail(
                "model",
                f"{source.path} is in no folder that the Pod sees",
                "mount it: storage.mounts in the recipe",
            )
        return _check_files(recipe, folder)
    if not isinstance(source, HuggingFaceSource):
        return unknown("model", f"a source of kind {source.kind} is not looked at", "")
    cache = _hub_cache(values)
    if cache is None:
        return _absent(
            recipe,
            "no folder of the host holds the hub's cache",
            "mount one: storage.hf_cache in the recipe",
        )
    return _check_cached(recipe, cache)


def check_disk(recipe: Recipe, values: Mapping[str, Any], model: Check) -> list[Check]:
    """Whether there is room for what a start writes, on this machine."""
    checks = []
    for volume in values["vllm"]["volumes"]:
        host = volume["source"].get("hostPath")
        if host is None or all(mount["readOnly"] for mount in volume["mounts"]):
            continue
        needed = COMPILE_CACHE_BYTES
        if volume["name"] == "hf-cache" and model.state != "ok":
            needed += recipe.model.weights_bytes or 0
        checks.append(_check_free(Path(host["path"]), needed))
    return checks


def check_swap(probe: NodeProbe) -> Check:
    """Whether swap is off: on unified memory a swapping host hangs before anything is ended."""
    text = probe.meminfo()
    memory = parse_meminfo(text) if text is not None else None
    if memory is None or "SwapTotal" not in memory:
        why = probe.why or "no /proc/meminfo"
        return unknown("swap", f"it is unknown whether the node swaps ({why})", ON_THE_NODE)
    if memory["SwapTotal"] > 0:
        return warn(
            "swap",
            f"the node has {memory['SwapTotal'] / GIB:.1f} GiB of swap; a start that takes too "
            "much memory then hangs the host instead of failing",
            "sudo swapoff -a, and take it out of /etc/fstab",
        )
    return ok("swap", "off")


def _host_mounts(values: Mapping[str, Any]) -> Iterator[tuple[Path, Path]]:
    for volume in values["vllm"]["volumes"]:
        host = volume["source"].get("hostPath")
        for mount in volume["mounts"] if host is not None else ():
            yield Path(host["path"]) / (mount.get("subPath") or ""), Path(mount["mountPath"])


def _hub_cache(values: Mapping[str, Any]) -> Path | None:
    """Return the host's folder that the engine takes for the hub's cache."""
    env = {entry["name"]: entry.get("value") for entry in values["vllm"]["env"]}
    home = env.get("HF_HOME") or "/root/.cache/huggingface"
    return host_folder(values, env.get("HF_HUB_CACHE") or f"{home}/hub")


def _check_cached(recipe: Recipe, cache: Path) -> Check:
    repo = recipe.model.repo
    folder = cache / f"models--{repo.replace('/', '--')}"
    if not folder.is_dir():
        return _absent(recipe, f"{repo} is not in {cache}", _download(recipe, cache))
    revision = recipe.model.revision
    if revision is None:
        try:
            revision = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
        except OSError:
            return _absent(recipe, f"{folder} has no refs/main", _download(recipe, cache))
    snapshot = folder / "snapshots" / revision
    if not snapshot.is_dir():
        there = sorted(path.name[:12] for path in (folder / "snapshots").glob("*"))
        return _absent(
            recipe,
            f"{repo} is cached, but not in revision {revision[:12]} (there: "
            f"{', '.join(there) or 'none'})",
            _download(recipe, cache),
        )
    broken = sorted(path.name for path in snapshot.rglob("*") if not path.exists())
    if broken:
        return _absent(
            recipe,
            f"{repo} {revision[:12]} lacks the content of {len(broken)} files, {broken[0]} for one",
            _download(recipe, cache),
        )
    return _check_files(recipe, snapshot)


def _check_files(recipe: Recipe, folder: Path) -> Check:
    try:
        check_model_folder(folder)
    except ProvisionError as error:
        return _absent(recipe, error.message, error.remedy)
    stated = recipe.model.weights_bytes
    weights = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    there = sum(path.stat().st_size for path in weights)
    if stated and weights and there < LEAST_SHARE * stated:
        return _absent(
            recipe,
            f"{folder} holds {there / GIB:.1f} GiB of weights, the recipe says {stated / GIB:.1f}",
            "copy or download the whole model again",
        )
    return ok("model", f"{recipe.model.repo} is complete ({folder.name[:12]})")


def _absent(recipe: Recipe, message: str, remedy: str) -> Check:
    """Return the finding for a model that is not complete: offline nobody will complete it."""
    offline = recipe.env.set.get("HF_HUB_OFFLINE")
    local = isinstance(recipe.model.source, LocalSource)
    if local or (offline is not None and offline.value not in ("0", "")):
        return fail("model", message, remedy)
    return warn("model", f"{message}; the start downloads it", remedy)


def _download(recipe: Recipe, cache: Path) -> str:
    revision = f" --revision {recipe.model.revision}" if recipe.model.revision else ""
    return f"on the node: hf download {recipe.model.repo}{revision} --cache-dir {cache}"


def _check_free(folder: Path, needed: float) -> Check:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    said = f"{folder} has {free / GIB:.1f} GiB free"
    if free < needed:
        return warn(
            "disk",
            f"{said}, {needed / GIB:.1f} may be needed",
            "free some: unused images (crictl rmi --prune), other models in the cache",
        )
    return ok("disk", said)
