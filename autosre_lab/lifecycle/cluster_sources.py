"""What a feed polls of a stack in a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import ClusterError, KubeError, NotReadyError

if TYPE_CHECKING:
    from autosre_lab.cluster import KubeClient
    from autosre_lab.metrics import LogFeed, Sources

__all__ = ["find_logs", "find_sources"]

_TAIL_LINES = 100
_POD_LOG_S = 2.0


def find_sources(client: KubeClient, **other: Any) -> Sources:
    """Return what is polled of a stack in a cluster; ``other`` takes the place of its own.

    Raises:
        NotReadyError: No stack was started there.
    """
    from autosre_lab.cluster.application_gate import service_url
    from autosre_lab.cluster.release import ENGINE, PROXY, read_release, read_token
    from autosre_lab.metrics import LogFeed, Sources
    from autosre_lab.metrics.limits import recipe_limits

    release = read_release(client)
    if release is None:
        raise NotReadyError(
            f"no stack was started in namespace {client.namespace}",
            remedy="start one: autosre start RECIPE --place cluster",
        )
    limits = recipe_limits(release.recipe)
    own: dict[str, Any] = {
        "engine_url": service_url(release.values["vllm"]),
        "engine_key": lambda: read_token(client, **release.values["vllm"]["keySecret"]),
        "logs": LogFeed(
            streams={
                "engine": _pod_lines(client, ENGINE),
                "proxy": _pod_lines(client, PROXY),
            }
        ),
        "limits": lambda: limits,
    }
    return Sources(**(own | _of_the_node(client, release.values) | other))


def find_logs(client: KubeClient, *, lines: int) -> LogFeed:
    """Return the logs of engine and proxy, from their last lines on.

    Raises:
        NotReadyError: No Pod of the stack is there.
    """
    from autosre_lab.cluster.release import ENGINE, PROXY
    from autosre_lab.cluster.rollout import take_snapshot
    from autosre_lab.metrics import LogFeed, LogLine

    seen = {
        source: client.logs(pods[-1]["metadata"]["name"], tail=lines) if lines else []
        for source, name in (("engine", ENGINE), ("proxy", PROXY))
        if (pods := take_snapshot(client, name).pods)
    }
    if not seen:
        raise NotReadyError(
            f"there is no log: no Pod of the stack is in namespace {client.namespace}",
            remedy="start one: autosre start RECIPE --place cluster",
        )
    return LogFeed(
        streams={
            "engine": _pod_lines(client, ENGINE, before=seen.get("engine", ())),
            "proxy": _pod_lines(client, PROXY, before=seen.get("proxy", ())),
        },
        max_lines=max(lines, 1000),
        first=[LogLine(source=name, text=line) for name, text in seen.items() for line in text],
    )


def _of_the_node(client: KubeClient, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what reads the node that the engine runs on: this machine, or another."""
    from autosre_lab.metrics import GpuReader, HostReader

    if _runs_here(client):
        return {"gpu": GpuReader(), "host": HostReader()}
    from autosre_lab.lifecycle.node_readers import NodeFiles, NodeGpu, NodeHost

    files = NodeFiles(client)

    def ports() -> dict[str, int]:
        files.refresh()
        return {"engine": values["vllm"]["port"], "proxy": values["proxy"]["port"]}

    return {
        "gpu": NodeGpu(files),
        "host": NodeHost(files),
        "ports": ports,
        "proc": files.proc,
        "patience_s": 2.0,
    }


def _runs_here(client: KubeClient) -> bool:
    from autosre_lab.cluster.node_probe import is_this_machine
    from autosre_lab.cluster.release import ENGINE
    from autosre_lab.cluster.rollout import pods_of

    try:
        names = {pod["spec"].get("nodeName") for pod in pods_of(client, ENGINE)}
        nodes = [node for name in names if name and (node := client.get("Node", name))]
    except KubeError:
        return False
    return bool(nodes) and all(map(is_this_machine, nodes))


def _pod_lines(client: KubeClient, name: str, *, before: Sequence[str] = ()) -> Iterator[str]:
    """Yield the new lines of a Deployment's newest Pod, for ever; an empty one after each look."""
    from autosre_lab.cluster.rollout import take_snapshot
    from autosre_lab.metrics.logs_feed import appended_lines

    while True:
        with suppress(ClusterError):
            pods = take_snapshot(client, name).pods
            if pods:
                lines = client.logs(pods[-1]["metadata"]["name"], tail=_TAIL_LINES)
                yield from appended_lines(before, lines)
                before = lines
        yield ""
        time.sleep(_POD_LOG_S)
