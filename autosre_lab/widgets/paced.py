"""Updates of a view at a bounded rate, and an end to all of them when the kernel ends."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable

from autosre_lab.logs import get_logger

__all__ = ["INTERVAL_S", "Paced", "close_at_exit"]

logger = get_logger(__name__)

INTERVAL_S = 0.5
"""Seconds between two updates at least: twice a second is what a person can follow."""


class Paced:
    """Calls a function when asked, at most twice a second, in a thread of its own.

    However often it is asked meanwhile, the function is called once: what it shows is the newest.

    Args:
        update: What to call; it may not be called again before it has returned.
        interval_s: Seconds from one call to the next at least.
    """

    def __init__(self, update: Callable[[], None], *, interval_s: float = INTERVAL_S) -> None:
        self._update = update
        self._interval_s = interval_s
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Have it called soon."""
        with self._lock:
            if self._ended.is_set():
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="paced", daemon=True)
                self._thread.start()
        self._asked.set()

    def close(self, *, last: bool = True) -> None:
        """End; with `last` what was asked for is still shown."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            thread = self._thread
        self._asked.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)
        if last:
            self._call()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._ended.is_set():
                return
            self._call()
            if self._ended.wait(self._interval_s):
                return

    def _call(self) -> None:
        try:
            self._update()
        except Exception:
            # One view that cannot be drawn must not end the work that it shows.
            logger.warning("a view could not be updated", exc_info=True)


_OPEN: weakref.WeakSet[object] = weakref.WeakSet()


def close_at_exit(one: object) -> None:
    """Have `one.close()` called when the kernel is shut down, if it still is there."""
    _OPEN.add(one)


@atexit.register
def _close_all() -> None:
    for one in list(_OPEN):
        close = getattr(one, "close", None)
        if close is not None:
            close()
