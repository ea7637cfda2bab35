"""Child processes that do not outlive the process that started them, however it ends. Linux."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

__all__ = ["dies_with_us"]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may wait for a lock


def dies_with_us() -> Callable[[], None]:
    """Return a ``preexec_fn``: the kernel sends the child SIGTERM when the calling thread ends.

    The thread, not the process: who starts the child has to wait for it in the same thread.
    """
    parent = os.getpid()

    def ask_the_kernel() -> None:
        if sys.platform != "linux":
            return  # a client's machine: what it runs is short, and nobody else can be asked
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the kernel knew our wish
            os.kill(os.getpid(), signal.SIGKILL)

    return ask_the_kernel
