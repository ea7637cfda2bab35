"""Read how an engine that runs was started: a process here, or one in a Pod."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.release import ENGINE_LABELS
from autosre_lab.errors import ClusterError, EngineError
from autosre_lab.parity import process_probe
from autosre_lab.parity.command_line import listening_port
from autosre_lab.recipe import load_flag_table

__all__ = [
    "LiveEngine",
    "LiveProcess",
    "find_engine_pod",
    "read_container",
    "read_local",
    "read_pod",
]

ENGINE_CONTAINER = "vllm"
"""Name of the container that runs vLLM."""

PROC = Path("/proc")

_PYTHON = """
for python in python3 python /opt/venv/bin/python3 /usr/bin/python3 /usr/local/bin/python3; do
  if command -v "$python" >/dev/null 2>&1; then exec "$python" -I -S -c "$0" "$1"; fi
done
exit 127
"""
"""Runs the probe with whatever Python the image has, without site directories or hooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveProcess:
    """An API server of vLLM.

    Attributes:
        pid: Its number, as seen in its own container.
        argv: How it was started.
        environ: What it was started with; values of secrets are replaced. None where it could
            not be read.
        vllm_version: As installed; None where that could not be found out.
        python_version: Such as 3.12; None where that could not be found out.
    """

    pid: int
    argv: tuple[str, ...]
    environ: dict[str, str] | None = field(repr=False)
    vllm_version: str | None = None
    python_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEngine:
    """What was read of one engine.

    Attributes:
        process: Its API server.
        file_hashes: Path to SHA-256; None where there is no such file.
        texts: Path to content; None where there is no such file.
        pod: The Pod; what describes a container of this machine in the same words; None for a
            process.
    """

    process: LiveProcess
    file_hashes: dict[str, str | None] = field(default_factory=dict)
    texts: dict[str, str | None] = field(default_factory=dict)
    pod: Object | None = field(default=None, repr=False)

    @property
    def pod_name(self) -> str | None:
        """Name of its Pod."""
        return str(self.pod["metadata"]["name"]) if self.pod is not None else None

    @property
    def name(self) -> str:
        """What to call it."""
        if self.pod is None:
            return f"pid {self.process.pid}"
        return f"{self.pod.get('kind', 'Pod')} {self.pod_name}"

    @property
    def image(self) -> str | None:
        """What the container was asked to run."""
        container = _named(_of(self.pod, "spec", "containers"), ENGINE_CONTAINER)
        return str(container["image"]) if container else None

    @property
    def image_id(self) -> str | None:
        """What the container does run, as the node tells it."""
        status = _named(_of(self.pod, "status", "containerStatuses"), ENGINE_CONTAINER)
        return str(status.get("imageID") or "") or None if status else None


def read_local(
    *,
    pid: int | None = None,
    api_port: int | None = None,
    secrets: Collection[str] = (),
    files: Collection[str] = (),
    texts: Collection[str] = (),
    proc: Path | None = None,
) -> LiveEngine:
    """Return what runs on this machine.

    Args:
        pid: The only process that counts, or its child; absent: there must be just one engine.
        api_port: Only the engine that is told to listen there counts.
        secrets: Names of variables whose values are not to be read, besides the usual ones.
        files: Files to hash.
        texts: Files to read.
        proc: Where the kernel tells about processes, if not in the usual place.

    Raises:
        EngineError: No vLLM, or more than one, runs here.
    """
    request = _request(secrets, files, texts) | {"proc": str(proc or PROC)}
    if pid is not None:
        request["among"] = [pid]
    try:
        answer = process_probe.probe(request)
    except OSError as error:
        raise EngineError(
            f"the processes cannot be read: {error}",
            remedy="this needs Linux's /proc; for an engine in a cluster read its Pod",
        ) from error
    where = "on this machine" if pid is None else f"with pid {pid}"
    return _engine(answer, where, None, api_port)


def read_pod(
    client: KubeClient,
    pod: str | None = None,
    *,
    api_port: int | None = None,
    secrets: Collection[str] = (),
    files: Collection[str] = (),
    texts: Collection[str] = (),
    timeout_s: float = 30.0,
) -> LiveEngine:
    """Return what runs in a Pod, by one command executed in it.

    Args:
        client: The API server, and the namespace.
        pod: The Pod's name; absent: the running Pod of the engine.
        api_port: Only an engine that is told to listen there counts.
        secrets: Names of variables whose values must not leave the Pod, besides the usual ones.
        files: Files in the container to hash.
        texts: Files in the container to read.
        timeout_s: Seconds that the command may take.

    Raises:
        KubeError: The API server refused.
        ClusterError: There is no such Pod, no Python in it, or no vLLM.
        EngineError: No vLLM, or more than one, runs in it.
    """
    found = find_engine_pod(client, pod)
    name = str(found["metadata"]["name"])
    text = Path(process_probe.__file__).read_text(encoding="utf-8")
    command = ["sh", "-c", _PYTHON, text, json.dumps(_request(secrets, files, texts))]
    result = client.exec(name, command, container=ENGINE_CONTAINER, timeout_s=timeout_s)
    if result.exit_code != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        why = (
            "there is no Python in it" if result.exit_code == 127 else (said or ["no message"])[-1]
        )
        raise ClusterError(
            f"the processes of Pod {name} cannot be read: {why} (exit code {result.exit_code})",
            remedy=f"look at it with `kubectl exec {name} -c {ENGINE_CONTAINER} -- ps`",
        )
    try:
        answer = json.loads(result.stdout)
    except ValueError as error:
        raise ClusterError(
            f"what Pod {name} tells of its processes is cut off or no JSON: {error}",
            remedy="try again; if it stays so, the connection to the Pod ends early",
        ) from error
    return _engine(answer, f"in Pod {name}", found, api_port)


