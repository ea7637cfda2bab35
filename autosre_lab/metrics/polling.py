"""Sources that are asked at once and cannot hold each other up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from autosre_lab.errors import AutosreError
from autosre_lab.logs import get_logger

__all__ = ["Answers", "PolledSources"]

logger = get_logger(__name__)


class Answers:
    """What the sources said in one round.

    Attributes:
        values: By source, of those that answered.
        errors: By source, of those that failed or have not answered yet.
        cost_s: By source, how long it took.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.errors: dict[str, str] = {}
        self.cost_s: dict[str, float] = {}


class PolledSources:
    """Asks each source in a thread of its own.

    An engine that is too busy to answer must not cost the power readings, and a driver that hangs
    must not cost the engine's. A late answer is not lost: it comes with a later round.

    Args:
        sources: What to call, by name.
    """

    def __init__(self, sources: Mapping[str, Callable[[], Any]]) -> None:
        self._sources = {name: _Source(name, read) for name, read in sources.items()}

    def ask(self, patience_s: float) -> Answers:
        """Ask all of them, and return what there is after at most that many seconds."""
        for source in self._sources.values():
            source.ask()
        deadline = time.monotonic() + patience_s
        answers = Answers()
        for name, source in self._sources.items():
            source.collect(name, answers, deadline)
        return answers

    def stop(self) -> None:
        """End the threads; one that hangs ends when what it waits for does."""
        for source in self._sources.values():
            source.stop()

    def join(self, timeout_s: float) -> None:
        """Wait for the threads to end."""
        deadline = time.monotonic() + timeout_s
        for source in self._sources.values():
            source.join(max(0.0, deadline - time.monotonic()))


class _Source:
    def __init__(self, name: str, read: Callable[[], Any]) -> None:
        self._read = read
        self._state = threading.Condition()
        self._asked_at: float | None = None
        self._answer: tuple[Any, str, float] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"source-{name}", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        with self._state:
            if self._asked_at is None:
                self._asked_at = time.monotonic()
                self._state.notify_all()

    def collect(self, name: str, answers: Answers, deadline: float) -> None:
        with self._state:
            self._state.wait_for(
                lambda: self._answer is not None, max(0.0, deadline - time.monotonic())
            )
            if self._answer is None:
                waited = time.monotonic() - (self._asked_at or time.monotonic())
                answers.errors[name] = f"no answer for {waited:.1f} s"
                return
            value, error, took_s = self._answer
            self._answer = self._asked_at = None
        answers.cost_s[name] = took_s
        if error:
            answers.errors[name] = error
        else:
            answers.values[name] = value

    def stop(self) -> None:
        with self._state:
            self._stopped = True
            self._state.notify_all()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(
                    lambda: self._stopped or (self._asked_at is not None and self._answer is None)
                )
                if self._stopped:
                    return
            begin = time.perf_counter()
            value, error = None, ""
            try:
                value = self._read()
            except AutosreError as failure:
                error = failure.message
            except Exception as failure:
                logger.debug("a source failed", exc_info=True)
                error = f"{type(failure).__name__}: {failure}"
            with self._state:
                self._answer = (value, error, time.perf_counter() - begin)
                self._state.notify_all()
