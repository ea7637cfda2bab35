"""A supervised service as its record tells it: start it, look at it, stop it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosre_lab.engine.diagnosis import Diagnosis, diagnose, root_cause_lines
from autosre_lab.errors import EngineError
from autosre_lab.processes.files import is_locked, read_json
from autosre_lab.processes.identity import (
    ProcessIdentity,
    end_session,
    is_alive,
    is_of_this_boot,
    session_members,
)
from autosre_lab.processes.rotating_file import lines_of_last_run

__all__ = ["Service", "ServiceRecord"]

TAIL_LINES = 20
"""Lines shown to a person."""

DIAGNOSED_LINES = 500
"""Lines looked through: vLLM tells its cause first and three long tracebacks after it."""

_START_TIMEOUT_S = 15.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """What the supervisor has noted.

    Attributes:
        running: The service's process runs now.
        supervised: Its supervisor runs now; it may be about to start the service again.
        pid: Of the service; None if it was never started.
        started_at: Seconds since the epoch.
        exit_code: How it last ended; negative for a signal; None while it runs or if unknown.
        restarts: How often it was started again.
        this_boot: The machine has not been started again since.
    """

    running: bool
    supervised: bool
    pid: int | None
    started_at: float | None
    exit_code: int | None
    restarts: int
    this_boot: bool


class Service:
    """One service of the stack, by its files.

    Args:
        name: "engine" or "proxy".
        state: The state folder.
    """

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self.record_path = state / f"{name}.json"
        self.ready_path = state / f"{name}.ready"
        self.log_path = state / "logs" / f"{name}.log"
        self._lock_path = state / f"{name}.lock"

    def start(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        grace_s: float,
        own: Mapping[str, str | None] | None = None,
        holds: Sequence[int] = (),
    ) -> None:
        """Start the service under a supervisor that outlives this process.

        Args:
            command: The service's argument list; no secrets in it.
            environ: The whole environment of supervisor and service.
            grace_s: Seconds from SIGTERM to SIGKILL when it is stopped.
            own: Variables that are others for the service than for its supervisor; None where
                it lacks one. They are seen in the list of processes.
            holds: Descriptors that the supervisor keeps open as long as it lives.

        Raises:
            EngineError: The supervisor did not start.
        """
        self.forget()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        options = ["--record", self.record_path, "--ready", self.ready_path]
        options += ["--log", self.log_path, "--grace", grace_s]
        for name, value in (own or {}).items():
            options += ["--unset", name] if value is None else ["--set", f"{name}={value}"]
        command_line = [sys.executable, "-m", "autosre_lab.local.supervisor", *map(str, options)]
        # The supervisor inherits the lock and so holds it as long as it lives: if we are killed
        # right here, whoever comes next sees that there is one, before it has noted anything.
        with self.log_path.open("ab") as log, self._lock_path.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [*command_line, "--", *command],
                env=dict(environ),
                cwd=self.log_path.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock.fileno(), *holds),
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while read_json(self.record_path) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                shown = "\n".join(self.tail())
                raise EngineError(
                    f"the {self.name}'s supervisor did not start: {shown}",
                    remedy=f"see {self.log_path}; the state folder must be writable",
                )
            time.sleep(_POLL_S)
        _let_go(process)

    def record(self) -> ServiceRecord | None:
        """Return what is known of the service; None if it was never started or was stopped."""
        noted = read_json(self.record_path)
        if noted is None:
            return None
        child = _identity(noted.get("child"))
        supervisor = _identity(noted.get("supervisor"))
        return ServiceRecord(
            running=child is not None and is_alive(child),
            supervised=supervisor is not None and is_alive(supervisor),
            pid=child.pid if child else None,
            started_at=noted.get("started_at"),
            exit_code=noted.get("exit_code"),
            restarts=int(noted.get("restarts") or 0),
            this_boot=supervisor is not None and is_of_this_boot(supervisor),
        )

    def listens_on(self, port: int) -> bool:
        """Whether the service itself, and nobody else, listens on a port."""
        import psutil

        child = _identity((read_json(self.record_path) or {}).get("child"))
        for pid in session_members(child) if child is not None else ():
            with suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                        return True
        return False

    def mark_ready(self) -> None:
        """Note that it has worked: from now on it is started again if it ends by itself."""
        self.ready_path.touch()

    def stop(self, *, timeout_s: float) -> None:
        """End supervisor and service, and whatever the service has started; then forget them."""
        self._await_record()
        noted = read_json(self.record_path) or {}
        supervisor, child = _identity(noted.get("supervisor")), _identity(noted.get("child"))
        deadline = time.monotonic() + timeout_s
        if supervisor is not None and is_alive(supervisor):
            _signal(supervisor, signal.SIGTERM)
            while is_alive(supervisor) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            # It may have started the service again while we were reading.
            child = _identity((read_json(self.record_path) or {}).get("child")) or child
            if is_alive(supervisor):
                _signal(supervisor, signal.SIGKILL)
        if child is not None:
            end_session(child, grace_s=max(0.0, deadline - time.monotonic()))
        self.forget()

    def forget(self) -> None:
        """Delete the files that describe what runs; the log stays."""
        self.ready_path.unlink(missing_ok=True)
        self.record_path.unlink(missing_ok=True)

    def tail(self) -> list[str]:
        """Return the last lines of its log that its last run has written."""
        return lines_of_last_run(self.log_path, TAIL_LINES)

    def last_words(self) -> list[str]:
        """Return the lines of its log that tell why it ended, the root cause last."""
        return root_cause_lines(lines_of_last_run(self.log_path, DIAGNOSED_LINES), TAIL_LINES)

    def diagnosis(self) -> Diagnosis:
        """Return why it ended, as far as its log and its exit code tell."""
        record = self.record()
        lines = lines_of_last_run(self.log_path, DIAGNOSED_LINES)
        return diagnose(lines, record.exit_code if record else None)

    def _await_record(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.record_path.exists() and is_locked(self._lock_path):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"the supervisor of the {self.name} is running, but its status file is missing "
                    "or unreadable",
                    remedy=f"end the process that `fuser {self._lock_path}` names",
                )
            time.sleep(_POLL_S)


def _identity(noted: Any) -> ProcessIdentity | None:
    if not isinstance(noted, list) or len(noted) != 2:
        return None
    return ProcessIdentity(int(noted[0]), str(noted[1]))


def _signal(identity: ProcessIdentity, number: signal.Signals) -> None:
    if is_alive(identity):
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Leave a child to run on without us; a thread reaps it if it ends while we live."""
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()
