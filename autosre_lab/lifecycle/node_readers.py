"""The node of a stack in a cluster, seen from elsewhere: its memory, load, GPU and connections.

The kernel's files are copied here by a command in the stack's own Pods, which see the node's
memory, load and pressure, and their own connections; so nothing else has to run on the node.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from autosre_lab.cluster.kube import KubeClient
from autosre_lab.cluster.release import ENGINE, PROXY
from autosre_lab.cluster.rollout import take_snapshot
from autosre_lab.cluster.verdict import is_ending
from autosre_lab.errors import ClusterError
from autosre_lab.metrics.gpu import GpuReader, GpuReading, GpuSample
from autosre_lab.metrics.host import HostReader, HostSample

__all__ = ["NodeFiles", "NodeGpu", "NodeHost"]

_EVERY_S = 2.0
_TIMEOUT_S = 10.0
_MIB = 2**20

_OF_THE_NODE = (
    *("meminfo", "loadavg", "vmstat", "stat"),
    *("pressure/memory", "pressure/io", "pressure/cpu"),
)
_OF_A_POD = ("net/tcp", "net/tcp6")
_MARK = "=== "
_SMI = (
    "index,name,uuid,utilization.gpu,utilization.memory,memory.total,memory.used,clocks.sm,"
    "clocks.max.sm,clocks.mem,temperature.gpu,power.draw,power.limit"
)


class NodeFiles:
    """Copies of the kernel's files, at most two seconds old.

    Args:
        client: The API server.

    Attributes:
        proc: The folder that stands for the node's ``/proc``.
        smi: What nvidia-smi said of the GPUs, a line each.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._folder = tempfile.TemporaryDirectory(prefix="autosre-node-")
        self._copied_at = -_EVERY_S
        self._lock = threading.Lock()
        self.proc = Path(self._folder.name)
        self.smi: list[str] = []
        self.copies = 0

    def refresh(self) -> int:
        """Copy the files again if they are old; returns how often that has been done.

        Raises:
            ClusterError: The Pods cannot be asked.
        """
        with self._lock:
            if time.monotonic() - self._copied_at >= _EVERY_S:
                engine = self._read(ENGINE, (*_OF_THE_NODE, *_OF_A_POD), smi=True)
                proxy = self._read(PROXY, _OF_A_POD)
                self.smi = engine.pop("smi", [])
                for name, lines in engine.items():
                    file = self.proc / name
                    file.parent.mkdir(exist_ok=True)
                    both = [*lines, *proxy.get(name, [])[1:]]
                    file.write_text("\n".join(both) + "\n", encoding="ascii", errors="replace")
                self._copied_at = time.monotonic()
                self.copies += 1
            return self.copies

    def close(self) -> None:
        """Delete the copies."""
        self._folder.cleanup()

    def _read(
        self, name: str, files: tuple[str, ...], *, smi: bool = False
    ) -> dict[str, list[str]]:
        pods = [pod for pod in take_snapshot(self._client, name).pods if not is_ending(pod)]
        if not pods:
            return {}
        command = "; ".join(f"echo '{_MARK}{one}'; cat /proc/{one} 2>/dev/null" for one in files)
        if smi:
            query = f"nvidia-smi --query-gpu={_SMI} --format=csv,noheader,nounits"
            command += f"; echo '{_MARK}smi'; {query} 2>/dev/null"
        done = self._client.exec(
            pods[-1]["metadata"]["name"], ["sh", "-c", f"{command}; true"], timeout_s=_TIMEOUT_S
        )
        found: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in done.stdout.splitlines():
            if line.startswith(_MARK):
                lines = found.setdefault(line.removeprefix(_MARK), [])
            elif line:
                lines.append(line)
        return found


class NodeHost(HostReader):
    """Reads the node as `HostReader` reads this machine."""

    def __init__(self, files: NodeFiles) -> None:
        super().__init__(proc=files.proc)
        self._files = files
        self._seen = 0
        self._last = HostSample()

    def read(self) -> HostSample:
        """Return the node as it was at most two seconds ago.

        Raises:
            ClusterError: The Pods cannot be asked.
        """
        copies = self._files.refresh()
        if copies != self._seen:  # the same ticks twice would look like an idle machine
            self._seen, self._last = copies, super().read()
        return self._last


class NodeGpu(GpuReader):
    """Reads the node's GPUs by nvidia-smi in the engine's Pod."""

    def __init__(self, files: NodeFiles) -> None:
        super().__init__(nvml=_NoDriver())
        self._files = files

    def read(self) -> GpuReading:
        """Return all GPUs of the engine's Pod. Raises nothing."""
        try:
            self._files.refresh()
        except ClusterError as error:
            return GpuReading(gpus=(), unavailable=error.message)
        gpus = tuple(sample for line in self._files.smi if (sample := _sample(line)) is not None)
        why = "" if gpus else "nvidia-smi in the engine's Pod names no GPU"
        return GpuReading(gpus=gpus, unavailable=why)

    def close(self) -> None:
        """Delete the copies."""
        self._files.close()


class _NoDriver:
    """Stands for NVML: what this machine's driver says is of no interest."""

    NVMLError = RuntimeError

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        raise RuntimeError("the node is another machine")


def _sample(line: str) -> GpuSample | None:
    words = [word.strip() for word in line.split(",")]
    if len(words) != len(_SMI.split(",")) or not words[0].isdigit():
        return None
    said: dict[str, str] = dict(zip(_SMI.split(","), words, strict=True))

    def number(name: str, convert: Callable[[float], float] = float) -> float | None:
        try:
            return convert(float(said[name]))
        except ValueError:  # [N/A], as GB10 says of its memory
            return None

    def whole(name: str, factor: int = 1) -> int | None:
        value = number(name)
        return None if value is None else int(value * factor)

    def share(name: str) -> float | None:
        return number(name, lambda value: value / 100)

    return GpuSample(
        index=int(words[0]),
        name=said["name"],
        uuid=said["uuid"],
        util=share("utilization.gpu"),
        memory_util=share("utilization.memory"),
        memory_total_bytes=whole("memory.total", _MIB),
        memory_used_bytes=whole("memory.used", _MIB),
        sm_clock_mhz=whole("clocks.sm"),
        sm_clock_max_mhz=whole("clocks.max.sm"),
        memory_clock_mhz=whole("clocks.mem"),
        temperature_c=whole("temperature.gpu"),
        power_w=number("power.draw"),
        power_limit_w=number("power.limit"),
    )
