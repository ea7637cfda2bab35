"""Ends an engine that is about to take the whole host's memory while it starts.

On unified memory a start that takes too much wedges the machine before the kernel's own killer
acts. So MemAvailable is read during the start, and the Pod is deleted while there still is some.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from autosre_lab.cluster.gone import scale
from autosre_lab.cluster.gpu_gate import GIB, parse_meminfo
from autosre_lab.cluster.kube import KubeClient
from autosre_lab.cluster.node_probe import NodeProbe
from autosre_lab.cluster.rollout import pods_of
from autosre_lab.errors import KubeError, RolloutError
from autosre_lab.logs import get_logger

__all__ = ["FLOOR_BYTES", "MemoryWatchdog", "watch_memory"]

FLOOR_BYTES = 3 * GIB
"""MemAvailable below which the host itself is in danger."""
EVERY_S = 1.0
BREACHES = 2
"""Looks in a row that must be below the floor."""
BLIND = 5
"""Looks in a row that fail before it is said that nobody watches."""

logger = get_logger(__name__)


class MemoryWatchdog:
    """Reads the node's memory in a thread; see `watch_memory`.

    Args:
        client: The API server.
        name: The Deployment that is ended.
        probe: Reads /proc/meminfo of the node.
        floor_bytes: MemAvailable below which it is ended.
        every_s: Seconds between two looks.
    """

    def __init__(
        self,
        client: KubeClient,
        name: str,
        probe: NodeProbe,
        *,
        floor_bytes: float = FLOOR_BYTES,
        every_s: float = EVERY_S,
    ) -> None:
        self._client = client
        self._name = name
        self._probe = probe
        self._floor = floor_bytes
        self._every_s = every_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="memory-watchdog")
        self.least_bytes: int | None = None
        """The least MemAvailable seen."""
        self.ended_at_bytes: int | None = None
        """MemAvailable when the engine was ended; None while it is not."""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def finish(self) -> None:
        """Stop looking."""
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """Raise if the engine was ended.

        Raises:
            RolloutError: It was.
        """
        if self.ended_at_bytes is not None:
            raise RolloutError(
                f"{self._name} was ended because only {self.ended_at_bytes / GIB:.1f} GiB of the "
                "host's memory were left while it started; a little later the host would have hung",
                remedy="lower engine.args.gpu-memory-utilization or model.context, or set "
                "kv-cache-memory-bytes in its place; and end what else uses memory",
                reason="HostMemory",
            )

    def _run(self) -> None:
        breaches = blind = 0
        while not self._done.wait(self._every_s):
            text = self._probe.meminfo()
            memory = parse_meminfo(text) if text is not None else None
            if memory is None:
                blind += 1
                if blind == BLIND:
                    logger.warning(
                        "the host's memory cannot be read (%s): nobody ends %s before it hangs",
                        self._probe.why,
                        self._name,
                    )
                continue
            blind = 0
            available = memory["MemAvailable"]
            least = self.least_bytes
            self.least_bytes = available if least is None else min(available, least)
            breaches = breaches + 1 if available < self._floor else 0
            if breaches >= BREACHES and self._end(available):
                return

    def _end(self, available: int) -> bool:
        """End the engine; a server that does not answer now is asked again at the next look."""
        logger.error("%.1f GiB of memory left: ending %s", available / GIB, self._name)
        try:
            # To zero first, or the ReplicaSet makes the next one at once.
            scale(self._client, self._name, 0)
            for pod in pods_of(self._client, self._name):
                self._client.delete("Pod", pod["metadata"]["name"], grace_s=1)
        except KubeError as error:
            logger.error("%s could not be ended yet: %s", self._name, error.message)
            return False
        self.ended_at_bytes = available
        return True


@contextlib.contextmanager
def watch_memory(
    client: KubeClient,
    name: str,
    probe: NodeProbe,
    *,
    floor_bytes: float = FLOOR_BYTES,
    every_s: float = EVERY_S,
) -> Iterator[MemoryWatchdog]:
    """Watch the node's memory while the block runs.

    Args:
        client: The API server.
        name: The Deployment that is ended.
        probe: Reads /proc/meminfo of the node.
        floor_bytes: MemAvailable below which it is ended.
        every_s: Seconds between two looks.
    """
    watchdog = MemoryWatchdog(client, name, probe, floor_bytes=floor_bytes, every_s=every_s)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.finish()
