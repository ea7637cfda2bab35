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
from autosre_lab.private_files import open_private, private_folder
from autosre_lab.processes.files import is_locked, read_json, write_private_json
from autosre_lab.processes.identity import (
    ProcessIdentity,
    children,
    end_session,
    holders,
    identify,
    is_alive,
    is_of_this_boot,
    is_paused,
    session_members,
)
from autosre_lab.processes.rotating_file import lines_of_last_run

__all__ = ["Service", "ServiceRecord"]

TAIL_LINES = 20
"""Lines shown to a person."""

DIAGNOSED_LINES = 500
"""Lines looked through: vLLM tells its cause first and three long tracebacks after it."""

_START_TIMEOUT_S = 15.0
_NOTE_TIMEOUT_S = 3.0
_ASK_AGAIN_S = 1.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """What the supervisor has noted.

    Attributes:
        running: The service's process runs now.
        paused: A process of it was stopped by a signal, such as SIGSTOP.
        supervised: Its supervisor runs now; it may be about to start the service again.
        pid: Of the service; None if it was never started.
        started_at: Seconds since the epoch.
        exit_code: How it last ended; negative for a signal; None while it runs or if unknown.
        restarts: How often it was started again.
        this_boot: The machine has not been started again since.
    """

    running: bool
    supervised: bool
    paused: bool
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
        private_folder(self.log_path.parent)
        # Where this cannot be written, nothing is started that nobody could find again.
        write_private_json(self.record_path, {})
        options = ["--record", self.record_path, "--ready", self.ready_path]
        options += ["--log", self.log_path, "--grace", grace_s]
        for name, value in (own or {}).items():
            options += ["--unset", name] if value is None else ["--set", f"{name}={value}"]
        command_line = [sys.executable, "-m", "autosre_lab.local.supervisor", *map(str, options)]
        # The supervisor inherits the lock and so holds it as long as it lives: if we are killed
        # right here, whoever comes next sees that there is one, before it has noted anything.
        with (
            os.fdopen(open_private(self.log_path, os.O_WRONLY | os.O_APPEND), "ab") as log,
            os.fdopen(open_private(self._lock_path, os.O_RDWR), "r+b") as lock,
        ):
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
        while _identity((read_json(self.record_path) or {}).get("supervisor")) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                process.terminate()  # it ends what it has started
                shown = "\n".join(self.tail())
                raise EngineError(
                    f"the {self.name}'s supervisor did not start: {shown}",
                    remedy=f"see {self.log_path}; the state folder must be writable, and its disk "
                    "not full",
                )
            time.sleep(_POLL_S)
        _let_go(process)

    def record(self) -> ServiceRecord | None:
        """Return what is known of the service; None if it was never started or was stopped."""
        supervisor, child, noted = self._found()
        if supervisor is None:
            return None
        started_at, exit_code = noted.get("started_at"), noted.get("exit_code")
        restarts = noted.get("restarts")
        return ServiceRecord(
            running=child is not None and is_alive(child),
            supervised=is_alive(supervisor),
            paused=child is not None and any(map(_is_paused, session_members(child))),
            pid=child.pid if child else None,
            started_at=started_at if isinstance(started_at, (int, float)) else None,
            exit_code=exit_code if isinstance(exit_code, int) else None,
            restarts=restarts if isinstance(restarts, int) else 0,
            this_boot=is_of_this_boot(supervisor),
        )

    def _found(
        self,
    ) -> tuple[ProcessIdentity | None, ProcessIdentity | None, dict[str, Any]]:
        """Return supervisor, service and what is noted; found by the lock where no note tells.

        A supervisor on a full disk cannot note what it does, and a note can be spoilt. It holds
        the lock as long as it lives.
        """
        noted = read_json(self.record_path) or {}
        supervisor, child = _identity(noted.get("supervisor")), _identity(noted.get("child"))
        if (supervisor is None or not is_alive(supervisor)) and is_locked(self._lock_path):
            for holder in holders(self._lock_path):
                supervisor, noted = holder, {}
                child = next(iter(children(holder)), None)
        return supervisor, child, noted

    def listens_on(self, port: int) -> bool:
        """Whether the service itself, and nobody else, listens on a port."""
        import psutil

        _, child, _ = self._found()
        for pid in session_members(child) if child is not None else ():
            with suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                        return True
        return False

    def mark_ready(self) -> None:
        """Note that it has worked: from now on it is started again if it ends by itself."""
        os.close(open_private(self.ready_path, os.O_WRONLY))

    def stop(self, *, timeout_s: float) -> None:
        """End supervisor and service, and whatever the service has started; then forget them."""
        self._await_record()
        supervisor, child, _ = self._found()
        deadline = time.monotonic() + timeout_s
        if supervisor is not None and is_alive(supervisor):
            _signal(supervisor, signal.SIGCONT)  # one that is paused hears nothing else
            asked_s = 0.0
            while is_alive(supervisor) and time.monotonic() < deadline:
                if time.monotonic() > asked_s + _ASK_AGAIN_S:
                    # The kernel may give a signal to a thread that does not act on it, as it does
                    # with a process that was just woken.
                    asked_s = time.monotonic()
                    _signal(supervisor, signal.SIGTERM)
                time.sleep(_POLL_S)
            # It may have started the service again while we were reading.
            child = self._found()[1] or child
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
        """Give a supervisor that has just been started the time to note what it does."""
        deadline = time.monotonic() + _NOTE_TIMEOUT_S
        while self._found()[1] is None and is_locked(self._lock_path):
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)


def _identity(noted: Any) -> ProcessIdentity | None:
    match noted:
        case [int(pid), str(born)] if pid > 0:
            return ProcessIdentity(pid, born)
    return None


def _is_paused(pid: int) -> bool:
    identity = identify(pid)
    return identity is not None and is_paused(identity)


def _signal(identity: ProcessIdentity, number: signal.Signals) -> None:
    if is_alive(identity):
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Leave a child to run on without us; a thread reaps it if it ends while we live."""
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()
