"""Where a feed gets what it tells: a stack of this machine, or whatever is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from autosre_lab.engine.protocol import engine_url as normalised
from autosre_lab.errors import AutosreError, NotReadyError
from autosre_lab.local.stack_files import StackFiles, StackNote
from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.gpu import GpuReader
from autosre_lab.metrics.host import Connections, HostReader, HostSample, connections
from autosre_lab.metrics.limits import Limits, recipe_limits
from autosre_lab.metrics.live_rates import LiveRates
from autosre_lab.metrics.logs_feed import FollowedFile, LogFeed
from autosre_lab.metrics.vllm_text import scrape
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.settings import paths

__all__ = ["LocalStack", "Sources"]

NOTE_S = 2.0
_SCRAPE_S = 10.0


class LocalStack:
    """The stack of this machine, also one that is started, stopped or switched meanwhile.

    Args:
        state: Its state folder; the usual one by default.
    """

    def __init__(self, state: Path | None = None) -> None:
        self._files = StackFiles(state if state is not None else paths().state)
        self._note: StackNote | None = None
        self._read_at: float | None = None
        self._lock = threading.Lock()
        self._limits: dict[str, Limits] = {}

    def note(self) -> StackNote | None:
        """Return what was started; None where nothing was."""
        with self._lock:
            now = time.monotonic()
            if self._read_at is None or now - self._read_at >= NOTE_S:
                self._read_at = now
                self._note = self._files.read()
            return self._note

    def engine_url(self) -> str:
        """Return where its engine is.

        Raises:
            NotReadyError: Nothing was started.
        """
        note = self.note()
        if note is None:
            raise NotReadyError(
                "no stack runs here: start one with `autosre start`",
                remedy="start it with `autosre start`, or name the engine's URL",
            )
        return note.engine_url

    def engine_key(self) -> str | None:
        """Return what its engine wants as a bearer token, if anything."""
        note = self.note()
        return None if note is None else note.engine_key

    def ports(self) -> dict[str, int]:
        """Return its services' ports."""
        note = self.note()
        return {} if note is None else {"engine": note.engine_port, "proxy": note.proxy_port}

    def processes(self) -> dict[str, int]:
        """Return its services' process ids."""
        if self.note() is None:
            return {}
        records = {service.name: service.record() for service in self._files.services}
        return {
            name: record.pid
            for name, record in records.items()
            if record is not None and record.running and record.pid is not None
        }

    def logs(self) -> dict[str, Path]:
        """Return its services' log files."""
        if self.note() is None:
            return {}
        return {service.name: service.log_path for service in self._files.services}

    @property
    def request_log(self) -> Path:
        """The proxy's request log."""
        return self._files.request_log

    def limits(self) -> Limits:
        """Return the limits that its recipe names."""
        note = self.note()
        if note is None:
            return Limits()
        if note.fingerprint not in self._limits:
            self._limits = {note.fingerprint: _noted_limits(note)}
        return self._limits[note.fingerprint]


