"""Runs an agent's command line: in this process's place, or as a child that decides about signals.

Standard error passes through a filter only where a launch names lines to leave out.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from autosre_lab.agents.launch import Launch
from autosre_lab.processes.lifeline import dies_with_us

__all__ = ["become", "capture", "run_in_terminal"]

STOP_GRACE_S = 5.0
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def become(launch: Launch) -> NoReturn:
    """Become the agent: it inherits this process, its terminal, its signals and its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if launch.noise:
        code = run_in_terminal(launch, None)
        sys.stderr.flush()
        if code > 128 and code - 128 in {number.value for number in signal.Signals}:
            # Whoever waits for us shall see the signal, as if the agent had been in our place.
            signal.signal(code - 128, signal.SIG_DFL)
            os.kill(os.getpid(), code - 128)
        raise SystemExit(code)
    # Python ignores these two, and what is ignored stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execve(launch.argv[0], launch.argv, launch.env)  # noqa: S606 - the point of it


def run_in_terminal(launch: Launch, cwd: Path | None) -> int:
    """Run the agent in this terminal and wait for its end.

    Returns:
        Its exit code; 128 + N where signal N ended it.
    """
    with _left_to_the_child() as child:
        code = child.run(launch, cwd)
    return 128 - code if code < 0 else code


def capture(
    launch: Launch, text: str, *, cwd: Path, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run the agent with a text as its standard input, and return what it wrote.

    Raises:
        TimeoutError: It took longer; it has been ended.
    """
    with subprocess.Popen(
        launch.argv,
        env=launch.env,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            out, err = process.communicate(text, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        finally:
            _end(process)
    kept = (line for line in err.splitlines(keepends=True) if not _is_noise(line, launch.noise))
    return subprocess.CompletedProcess(launch.argv, process.returncode, out, "".join(kept))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.communicate(timeout=STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _is_noise(line: str, noise: Sequence[str]) -> bool:
    return any(text in line for text in noise)


def _pass_on(source: IO[bytes], noise: Sequence[str]) -> None:
    for line in source:
        if not _is_noise(line.decode("utf-8", "replace"), noise):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


class _Child:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def run(self, launch: Launch, cwd: Path | None) -> int:
        self._process = subprocess.Popen(
            launch.argv,
            env=launch.env,
            cwd=cwd,
            stderr=subprocess.PIPE if launch.noise else None,
            # A filter that was killed must not leave its agent running.
            preexec_fn=dies_with_us() if launch.noise else None,
        )
        # What came while the child existed and had no name yet.
        for number in self._early:
            self._process.send_signal(number)
        if self._process.stderr is None:
            return self._process.wait()
        reader = threading.Thread(
            target=_pass_on, args=(self._process.stderr, launch.noise), daemon=True
        )
        reader.start()
        code = self._process.wait()
        # What the agent started may hold the pipe open: it is not waited for.
        reader.join(STOP_GRACE_S)
        return code

    def forward(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


@contextmanager
def _left_to_the_child() -> Iterator[_Child]:
    """Let the child decide about signals: the terminal sends it SIGINT itself, the rest is passed.

    Signal handlers belong to the main thread; in another one (a notebook's worker) nothing is set.
    """
    child = _Child()
    before = {}
    try:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _not_ours)
        for number in _FORWARDED:
            before[number] = signal.signal(number, child.forward)
    except ValueError:
        before.clear()
    try:
        yield child
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _not_ours(number: int, frame: FrameType | None) -> None:
    """Take no notice: SIG_IGN would be inherited by the child, which shall hear it."""
