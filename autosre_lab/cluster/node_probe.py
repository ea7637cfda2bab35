"""What the node itself says about its GPU and its memory: read here, or from inside a Pod."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import KubeError

__all__ = ["LocalNodeProbe", "NodeProbe", "PodNodeProbe", "is_this_machine", "open_node_probe"]

PROCESS_QUERY = (
    "nvidia-smi",
    "--query-compute-apps=pid,process_name,used_memory",
    "--format=csv,noheader,nounits",
)
DEVICE_QUERY = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,memory.free",
    "--format=csv,noheader,nounits",
)
PROBE_TIMEOUT_S = 20.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class NodeProbe(Protocol):
    """Reads three texts of a node; None means that it cannot be read, and `why` says why."""

    @property
    def why(self) -> str:
        """Why the last text could not be read."""

    def compute_processes(self) -> str | None:
        """Return nvidia-smi's list of processes, a line each: pid, name, MiB."""

    def devices(self) -> str | None:
        """Return nvidia-smi's list of devices, a line each: name, MiB in all, MiB free."""

    def meminfo(self) -> str | None:
        """Return the node's /proc/meminfo."""


class LocalNodeProbe:
    """This machine is the node."""

    def __init__(self) -> None:
        self.why = ""

    def compute_processes(self) -> str | None:
        """Return nvidia-smi's list of processes."""
        return self._run(PROCESS_QUERY)

    def devices(self) -> str | None:
        """Return nvidia-smi's list of devices."""
        return self._run(DEVICE_QUERY)

    def meminfo(self) -> str | None:
        """Return /proc/meminfo."""
        return Path("/proc/meminfo").read_text(encoding="ascii")

    def _run(self, command: tuple[str, ...]) -> str | None:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self.why = f"{command[0]}: {error}"
            return None
        if done.returncode != 0:
            self.why = (done.stderr or done.stdout).strip()[:300]
            return None
        return done.stdout


@dataclass(slots=True)
class PodNodeProbe:
    """A Pod on the node sees what the node sees; made by `open_node_probe`."""

    client: KubeClient
    pod: str
    why: str = ""

    def compute_processes(self) -> str | None:
        """Return nvidia-smi's list of processes."""
        return self._run(PROCESS_QUERY)

    def devices(self) -> str | None:
        """Return nvidia-smi's list of devices."""
        return self._run(DEVICE_QUERY)

    def meminfo(self) -> str | None:
        """Return the node's /proc/meminfo, which is not the container's own."""
        return self._run(("cat", "/proc/meminfo"))

    def _run(self, command: tuple[str, ...]) -> str | None:
        try:
            done = self.client.exec(self.pod, command, timeout_s=PROBE_TIMEOUT_S)
        except KubeError as error:
            self.why = error.message
            return None
        if done.exit_code != 0:
            self.why = (done.stderr or done.stdout).strip()[:300]
            return None
        return done.stdout


@contextlib.contextmanager
def open_node_probe(
    client: KubeClient, node: Object, *, image: str, runtime_class: str | None
) -> Iterator[NodeProbe]:
    """Yield a probe of the node: directly where this machine is the node, else through a Pod.

    Args:
        client: The API server.
        node: The node.
        image: What the Pod runs; the engine's own image, which is on the node anyway.
        runtime_class: What makes the GPU visible in it.

    Raises:
        KubeError: The Pod cannot be created.
        RolloutError: It does not start.
    """
    if is_this_machine(node):
        yield LocalNodeProbe()
        return
    from autosre_lab.cluster.probe_pod import running_probe_pod

    with running_probe_pod(
        client, node["metadata"]["name"], image=image, runtime_class=runtime_class
    ) as pod:
        yield PodNodeProbe(client, pod)


def is_this_machine(node: Object) -> bool:
    """Tell by the kernel's boot, else by its addresses, whether a node is this very machine."""
    status = node.get("status") or {}
    boot = (status.get("nodeInfo") or {}).get("bootID")
    if boot:
        return bool(boot == BOOT_ID.read_text(encoding="ascii").strip())
    theirs = {
        entry["address"]
        for entry in status.get("addresses") or []
        if entry.get("type") in ("InternalIP", "ExternalIP")
    }
    ours = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}
    return bool(theirs & ours)