def read_container(
    tool: str,
    name: str,
    *,
    secrets: Collection[str] = (),
    files: Collection[str] = (),
    texts: Collection[str] = (),
    timeout_s: float = 30.0,
) -> LiveEngine:
    """Return what runs in a container of this machine, by one command executed in it.

    Args:
        tool: Such as podman.
        name: The container's.
        secrets: As for `read_pod`.
        files: As for `read_pod`.
        texts: As for `read_pod`.
        timeout_s: As for `read_pod`.

    Raises:
        EngineError: It cannot be read, or no vLLM, or more than one, runs in it.
    """
    text = Path(process_probe.__file__).read_text(encoding="utf-8")
    request = json.dumps(_request(secrets, files, texts))
    remedy = f"look at it with `{tool} exec {name} ps`; `autosre status` says whether it runs"
    try:
        image, done = (
            subprocess.run(
                [tool, *words],
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=timeout_s,
                check=True,
            ).stdout.strip()
            for words in (
                ("inspect", "--format", "{{.Config.Image}}", name),
                ("exec", name, "sh", "-c", _PYTHON, text, request),
            )
        )
        answer = json.loads(done)
    except subprocess.CalledProcessError as error:
        said = str(error.stderr or error.stdout).strip().splitlines() or ["no message"]
        raise EngineError(
            f"the container {name} cannot be read: {said[-1]}", remedy=remedy
        ) from error
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"the container {name} cannot be read: {error}", remedy=remedy) from error
    described = {
        "kind": "container",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": ENGINE_CONTAINER, "image": image}]},
        "status": {"containerStatuses": [{"name": ENGINE_CONTAINER, "imageID": image}]},
    }
    return _engine(answer, f"in the container {name}", described, None)


def find_engine_pod(client: KubeClient, name: str | None = None) -> Object:
    """Return the Pod that runs the engine.

    Args:
        client: The API server, and the namespace.
        name: Its name; absent: the youngest one that runs and is not being ended.

    Raises:
        KubeError: The API server refused.
        ClusterError: There is no such Pod.
    """
    if name is not None:
        if (found := client.get("Pod", name)) is not None:
            return found
        raise ClusterError(
            f"there is no Pod {name} in namespace {client.namespace}",
            remedy=f"see `kubectl get pods -n {client.namespace}`",
        )
    pods = client.find("Pod", labels=ENGINE_LABELS)
    running = [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and _of(pod, "status", "phase") == "Running"
    ]
    if not running:
        states = ", ".join(
            f"{_of(p, 'metadata', 'name')} {_of(p, 'status', 'phase')}" for p in pods
        )
        raise ClusterError(
            f"no Pod of the engine runs in namespace {client.namespace}"
            + (f" ({states})" if states else ""),
            remedy="start the stack, and wait until it is ready",
        )
    return max(running, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))


def _request(
    secrets: Collection[str], files: Collection[str], texts: Collection[str]
) -> dict[str, Any]:
    return {"secrets": sorted(secrets), "files": sorted(files), "texts": sorted(texts)}


def _engine(
    answer: dict[str, Any], where: str, pod: Object | None, api_port: int | None
) -> LiveEngine:
    servers = answer["servers"]
    if api_port is not None:
        servers = [one for one in servers if _port(one) == api_port]
        where = f"{where} on port {api_port}"
    if len(servers) != 1:
        pids = ", ".join(str(server["pid"]) for server in servers)
        raise EngineError(
            f"no API server of vLLM runs {where}"
            if not servers
            else f"several API servers of vLLM run {where}: pids {pids}",
            remedy="wait until the engine has started, and see that it stays up"
            if not servers
            else "say which one is meant, by its pid",
        )
    server = servers[0]
    process = LiveProcess(
        pid=server["pid"],
        argv=tuple(server["argv"]),
        environ=server["environ"],
        vllm_version=server.get("vllm_version"),
        python_version=server.get("python_version"),
    )
    return LiveEngine(process=process, file_hashes=answer["files"], texts=answer["texts"], pod=pod)


def _port(server: dict[str, Any]) -> int:
    return listening_port(server["argv"], load_flag_table(server.get("vllm_version") or ""))


def _of(tree: Object | None, *path: str) -> Any:
    value: Any = tree
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _named(entries: Sequence[Object] | None, name: str) -> Object | None:
    return next((entry for entry in entries or () if entry.get("name") == name), None)
