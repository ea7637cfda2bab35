"""Processes of a benchmark: started on loopback, watched by their CPU time and memory."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from autosre_lab.errors import EngineError, ServiceCrashedError

__all__ = ["MeasuredProcess", "free_port", "running"]

_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.1


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MeasuredProcess:
    """A started command with everything it starts in turn.

    Attributes:
        name: As the table shows it.
        pid: Of the command itself.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._root = psutil.Process(process.pid)
        self._log = log

    def cpu_s(self) -> float:
        """CPU seconds of the whole tree so far, ended and reaped children included."""
        total = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                used = process.cpu_times()
                own = used.user + used.system
                total += max(own, _exact_cpu_s(process.pid)) + (
                    used.children_user + used.children_system
                )
        return total

    def rss_mb(self) -> float:
        """Resident memory of the whole tree in MB (10^6 bytes); shared pages count each time."""
        total = 0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6

    def wait_ready(self, port: int, path: str, *, timeout_s: float) -> None:
        """Wait until a GET answers 200.

        Raises:
            ServiceCrashedError: It ended instead.
            EngineError: It does not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                tail = self._tail()
                raise ServiceCrashedError(
                    f"{self.name} ended with {code} instead of serving",
                    remedy="its last lines above say why",
                    service=self.name,
                    exit_code=code,
                    log_tail=tail,
                )
            if _answers(port, path):
                return
            time.sleep(_POLL_S)
        raise EngineError(
            f"{self.name} does not answer GET {path} within {timeout_s:.0f} s",
            remedy="run the benchmark on a quieter machine, or leave this contender out",
        )

    def stop(self) -> None:
        """End the tree: politely first, then not; only processes of this tree are touched."""
        tree = self._tree()
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_S)
        left = [process for process in tree if process.is_running()]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # psutil refuses a pid that was given to another process since
        psutil.wait_procs(left, timeout=_STOP_TIMEOUT_S)
        self._process.wait(_STOP_TIMEOUT_S)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _tail(self) -> list[str]:
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]


@contextlib.contextmanager
def running(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    log: Path,
    port: int,
    ready_path: str,
    timeout_s: float = 120.0,
) -> Iterator[MeasuredProcess]:
    """Start a command, wait until it serves, and end it when the block ends.

    Args:
        name: As messages call it.
        argv: The command.
        env: Its whole environment; this process's own when None.
        log: Where its output goes.
        port: Where it will listen.
        ready_path: A GET here answers 200 as soon as it serves.
        timeout_s: How long that may take.

    Raises:
        ServiceCrashedError: It ended instead of serving.
        EngineError: It does not serve in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if env is None else env),
            cwd=log.parent,
            start_new_session=True,
        )
    measured = MeasuredProcess(name, process, log)
    try:
        measured.wait_ready(port, ready_path, timeout_s=timeout_s)
        yield measured
    finally:
        measured.stop()


def _exact_cpu_s(pid: int) -> float:
    """CPU seconds of a process by its own clock; 0 where the system has none.

    Everywhere else Linux counts them in ticks of 10 ms, which is more than ten requests take.
    """
    if not sys.platform.startswith("linux"):
        return 0.0
    try:
        return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) numbers it
    except OSError:
        return 0.0


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
