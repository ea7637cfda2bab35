"""Runs what a model wrote: without a network, within limits, and never longer than told.

The program runs in namespaces of its own (user, network, process ids, mounts), in which it is
alone: it sees no other process, has no network but a loopback nobody listens on, and all of its
processes end with the first. Limits bound its memory, its CPU time, the size of its files and the
number of its processes. Only its own folder can be written to.
"""

from __future__ import annotations

import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from autosre_lab.errors import EvaluationError

__all__ = ["Limits", "Outcome", "isolation", "run_sandboxed"]

_OUTPUT_BYTES = 20_000
_LOOK_S = 0.02


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may take.

    Attributes:
        seconds: Of wall clock; everything it started is killed then.
        memory_bytes: Address space of each process.
        file_bytes: Of each file.
        processes: At the same time; it is killed when there are more.
    """

    seconds: float = 10.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 1 << 24
    processes: int = 64


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended.

    Attributes:
        exit_code: Its own; negative for a signal.
        ended_for: Why it was killed, in words; "" where it ended by itself.
        output: The end of what it wrote.
        seconds: How long it ran.
        isolation: ``namespaces`` or ``none``.
    """

    exit_code: int
    ended_for: str
    output: str
    seconds: float
    isolation: str

    @property
    def passed(self) -> bool:
        """It ended by itself, and well."""
        return self.exit_code == 0 and not self.ended_for


@functools.cache
def isolation() -> str:
    """Return ``namespaces`` where this user may make them, else ``none``."""
    if shutil.which("unshare") is None:
        return "none"
    probe = subprocess.run([*_namespaces(), "true"], capture_output=True, timeout=20, check=False)
    return "namespaces" if probe.returncode == 0 else "none"


def run_sandboxed(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    limits: Limits | None = None,
    network: bool = False,
    allow_unsafe: bool = False,
) -> Outcome:
    """Run a command in its own folder, alone.

    Args:
        command: What to run; nothing of this process's environment but the path reaches it.
        folder: Where it runs, and the only place it can write to; a temporary one by default.
        limits: What it may take.
        network: Leave it the network of this machine.
        allow_unsafe: Run it with limits alone where there are no namespaces.

    Raises:
        EvaluationError: It cannot be isolated here, and `allow_unsafe` was not given.
    """
    how = isolation()
    if how == "none" and not allow_unsafe:
        raise EvaluationError(
            "code that a model wrote cannot be isolated here: no user namespaces",
            remedy="run `sudo sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
            "`kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), or run it in a container "
            "with --allow-unsafe",
        )
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            return _run(command, Path(made), limits or Limits(), how, network=network)
    return _run(command, folder, limits or Limits(), how, network=network)


def _run(
    command: Sequence[str], folder: Path, limits: Limits, how: str, *, network: bool
) -> Outcome:
    prefix = [*_namespaces(network=network), *_read_only(folder)] if how != "none" else []
    output = folder / ".output"
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        # Bytecode of a check before would hide a change of the same size in the same second.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    started = time.perf_counter()
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*prefix, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_limiting(limits),
        )
        ended = _watch(process, limits)
        if ended:
            # The first process of a pid namespace takes all others with it.
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    seconds = time.perf_counter() - started
    with output.open("rb") as written:
        written.seek(max(0, output.stat().st_size - _OUTPUT_BYTES))
        text = written.read().decode("utf-8", "replace")
    output.unlink(missing_ok=True)
    return Outcome(exit_code=code, ended_for=ended, output=text, seconds=seconds, isolation=how)


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> str:
    """Wait until a program has ended; return why it has to be ended, or ""."""
    deadline = time.monotonic() + limits.seconds
    while time.monotonic() < deadline:
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            # No limit of the kernel holds for root, and no control group is at hand everywhere.
            if _descendants(process.pid, limits.processes) > limits.processes:
                return f"more than {limits.processes} processes"
        else:
            return ""
    return f"more than {limits.seconds:g} s"


def _descendants(pid: int, enough: int) -> int:
    """Count a process's descendants, no further than is needed."""
    count, left = 0, [pid]
    while left and count <= enough:
        one = left.pop()
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text("ascii").split()
        except OSError:
            continue
        left += map(int, children)
        count += len(children)
    return count


def _namespaces(*, network: bool = False) -> list[str]:
    own = [] if network else ["--net"]
    kinds = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--ipc", *own]
    return ["unshare", *kinds, "--mount-proc", "--kill-child=SIGKILL"]


def _read_only(folder: Path) -> list[str]:
    """Make everything read-only but the folder, then run the rest as it stands."""
    script = (
        'mount --bind -- "$1" "$1" && mount -o remount,bind,ro / / 2>/dev/null; '
        'mount -o remount,bind,rw -- "$1" 2>/dev/null; '
        "mount -t tmpfs -o size=16m tmpfs /dev/shm 2>/dev/null; "
        'cd -- "$1" && shift && exec "$@"'
    )
    return ["sh", "-c", script, "sandbox", str(folder)]


def _limiting(limits: Limits) -> Callable[[], None]:
    def limit() -> None:
        cpu = max(1, round(limits.seconds) + 1)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    return limit


if sys.platform != "linux":  # pragma: no cover
    raise ImportError("the sandbox needs Linux")
