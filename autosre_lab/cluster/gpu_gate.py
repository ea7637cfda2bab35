"""Whether the node has room for the engine, before it is started there.

Four looks, each of which passes, is busy, or cannot tell; who cannot tell does not let pass. On
unified memory (GB10) the device reports no memory of its own, so /proc/meminfo is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from autosre_lab.cluster.clock import SYSTEM_CLOCK, Clock
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.node_probe import NodeProbe
from autosre_lab.cluster.quantity import parse_quantity
from autosre_lab.errors import GpuGateError
from autosre_lab.logs import get_logger
from autosre_lab.recipe import Recipe

__all__ = [
    "GateCheck",
    "check_gate",
    "gpu_holders",
    "parse_compute_processes",
    "parse_devices",
    "parse_meminfo",
    "wait_gate",
]

logger = get_logger(__name__)

State = Literal["pass", "busy", "unknown"]

PASSES = 3
BETWEEN_S = 2.0
PATIENCE_S = 180.0
UNKNOWN_PATIENCE_S = 20.0
"""Seconds that a look may fail: nvidia-smi hangs for a moment where a process is just ending."""
GIB = 2**30
FALLING_BYTES = GIB // 2
"""Less than before by this much between two looks: somebody is taking memory right now."""
MARGIN_BYTES = 8 * GIB
"""What the host itself needs beside the engine on unified memory."""
UNIFIED = "unified memory"
PAGE_CACHE = (
    "much of that is page cache, which some vLLM count as used (vllm-project/vllm#48140): if the "
    "engine says that memory is short, `sync; echo 1 | sudo tee /proc/sys/vm/drop_caches` frees it"
)
DEFAULT_UTILISATION = 0.92
"""vLLM's ``--gpu-memory-utilization`` where the recipe does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """One look.

    Attributes:
        name: ``allocation``, ``processes`` or ``memory``.
        state: Unknown is never a pass.
        message: What was seen.
        remedy: What to do about it; empty where it passes.
        free_bytes: Of a look at memory, how much there was.
    """

    name: str
    state: State
    message: str
    remedy: str = ""
    free_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class ComputeProcess:
    """A process on the GPU; ``used_mib`` is None where the driver does not say."""

    pid: int
    name: str
    used_mib: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU; memory is None where it has none of its own."""

    name: str
    total_mib: int | None
    free_mib: int | None