class Sources:
    """What a feed polls. What is not given is not polled.

    Args:
        engine_url: vLLM's base URL, or who knows it at the moment.
        engine_key: Tells what the engine wants as a bearer token.
        request_log: The proxy's request log.
        request_tail_bytes: How much of what it holds already is read at first.
        gpu: Reads the GPUs.
        host: Reads the machine.
        ports: Tells the ports whose connections are counted.
        proc: Where the connections are read; this machine's by default.
        logs: Reads logs.
        limits: Tells the engine's limits.
        step_bytes: Bytes that a decode step reads, for the bandwidth's utilisation; by the model's
            shape where not given.
        bandwidth_bytes_per_s: The memory's bandwidth; by the GPU's name where not given.
        patience_s: How long one poll waits for its sources.
    """

    def __init__(
        self,
        *,
        engine_url: str | Callable[[], str] | None = None,
        engine_key: Callable[[], str | None] = lambda: None,
        request_log: Path | None = None,
        request_tail_bytes: int = 0,
        gpu: GpuReader | None = None,
        host: HostReader | None = None,
        ports: Callable[[], dict[str, int]] | None = None,
        proc: Path = Path("/proc"),
        logs: LogFeed | None = None,
        limits: Callable[[], Limits] = Limits,
        step_bytes: float | None = None,
        bandwidth_bytes_per_s: float | None = None,
        patience_s: float = 0.5,
    ) -> None:
        self._engine_url = normalised(engine_url) if isinstance(engine_url, str) else engine_url
        self._engine_key = engine_key
        self._client = httpx.Client(timeout=_SCRAPE_S, trust_env=False)
        self._requests = (
            FollowedFile(request_log, from_end_bytes=request_tail_bytes, max_bytes=1 << 20)
            if request_log is not None
            else None
        )
        self._host = host
        self._ports = ports
        self._proc = proc
        self._logs = logs
        self.gpu = gpu
        self.limits = limits
        self.step_bytes = step_bytes
        self.bandwidth_bytes_per_s = bandwidth_bytes_per_s
        self.patience_s = patience_s

    @classmethod
    def of_local_stack(
        cls,
        *,
        state: Path | None = None,
        streams: Mapping[str, Iterable[str]] | None = None,
        **other: Any,
    ) -> Self:
        """Return the sources of the stack of this machine, whether it runs already or not.

        Args:
            state: Its state folder; the usual one by default.
            streams: Logs that are no files, such as Pods'.
            **other: Arguments of the class, in the place of the stack's own.
        """
        stack = LocalStack(state)
        own: dict[str, Any] = {
            "engine_url": stack.engine_url,
            "engine_key": stack.engine_key,
            "request_log": stack.request_log,
            "gpu": GpuReader(),
            "host": HostReader(processes=stack.processes),
            "ports": stack.ports,
            "logs": LogFeed(stack.logs, streams=streams),
            "limits": stack.limits,
        }
        return cls(**(own | other))

    def live_rates(self, seconds: float) -> LiveRates:
        """Return what computes the rates and the bottleneck of the last seconds."""
        return LiveRates(
            seconds,
            limits=self.limits,
            step_bytes=self.step_bytes,
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s,
        )

    def readers(self) -> dict[str, Callable[[], Any]]:
        """Return what to call for each source."""
        found: dict[str, Callable[[], Any]] = {}
        if self._engine_url is not None:
            found["engine"] = self._read_engine
        if self._requests is not None:
            found["requests"] = partial(_records, self._requests)
        if self.gpu is not None:
            found["gpu"] = self.gpu.read
        if self._host is not None:
            found["host"] = self._read_host
        if self._ports is not None:
            found["connections"] = self._read_connections
        if self._logs is not None:
            found["logs"] = self._logs.read
        return found

    def close(self) -> None:
        """Let go of connections, files and the driver."""
        self._client.close()
        if self._requests is not None:
            self._requests.close()
        if self._logs is not None:
            self._logs.close()
        if self.gpu is not None:
            self.gpu.close()

    def _read_engine(self) -> EngineSample:
        assert self._engine_url is not None  # noqa: S101 - a reader only with a URL
        url = self._engine_url if isinstance(self._engine_url, str) else self._engine_url()
        return scrape(self._client, url, key=self._engine_key())

    def _read_host(self) -> HostSample:
        assert self._host is not None  # noqa: S101 - a reader only with a host
        return self._host.read()

    def _read_connections(self) -> tuple[Connections, ...]:
        assert self._ports is not None  # noqa: S101 - a reader only with ports
        return connections(self._ports(), proc=self._proc)


def _records(log: FollowedFile) -> tuple[RequestRecord, ...]:
    return tuple(_decoded(log.read_lines()))


def _decoded(lines: Iterable[bytes]) -> Iterator[RequestRecord]:
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=RequestRecord)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # A machine that lost power leaves half a line.
            continue


def _noted_limits(note: StackNote) -> Limits:
    from autosre_lab.recipe import load_recipe

    try:
        return recipe_limits(note.started_recipe() or load_recipe(note.recipe_name))
    except AutosreError:
        return Limits()
