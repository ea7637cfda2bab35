"""What a Pod's specification says of a recipe: image, resources, folders, environment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from autosre_lab.cluster.kube import Object
from autosre_lab.errors import ConfigError
from autosre_lab.parity.command_line import vllm_arguments
from autosre_lab.parity.from_process import FROM_IMAGE, TAKEN_OVER, Draft, without_hook
from autosre_lab.parity.process_probe import is_secret
from autosre_lab.preemption import STATUS_VARIABLE

__all__ = ["add_pod_sections", "version_in_tag"]

_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGT]i?|Ki)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}$")
_SHM = "/dev/shm"  # noqa: S108 - shared memory, not a temporary file


def add_pod_sections(
    draft: Draft, pod: Object, container: Object, *, image_id: str | None, hooked: bool
) -> None:
    """Add what the Pod decides to a draft; what no recipe can say becomes a note.

    Args:
        draft: What the process says.
        pod: The Pod.
        container: The engine's container in it.
        image_id: What the node runs.
        hooked: The preemption hook is on, and its mount and variables are the chart's.
    """
    _image(draft, container, image_id)
    _resources(draft, pod["spec"], container)
    _storage(draft, pod["spec"], container)
    _security(draft, pod["spec"], container)
    _lifecycle(draft, pod["spec"], container)
    _environment(draft, container, hooked=hooked)


def version_in_tag(reference: str) -> str | None:
    """Return the version that an image's tag names, as in ``vllm-openai:v0.24.0``."""
    tag = reference.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = re.match(r"v?(\d+\.\d+\.\d+)", tag)
    return found[1] if found else None


def _image(draft: Draft, container: Object, image_id: str | None) -> None:
    reference, _, asked = str(container["image"]).partition("@")
    running = (image_id or "").rpartition("@")[2] if "@" in (image_id or "") else ""
    digest = next((one for one in (running, asked) if _DIGEST.match(one)), None)
    image: dict[str, Any] = {"ref": reference, "entrypoint": _entrypoint(container)}
    if digest is not None:
        image["digest"] = digest
    else:
        draft.notes.append("the node tells no digest of the image: write image.digest")
    draft.tree["image"] = image