def wait_gate(
    recipe: Recipe,
    client: KubeClient,
    node: Object,
    probe: NodeProbe,
    *,
    tell: Callable[[str], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Wait until the gate has passed three times in a row: memory comes back in steps.

    Raises:
        GpuGateError: It stays busy, or that is unknown.
    """
    deadline_s = clock.monotonic() + patience_s
    told_s = clock.monotonic()  # when everything could last be told
    passed, before = 0, None
    while passed < PASSES:
        checks = check_gate(recipe, client, node, probe)
        free = next((check.free_bytes for check in checks if check.name == "memory"), None)
        if (fall := _falling(before, free)) is not None:
            checks.append(fall)
        before = free
        stopped = [check for check in checks if check.state != "pass"]
        passed = 0 if stopped else passed + 1
        now_s = clock.monotonic()
        if not all(check.state == "unknown" for check in stopped) or not stopped:
            told_s = now_s
        if stopped:
            tell("; ".join(check.message for check in stopped))
            if now_s > deadline_s or now_s - told_s >= UNKNOWN_PATIENCE_S:
                raise _error(stopped)
        if passed < PASSES:
            clock.sleep(BETWEEN_S)
    for check in checks:
        if PAGE_CACHE in check.message:
            logger.warning("%s", check.message)


def _falling(before: float | None, free: float | None) -> GateCheck | None:
    """Return why free memory that shrinks is not free; None where it does not."""
    if before is None or free is None or before - free < FALLING_BYTES:
        return None
    return GateCheck(
        name="memory",
        state="busy",
        message=f"free memory falls: {before / GIB:.1f} GiB a moment ago, {free / GIB:.1f} now",
        remedy="see what else is starting on the node, and let it finish or end it",
    )


def check_gate(
    recipe: Recipe, client: KubeClient, node: Object, probe: NodeProbe
) -> list[GateCheck]:
    """Look once, at everything that the recipe's engine will need."""
    checks = []
    gpu = recipe.resources.gpu
    devices: Sequence[Device] | None = ()
    if gpu is not None:
        pods = client.find(
            "Pod", fields={"spec.nodeName": node["metadata"]["name"]}, everywhere=True
        )
        checks.append(check_allocation(node, pods, gpu.resource, gpu.count))
        checks.append(_check_processes(probe))
        text = probe.devices()
        devices = None if text is None else parse_devices(text)
    checks.append(_check_memory(recipe, probe, devices))
    return checks


def check_allocation(node: Object, pods: Iterable[Object], resource: str, wanted: int) -> GateCheck:
    """Whether Kubernetes itself would give the device away: requests of every Pod on the node."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    there = int(allocatable.get(resource, 0))
    if there < wanted:
        return GateCheck(
            name="allocation",
            state="busy",
            message=f"the node offers {there} {resource}, the recipe needs {wanted}",
            remedy="install the NVIDIA device plugin (0.17.4 or later on GB10), or see why it "
            "reports no device: kubectl describe node",
        )
    holders = gpu_holders(pods, resource)
    taken = sum(count for _, count in holders)
    if taken > there - wanted:
        names = ", ".join(sorted({name for name, _ in holders}))
        return GateCheck(
            name="allocation",
            state="busy",
            message=f"{taken} of {there} {resource} are taken by {names}",
            remedy="scale it to zero, or let autosre do it: autosre start --dedicated",
        )
    return GateCheck(
        name="allocation", state="pass", message=f"{there - taken} {resource} are free"
    )


def gpu_holders(pods: Iterable[Object], resource: str) -> list[tuple[str, int]]:
    """Return ``namespace/name`` and count of every Pod that holds the device, ending ones too."""
    found = []
    for pod in pods:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        count = sum(
            int(((c.get("resources") or {}).get("limits") or {}).get(resource, 0))
            for c in pod["spec"].get("containers") or []
        )
        if count:
            meta = pod["metadata"]
            found.append((f"{meta.get('namespace', 'default')}/{meta['name']}", count))
    return found


def _check_processes(probe: NodeProbe) -> GateCheck:
    text = probe.compute_processes()
    if text is None:
        return GateCheck(
            name="processes",
            state="unknown",
            message=f"it is unknown which processes use the GPU ({probe.why})",
            remedy="make nvidia-smi work on the node, or take `gpu` out of lifecycle.gates",
        )
    processes = parse_compute_processes(text)
    if processes is None:
        return GateCheck(
            name="processes",
            state="unknown",
            message=f"nvidia-smi's list of processes cannot be read: {text[:200]!r}",
            remedy="see what nvidia-smi prints on the node",
        )
    if processes:
        named = ", ".join(
            f"{one.name} (pid {one.pid}"
            + (f", {one.used_mib} MiB)" if one.used_mib is not None else ")")
            for one in processes
        )
        return GateCheck(
            name="processes",
            state="busy",
            message=f"the GPU is used by {named}",
            remedy="end these processes on the node; a Pod's process ends some seconds after it",
        )
    return GateCheck(name="processes", state="pass", message="no process uses the GPU")


def _check_memory(recipe: Recipe, probe: NodeProbe, devices: Sequence[Device] | None) -> GateCheck:
    text = probe.meminfo()
    memory = parse_meminfo(text) if text is not None else None
    if devices is None or memory is None:
        return GateCheck(
            name="memory",
            state="unknown",
            message=f"it is unknown how much memory is free ({probe.why or 'no /proc/meminfo'})",
            remedy="make nvidia-smi and /proc/meminfo readable, or run this on the node",
        )
    needed, free, what = _memory_needed(recipe, devices, memory)
    said = f"{free / GIB:.1f} GiB of {what} are free, {needed / GIB:.1f} GiB are needed"
    if free >= needed:
        if what == UNIFIED and memory.get("MemFree", free) < needed:
            said += f"; {PAGE_CACHE}"
        return GateCheck(name="memory", state="pass", message=said, free_bytes=free)
    return GateCheck(
        name="memory",
        state="busy",
        message=said,
        free_bytes=free,
        remedy="end what holds the memory (it comes back some seconds after a Pod has ended), or "
        "lower engine.args.gpu-memory-utilization",
    )


def _memory_needed(
    recipe: Recipe, devices: Sequence[Device], memory: dict[str, int]
) -> tuple[float, float, str]:
    """Return bytes needed, bytes free, and of what."""
    if recipe.resources.gpu is None:
        request = recipe.resources.memory
        needed = parse_quantity(request.request) if request is not None else 0
        return needed, memory["MemAvailable"], "main memory"
    asked = recipe.engine.args.get("gpu-memory-utilization")
    fraction = float(asked) if isinstance(asked, int | float) else DEFAULT_UTILISATION
    own = [(d.total_mib, d.free_mib) for d in devices]
    if own and all(total is not None and free is not None for total, free in own):
        total = min(total for total, _ in own if total is not None) * 2**20
        free = min(free for _, free in own if free is not None) * 2**20
        return fraction * total, free, "the GPU's memory"
    return (
        fraction * memory["MemTotal"] + MARGIN_BYTES,
        memory["MemAvailable"],
        UNIFIED,
    )


def parse_compute_processes(text: str) -> list[ComputeProcess] | None:
    """Read nvidia-smi's processes; None where a line is not one, ``[N/A]`` memory is unknown."""
    found = []
    for line in text.splitlines():
        if not line.strip() or "No running processes" in line:
            continue
        parts = [part.strip() for part in line.split(",")]
        if len(parts) < 3 or not parts[0].isdecimal():
            return None
        found.append(ComputeProcess(int(parts[0]), ",".join(parts[1:-1]), _mib(parts[-1])))
    return found


def parse_devices(text: str) -> list[Device] | None:
    """Read nvidia-smi's devices; None where there is none or a line is not one."""
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 3:
            return None
        found.append(Device(parts[0], _mib(parts[1]), _mib(parts[2])))
    return found or None


def parse_meminfo(text: str) -> dict[str, int] | None:
    """Read /proc/meminfo as bytes; None without MemTotal and MemAvailable."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return found if {"MemTotal", "MemAvailable"} <= found.keys() else None


def _mib(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _error(stopped: list[GateCheck]) -> GpuGateError:
    busy = [check for check in stopped if check.state == "busy"]
    return GpuGateError(
        "the node has no room for the engine: " + "; ".join(check.message for check in stopped),
        remedy="; ".join(dict.fromkeys(check.remedy for check in busy or stopped)),
        state="busy" if busy else "unknown",
    )
