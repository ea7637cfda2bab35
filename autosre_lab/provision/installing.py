"""Running installers: their progress as ours, their failure as an error that says what to do."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from autosre_lab.errors import ProvisionError
from autosre_lab.processes.lifeline import dies_with_us
from autosre_lab.progress import Step
from autosre_lab.settings import paths

__all__ = ["InstallerFailed", "check_disk", "installer_environment", "run_installer"]

TAIL_LINES = 15
SILENCE_S = 1.0

_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|ENOSPC|Errno 28",
        "free some disk space and start again; what is installed so far is kept",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|ENOTFOUND|EAI_AGAIN"
        r"|Network is unreachable|ConnectTimeout|Connection refused|ECONNREFUSED|ETIMEDOUT"
        r"|Failed to establish a new connection",
        "check the network (a proxy goes into HTTPS_PROXY) and start again; it goes on from here",
    ),
    (
        r"No matching distribution found|Could not find a version|is not a supported wheel",
        "this platform or Python has no build of it: Linux on x86-64 with Python 3.11 is tested",
    ),
    (
        r"GatedRepoError|401 Client Error|403 Client Error",
        "accept the model's terms on its page at the hub, then give your token: HF_TOKEN=…",
    ),
    (
        r"RepositoryNotFoundError|RevisionNotFoundError|404 Client Error",
        "correct model.repo and model.revision in the recipe; a private one needs HF_TOKEN",
    ),
    (r"EACCES|Permission denied", "make the data folder writable, or move it: AUTOSRE_DATA_DIR=…"),
)


class InstallerFailed(Exception):  # noqa: N818 - an outcome; who called decides what it means
    """An installer ended with an error.

    Attributes:
        tail: Its last lines.
        code: Its exit code.
    """

    def __init__(self, code: int, tail: Sequence[str]) -> None:
        super().__init__(code)
        self.code = code
        self.tail = list(tail)

    def says(self, pattern: str) -> bool:
        """Whether its last lines match."""
        return re.search(pattern, "\n".join(self.tail)) is not None

    def as_error(self, what: str) -> ProvisionError:
        """Return the error for a person, with the remedy for the likely cause."""
        remedy = "read the lines above; then start again, it goes on from here"
        for pattern, known in _CAUSES:
            if self.says(pattern):
                remedy = known
                break
        shown = "".join(f"\n  | {line}" for line in self.tail)
        return ProvisionError(f"{what} failed with exit code {self.code}{shown}", remedy=remedy)


def run_installer(
    argv: Sequence[str | os.PathLike[str]],
    bar: Step,
    *,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    on_line: Callable[[str, Step], None] | None = None,
    on_silence: Callable[[Step], None] | None = None,
) -> list[str]:
    """Run an installer to its end.

    Args:
        argv: The command.
        bar: Told what the installer is at.
        environ: Its environment.
        cwd: Its folder.
        on_line: Reads each line of output; shown as a note where not given.
        on_silence: Called about once a second while it prints nothing.

    Returns:
        Its last lines.

    Raises:
        InstallerFailed: It ended with another code than 0.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        [os.fspath(part) for part in argv],
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        # One that goes on without us would meet the next start's in the same folder.
        preexec_fn=dies_with_us(),
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            for raw in _lines(process.stdout):
                if raw is None:
                    if on_silence is not None:
                        on_silence(bar)
                    continue
                line = raw.strip()
                if not line:
                    continue
                if not line.startswith("Progress "):
                    tail.append(line[:500])
                (on_line or _show)(line, bar)
        except BaseException:
            process.terminate()
            raise
        code = process.wait()
    if code != 0:
        raise InstallerFailed(code, tail)
    return list(tail)


def _lines(output: IO[str]) -> Iterator[str | None]:
    """Yield lines as they come, and None for each second without one."""
    arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in output:
            arrived.put(line)
        arrived.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while True:
        try:
            line = arrived.get(timeout=SILENCE_S)
        except queue.Empty:
            yield None
            continue
        if line is None:
            reader.join()
            return
        yield line


def _show(line: str, bar: Step) -> None:
    bar.note(line[:60])


def installer_environment() -> dict[str, str]:
    """Return this process's environment without what would lead an installer astray."""
    foreign = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "AUTOSRE_PROXY_TOKEN")
    environ = {name: value for name, value in os.environ.items() if name not in foreign}
    return environ | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
        "npm_config_cache": str(paths().cache / "npm"),
        "npm_config_update_notifier": "false",
    }


def check_disk(folder: Path, needed_bytes: float, what: str) -> None:
    """Make sure that something fits before it is begun.

    Raises:
        ProvisionError: The disk has less free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise ProvisionError(
            f"{what} needs {needed_bytes / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free",
            remedy="free some disk space, or put the data elsewhere: AUTOSRE_DATA_DIR=/other/disk",
        )
