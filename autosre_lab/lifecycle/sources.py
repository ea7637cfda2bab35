"""What a feed polls of the stack, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import ClusterError, NotReadyError
from autosre_lab.lifecycle.place import last_place

if TYPE_CHECKING:
    from autosre_lab.cluster import KubeClient
    from autosre_lab.metrics import Sources

__all__ = ["stack_sources"]

_TAIL_LINES = 100
_POD_LOG_S = 2.0


def stack_sources(*, place: str | None = None, **other: Any) -> Sources:
    """Return the sources of the stack: of its processes here, or of its Service and Pods.

    Args:
        place: Where to look; by default where the last stack was started.
        **other: Arguments of `Sources`, in the place of the stack's own.

    Raises:
        NotReadyError: No stack was started in the cluster. One of this machine may come later.
        ClusterError: The cluster cannot be asked.
    """
    from autosre_lab.metrics import Sources

    if last_place(place) == "local":
        return Sources.of_local_stack(**other)
    return Sources(**(_of_cluster() | other))


def _of_cluster() -> dict[str, Any]:
    from autosre_lab.cluster.application_gate import service_url
    from autosre_lab.cluster.options import configured_client
    from autosre_lab.cluster.release import ENGINE, PROXY, read_release
    from autosre_lab.metrics import GpuReader, HostReader, LogFeed
    from autosre_lab.metrics.limits import recipe_limits

    client = configured_client()
    release = read_release(client)
    if release is None:
        raise NotReadyError(
            f"no stack was started in namespace {client.namespace}",
            remedy="start one: autosre start RECIPE --place cluster",
        )
    limits = recipe_limits(release.recipe)
    return {
        "engine_url": service_url(release.values["vllm"]),
        "gpu": GpuReader(),
        "host": HostReader(),
        "logs": LogFeed(
            streams={
                "engine": _pod_lines(configured_client(), ENGINE),
                "proxy": _pod_lines(configured_client(), PROXY),
            }
        ),
        "limits": lambda: limits,
    }


def _pod_lines(client: KubeClient, name: str) -> Iterator[str]:
    """Yield the new lines of a Deployment's newest Pod, for ever; an empty one after each look."""
    from autosre_lab.cluster.rollout import take_snapshot
    from autosre_lab.metrics.logs_feed import appended_lines

    before: list[str] = []
    while True:
        with suppress(ClusterError):
            pods = take_snapshot(client, name).pods
            if pods:
                lines = client.logs(pods[-1]["metadata"]["name"], tail=_TAIL_LINES)
                yield from appended_lines(before, lines)
                before = lines
        yield ""
        time.sleep(_POD_LOG_S)
