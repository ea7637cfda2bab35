"""Runs a program that nobody trusts, and reads nothing of it but a pipe."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from autosre_lab.errors import SandboxError
from autosre_lab.sandbox.backends import Isolation, command_line, missing
from autosre_lab.sandbox.folders import give_to, scratch_folder, size_bytes
from autosre_lab.sandbox.limits import SandboxLimits, excess

__all__ = ["Outcome", "isolation", "run_sandboxed"]

_KEPT_BYTES = 20_000
_LOOK_S = 0.02
_FOLDER_LOOK_S = 0.5
_END_S = 10.0
# Nobody's: systemd leaves them to services of a moment, distributions give them to no one.
_UIDS = range(61_184, 65_520)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended.

    Attributes:
        exit_code: Its own; 128 and the signal's number where a signal ended it.
        ended_for: Why it was killed, in words; "" where it ended by itself.
        output: The end of what it wrote.
        seconds: How long it ran.
        isolation: ``bubblewrap``, ``namespaces`` or ``none``.
        started: False where there is no such program in the sandbox.
    """

    exit_code: int
    ended_for: str
    output: str
    seconds: float
    isolation: Isolation
    started: bool = True

    @property
    def passed(self) -> bool:
        """It ended by itself, and well."""
        return self.exit_code == 0 and not self.ended_for


@functools.cache
def isolation() -> Isolation:
    """Return what isolates here: ``bubblewrap``, ``namespaces``, or ``none``."""
    return next((how for how in get_args(Isolation) if not why_not(how)), "none")


@functools.cache
def why_not(how: Isolation) -> str:
    """Return why a backend cannot isolate here, or ""; a program is run in it to know."""
    if lacking := missing(how):
        return lacking
    try:
        with scratch_folder() as folder:
            found = _run([sys.executable, "-I", "-S", "-c", ""], folder, SandboxLimits(), how)
    except SandboxError as error:
        return error.message
    return "" if found.passed else found.output.strip() or f"exit code {found.exit_code}"


def run_sandboxed(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    limits: SandboxLimits | None = None,
    stdin: bytes = b"",
    network: bool = False,
    readable: Iterable[Path] = (),
    allow_unsafe: bool = False,
) -> Outcome:
    """Run a command in its own folder, alone.

    It sees the system's programs and this Python, read-only, and its folder: no home, no /run, no
    other process, no network. It has no rights of an administrator and cannot gain any.

    Args:
        command: What to run; nothing of this process's environment but the path reaches it.
        folder: Where it runs, and the only place that it can write to; a temporary one by default.
        limits: What it and all that it starts may take together.
        stdin: What it reads.
        network: Leave it the network of this machine, its abstract Unix sockets included.
        readable: Further files and folders that it may read.
        allow_unsafe: Run it with limits alone where nothing isolates.

    Raises:
        SandboxError: It cannot be isolated here, and `allow_unsafe` was not given.
    """
    how = isolation()
    if how == "none" and not allow_unsafe:
        reasons = "; ".join(f"{one}: {why_not(one)}" for one in get_args(Isolation)[:2])
        raise SandboxError(
            f"code that a model wrote cannot be isolated here ({reasons})",
            remedy="install bubblewrap (Debian: `sudo apt-get install bubblewrap`), or run `sudo "
            "sysctl kernel.unprivileged_userns_clone=1` (Debian) or "
            "`kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu), or run it in a container "
            "of its own with --allow-unsafe",
        )
    with contextlib.nullcontext(folder) if folder is not None else scratch_folder() as own:
        return _run(
            command,
            own,
            limits or SandboxLimits(),
            how,
            stdin=stdin,
            network=network,
            readable=readable,
        )


def _run(
    command: Sequence[str],
    folder: Path,
    limits: SandboxLimits,
    how: Isolation,
    *,
    stdin: bytes = b"",
    network: bool = False,
    readable: Iterable[Path] = (),
) -> Outcome:
    folder = folder.resolve()
    uid = secrets.choice(_UIDS) if os.geteuid() == 0 and how != "none" else None
    told, status = os.pipe()
    with contextlib.ExitStack() as at_end:
        at_end.callback(os.close, told)
        given = at_end.enter_context(tempfile.TemporaryFile())
        given.write(stdin)
        given.seek(0)
        if uid is not None:
            give_to(folder, uid, uid)
            at_end.callback(give_to, folder, os.getuid(), os.getgid())
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                command_line(
                    how,
                    command,
                    folder=folder,
                    limits=limits,
                    network=network,
                    readable=readable,
                    status=status,
                    uid=uid,
                ),
                cwd=folder,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(folder),
                start_new_session=True,
                pass_fds=(status,),
            )
        finally:
            os.close(status)
        try:
            ended, output = _watch(process, folder, limits)
        finally:
            _end(process)
        seconds = time.perf_counter() - started
        os.set_blocking(told, False)
        try:
            said = os.read(told, 2000).decode("utf-8", "replace").partition("\n")[0]
        except BlockingIOError:
            said = ""
    text = output.decode("utf-8", "replace")
    if said == "missing":
        text = f"there is no program {command[0]} in the sandbox"
    elif said != "ready" and not ended:
        raise SandboxError(
            f"the sandbox could not be made: {said.removeprefix('failed: ') or text.strip()}",
            remedy="run it as an ordinary user on a system with user namespaces, or install "
            "bubblewrap (Debian: `sudo apt-get install bubblewrap`)",
        )
    return Outcome(
        exit_code=process.returncode,
        ended_for=ended,
        output=text,
        seconds=seconds,
        isolation=how,
        started=said == "ready",
    )


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        # Bytecode of a check before would hide a change of the same size in the same second.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _watch(
    process: subprocess.Popen[bytes], folder: Path, limits: SandboxLimits
) -> tuple[str, bytes]:
    """Wait until a program has ended; return why it has to be ended, or "", and its output."""
    assert process.stdout is not None  # noqa: S101
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    deadline = time.monotonic() + limits.seconds
    allowed = size_bytes(folder) + limits.folder_bytes
    look_at_folder = time.monotonic() + _FOLDER_LOOK_S
    kept, count, opened = b"", 0, True
    while True:
        over = process.poll() is not None
        if opened and select.select([pipe], [], [], 0 if over else _LOOK_S)[0]:
            new = os.read(pipe, 1 << 16)
            opened = bool(new)
            kept, count = (kept + new)[-_KEPT_BYTES:], count + len(new)
            if count > limits.output_bytes:
                return f"more than {limits.output_bytes} bytes of output", kept
            if opened and over:
                continue
        elif not over and not opened:
            time.sleep(_LOOK_S)
        now = time.monotonic()
        if over:
            return "", kept
        if now > deadline:
            return f"more than {limits.seconds:g} s", kept
        # No limit of the kernel holds for a group where no control group is at hand.
        if why := excess(process.pid, limits):
            return why, kept
        if now > look_at_folder:
            if size_bytes(folder) > allowed:
                return f"more than {limits.folder_bytes >> 20} MiB of files", kept
            look_at_folder = time.monotonic() + _FOLDER_LOOK_S


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the first process of the sandbox, which takes all others with it, and wait for that."""
    if process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError):
            for one in children.read_text("ascii").split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(one), signal.SIGKILL)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
