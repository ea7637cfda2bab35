"""One small process per service: runs it, keeps its log, notes how it ends, starts it again.

``python -m autosre_lab.local.supervisor --record FILE --log FILE [options] -- COMMAND …``

The service leads a session of its own and is told by the kernel when we die, so that nothing is
left behind, whoever is killed. It is started again only after it has once been ready (whoever
waited for that leaves the ready file): a service that never worked will not work the next time.
Standard library only, for this process lives as long as the service and should weigh little.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from autosre_lab.processes.files import read_json, write_private_json
from autosre_lab.processes.identity import (
    ProcessIdentity,
    end_session,
    identify,
    wake_session,
)
from autosre_lab.processes.lifeline import dies_with_us
from autosre_lab.processes.rotating_file import START_WORD, WRITER, RotatingFile

__all__ = ["main"]

RESTARTS = 3
"""Starts again within `RESTART_WINDOW_S`; whatever fails more often needs a person."""

RESTART_WINDOW_S = 600.0
RESTART_PAUSE_S = 0.5
RECORD_CHECK_S = 60.0
SAVE_AGAIN_S = 5.0
CLEAR_S = 3.0
"""Seconds that a service's own children get after its end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a service until it ends for good or we are told to end."""
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.local.supervisor")
    parser.add_argument("--record", type=Path, required=True, help="where to note what runs")
    parser.add_argument("--ready", type=Path, required=True, help="exists once it was ready")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-bytes", type=int, default=16 * 1024**2)
    parser.add_argument("--grace", type=float, default=20.0, help="seconds from SIGTERM to SIGKILL")
    parser.add_argument("--unset", action="append", default=[], help="variable the service lacks")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE of its own")
    parser.add_argument("--check", type=float, default=RECORD_CHECK_S, help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="+")
    return _Supervisor(parser.parse_args(argv)).run()


class _Supervisor:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._log = RotatingFile(options.log, max_bytes=options.log_bytes, keep=2)
        self._told_to_end = threading.Event()
        self._changed = threading.Event()
        self._record: dict[str, Any] = {
            "supervisor": identify(os.getpid()),
            "child": None,
            "started_at": None,
            "exit_code": None,
            "ended_at": None,
            "restarts": 0,
        }
        self._restarts: list[float] = []
        self._forgotten = False
        self._unsaved = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        # The terminal's hang-up is not meant for a service.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.umask(0o077)
        if not self._save():
            # Without a note nobody could find what we start.
            return os.EX_IOERR
        code = 0
        while not self._told_to_end.is_set():
            code = self._run_once()
            if self._told_to_end.is_set() or not self._may_restart():
                break
            self._record["restarts"] += 1
            self._restarts.append(time.monotonic())
            self._note(f"ended with {code}; starting it again")
            self._told_to_end.wait(RESTART_PAUSE_S)
        self._log.close()
        return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._told_to_end.set()
        self._changed.set()

    def _run_once(self) -> int:
        environ = {k: v for k, v in os.environ.items() if k not in self._options.unset}
        environ |= dict(entry.split("=", 1) for entry in self._options.set)
        # Whoever explains an end reads from here on, not what an earlier run has said.
        self._note(f"{START_WORD} {self._options.command[0]}")
        try:
            process = subprocess.Popen(
                self._options.command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_us(),
            )
        except OSError as error:
            self._note(f"cannot be started: {error}")
            self._save(child=None, exit_code=127, ended_at=time.time())
            return 127
        leader = identify(process.pid)
        self._save(child=leader, started_at=time.time(), exit_code=None, ended_at=None)
        assert process.stdout is not None  # noqa: S101 - asked for above
        pump = threading.Thread(target=self._pump, args=(process.stdout,), daemon=True)
        pump.start()
        code = self._wait(process, leader)
        pump.join(timeout=2.0)
        self._save(exit_code=code, ended_at=time.time())
        return code

    def _wait(self, process: subprocess.Popen[bytes], leader: ProcessIdentity | None) -> int:
        """Sleep until the service has ended or we are told to end it: no polling for months."""
        threading.Thread(target=self._reap, args=(process,), daemon=True).start()
        kill_at: float | None = None
        while process.returncode is None:
            left = self._options.check if kill_at is None else max(0.0, kill_at - time.monotonic())
            left = min(left, SAVE_AGAIN_S) if self._unsaved else left
            if not self._changed.wait(left) and kill_at is None:
                if self._unsaved:
                    self._save()
                elif not self._is_known():
                    self._told_to_end.set()
            self._changed.clear()
            if not self._told_to_end.is_set() or process.returncode is not None:
                continue
            if kill_at is None:
                kill_at = time.monotonic() + self._options.grace
                if leader is not None:
                    # Before it: a process that is woken by the signal itself may hear it in a
                    # thread that does not act on it.
                    wake_session(leader)
                process.terminate()
            elif time.monotonic() >= kill_at:
                process.kill()
                kill_at += CLEAR_S
        if leader is not None:
            # vLLM's engine core outlives an API server that was killed.
            end_session(leader, grace_s=CLEAR_S)
        return process.returncode

    def _is_known(self) -> bool:
        """Whether our record is still there: without it nobody could ever find and end us."""
        noted = read_json(self._options.record) or {}
        self._forgotten = noted.get("supervisor") != list(self._record["supervisor"])
        return not self._forgotten

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._changed.set()

    def _may_restart(self) -> bool:
        if not self._options.ready.exists():
            return False
        since = time.monotonic() - RESTART_WINDOW_S
        return sum(restart > since for restart in self._restarts) < RESTARTS

    def _pump(self, output: IO[bytes]) -> None:
        with output:
            # `read1` returns what there is, so that the log is never behind by a buffer.
            while data := output.read1(65536):  # type: ignore[attr-defined]
                self._log.write(data)

    def _note(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._log.write(f"{stamp} {WRITER} {text}\n".encode())

    def _save(self, **changes: object) -> bool:
        """Note what runs; returns whether that could be written."""
        self._record |= changes
        if self._forgotten:
            return True
        before, self._unsaved = self._unsaved, False
        try:
            write_private_json(self._options.record, self._record)
        except OSError as error:
            # A full disk must not end a service that works: it is noted when there is room again.
            self._unsaved = True
            if not before:
                self._note(f"cannot note what runs: {error}")
        return not self._unsaved


if __name__ == "__main__":
    sys.exit(main())