def _entrypoint(container: Object) -> list[str]:
    """Return what stands before vLLM's arguments; the usual where a wrapper or shell does."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    try:
        before = words[: len(words) - len(vllm_arguments(words))]
    except ConfigError:
        before = []
    plain = before[-1:] == ["serve"] and len(before) <= 4
    return before if plain else ["vllm", "serve"]


def _resources(draft: Draft, spec: Object, container: Object) -> None:
    asked = container.get("resources") or {}
    requests, limits = asked.get("requests") or {}, asked.get("limits") or {}
    resources: dict[str, Any] = {}
    if "cpu" in requests:
        resources["cpu"] = _quantity(requests["cpu"], "resources.cpu", draft)
    if "memory" in requests or "memory" in limits:
        memory = {"request": requests.get("memory", limits.get("memory"))}
        if "memory" in limits:
            memory["limit"] = limits["memory"]
        resources["memory"] = {
            key: _quantity(value, "resources.memory", draft) for key, value in memory.items()
        }
    for name, value in {**requests, **limits}.items():
        if name.endswith("/gpu"):
            resources["gpu"] = {"resource": name, "count": int(value)}
            if spec.get("runtimeClassName"):
                resources["gpu"]["runtime_class"] = spec["runtimeClassName"]
        elif name not in ("cpu", "memory"):
            draft.notes.append(f"the Pod asks for {name}: {value}, which no recipe can say")
    if "cpu" in limits:
        draft.notes.append(f"the Pod's CPU is limited to {limits['cpu']}; recipes set no limit")
    if resources:
        draft.tree["resources"] = {key: value for key, value in resources.items() if value}


def _quantity(value: Any, key: str, draft: Draft) -> str | None:
    if _QUANTITY.fullmatch(str(value)):
        return str(value)
    draft.notes.append(f"{key}: {value} is no quantity that a recipe knows")
    return None


def _storage(draft: Draft, spec: Object, container: Object) -> None:
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
    storage: dict[str, Any] = {}
    mounts: list[dict[str, Any]] = []
    for mount in container.get("volumeMounts") or ():
        volume, path = volumes.get(mount["name"], {}), str(mount["mountPath"])
        if path == _SHM:
            if size := (volume.get("emptyDir") or {}).get("sizeLimit"):
                draft.tree.setdefault("resources", {})["shm"] = str(size)
        elif "hostPath" in volume:
            folder = volume["hostPath"]["path"]
            _host_folder(storage, mounts, folder, mount, path)
        elif not ({"configMap", "emptyDir", "projected", "secret"} & volume.keys()):
            kind = next((key for key in volume if key != "name"), "a volume")
            draft.notes.append(f"{path} comes from {kind}, and recipes know folders of the host")
        elif "configMap" in volume and mount["name"] != "preemption":
            draft.notes.append(f"{path} is a ConfigMap ({volume['configMap'].get('name')})")
    if mounts:
        storage["mounts"] = mounts
    if storage:
        draft.tree["storage"] = storage


def _host_folder(
    storage: dict[str, Any], mounts: list[dict[str, Any]], folder: str, mount: Object, path: str
) -> None:
    writable, below = not mount.get("readOnly"), str(mount.get("subPath") or "")
    entry = {"host_path": folder, "mount": path}
    if "huggingface" in f"{folder}{path}".lower() and "hf_cache" not in storage and not below:
        storage["hf_cache"] = entry | {"read_only": not writable}
    elif writable and below.endswith("/cache") and "compile_cache" not in storage:
        storage["compile_cache"] = entry  # the chart's own folder, one for each image
    elif writable and below.endswith("/triton") and "compile_cache" in storage:
        pass  # the chart makes it beside the compile cache
    else:
        host = f"{folder.rstrip('/')}/{below}" if below else folder
        mounts.append({"host_path": host, "mount": path, "read_only": not writable})


def _security(draft: Draft, spec: Object, container: Object) -> None:
    merged = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
    security: dict[str, Any] = {}
    for key, ours in (("runAsUser", "run_as_user"), ("runAsGroup", "run_as_group")):
        if merged.get(key) is not None:
            security[ours] = merged[key]
    if merged.get("readOnlyRootFilesystem"):
        security["read_only_root"] = True
    if merged.get("privileged") or (merged.get("capabilities") or {}).get("add"):
        draft.notes.append("the Pod is privileged or has more capabilities; recipes never are")
    if security:
        draft.tree["security"] = security


def _lifecycle(draft: Draft, spec: Object, container: Object) -> None:
    lifecycle: dict[str, Any] = {}
    if (grace := spec.get("terminationGracePeriodSeconds")) is not None:
        lifecycle["grace_s"] = max(1, int(grace))
    if probe := container.get("startupProbe"):
        budget = int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))
        lifecycle["startup_budget_s"] = budget
    if lifecycle:
        draft.tree["lifecycle"] = lifecycle


def _environment(draft: Draft, container: Object, *, hooked: bool) -> None:
    """Lay what the Pod declares over what the process has: the rest comes with the image."""
    env: dict[str, Any] = draft.tree.setdefault("env", {})
    live_set, live_secret = env.get("set") or {}, env.get("secret") or {}
    declared: Sequence[Mapping[str, Any]] = container.get("env") or ()
    ours, secrets = {}, {}
    for entry in declared:
        name, source = str(entry["name"]), entry.get("valueFrom") or {}
        if hooked and name == STATUS_VARIABLE:
            continue
        if reference := source.get("secretKeyRef"):
            secrets[name] = {
                "reason": TAKEN_OVER,
                "secret": reference.get("name"),
                "key": reference.get("key"),
                "required": not reference.get("optional", False),
            }
        elif is_secret(name, []):
            secrets[name] = {"reason": TAKEN_OVER}
            draft.notes.append(f"{name} is written into the Pod in clear: put it into a Secret")
        elif source:
            if name in live_set:
                draft.notes.append(f"{name} is set by the cluster ({next(iter(source))})")
        else:
            # A value may refer to other variables; what the process has got is what counts.
            value = live_set.get(name, {}).get("value", str(entry.get("value") or ""))
            if hooked and name == "PYTHONPATH" and not (value := without_hook(value)):
                continue
            ours[name] = {"value": value, "reason": TAKEN_OVER}
    rest = sorted((live_set.keys() | live_secret.keys()) - ours.keys() - secrets.keys())
    env.clear()
    env.update({key: value for key, value in (("set", ours), ("secret", secrets)) if value})
    if rest:
        draft.tree["parity"] = {"ignore_env": [f"^{re.escape(name)}$" for name in rest]}
        draft.notes.append(f"parity.ignore_env: {', '.join(rest)}: {FROM_IMAGE}")
