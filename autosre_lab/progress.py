"""The one progress-bar style: a bar in a terminal, a widget in a notebook, lines elsewhere.

A step says what it does, counts what it has done, and ends with what came of it::

    with step("Install vLLM", total=3_500_000_000, unit="B") as bar:
        bar.advance(65536)
        bar.note("torch 2.13.0")

Who shows steps in a way of his own, as widgets do, says so with `steps_shown_by`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from autosre_lab.surroundings import surroundings

__all__ = ["ShownStep", "Step", "Stopped", "step", "steps_shown_by"]

HEADLESS_INTERVAL_S = 10.0
"""Seconds between two lines of one step where no bar can be drawn: enough to see that it lives."""

DEFAULT_COLUMNS, DEFAULT_ROWS = 80, 24
"""Size of a terminal that does not know its own."""

TICK_S = 1.0
"""Seconds between two looks at the clock."""


class Step(Protocol):
    """One running step, as its caller sees it."""

    def advance(self, amount: float = 1) -> None:
        """Count `amount` more units as done."""

    def reach(self, done: float, total: float | None = None) -> None:
        """Set the units done so far, and the total where it has become known."""

    def note(self, text: str) -> None:
        """Show what is being done right now, in a few words."""


class ShownStep(Step, Protocol):
    """A step with its end, as who shows it sees it."""

    def tick(self) -> None:
        """A second has passed."""

    def close(self, *, failed: bool) -> None:
        """It has ended."""


class Stopped(KeyboardInterrupt):
    """Who watches has pressed Stop: raised where a step says something, and treated as Ctrl-C."""


_SHOWN_BY: ContextVar[Callable[[str, float | None, str], ShownStep] | None] = ContextVar(
    "steps_shown_by", default=None
)


@contextmanager
def steps_shown_by(view: Callable[[str, float | None, str], ShownStep]) -> Iterator[None]:
    """Have the steps of this thread shown by something else than a bar or lines.

    Args:
        view: Called with a step's label, total and unit when it begins. What it returns may raise
            `Stopped` from `advance`, `reach` and `note`, which ends the step.
    """
    token = _SHOWN_BY.set(view)
    try:
        yield
    finally:
        _SHOWN_BY.reset(token)


@contextmanager
def step(label: str, *, total: float | None = None, unit: str = "it") -> Iterator[Step]:
    """Show a step's progress until the block ends; a failure leaves the bar where it stood.

    Args:
        label: What is done, as an imperative: "Install vLLM".
        total: Units in all; None where nobody knows, which shows the time only.
        unit: What is counted; "B" is shown as kB, MB and GB.
    """
    usual = _Lines if surroundings() == "headless" or not _has_bars() else _Bar
    shown: ShownStep = (_SHOWN_BY.get() or usual)(label, total, unit)
    ended = threading.Event()
    ticker = threading.Thread(target=_tick, args=(shown, ended), name="progress", daemon=True)
    ticker.start()
    failed = True
    try:
        yield shown
        failed = False
    finally:
        ended.set()
        ticker.join()
        shown.close(failed=failed)


def _has_bars() -> bool:
    """Whether tqdm is installed; while a clone's own environment is made it is not."""
    return importlib.util.find_spec("tqdm") is not None


def _tick(shown: ShownStep, ended: threading.Event) -> None:
    """Let the clock go on while what is done says nothing for minutes."""
    while not ended.wait(TICK_S):
        shown.tick()


class _Bar:
    def __init__(self, label: str, total: float | None, unit: str) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(
            total=total,
            desc=label,
            unit=unit,
            unit_scale=unit == "B",
            leave=True,
            **_size(),
            file=sys.stderr,
            bar_format=None if total is not None else "{desc}: {elapsed}{postfix}",
        )
        self._unbounded = total is None

    def advance(self, amount: float = 1) -> None:
        self._bar.update(amount)
        if self._unbounded:
            self._bar.refresh()

    def reach(self, done: float, total: float | None = None) -> None:
        if total is not None and total != self._bar.total:
            started = self._bar.start_t
            self._bar.bar_format = None
            self._bar.reset(total)  # a widget's range follows only this
            self._bar.start_t = started
            self._unbounded = False
        self._bar.update(done - self._bar.n)
        if self._unbounded:
            self._bar.refresh()

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=True)

    def tick(self) -> None:
        self._bar.refresh()

    def close(self, *, failed: bool) -> None:
        if self._unbounded:
            # A notebook's bar is full and green, or red, by comparing the two.
            self._bar.n = max(self._bar.n, 1)
            self._bar.total = self._bar.n + failed
        elif not failed and self._bar.n < self._bar.total:
            self._bar.update(self._bar.total - self._bar.n)
        self._bar.set_postfix_str("failed" if failed else "done", refresh=True)
        self._bar.close()


def _size() -> dict[str, Any]:
    """Return tqdm's options for a bar's size.

    It follows the terminal's; on one that says 0 x 0, as serial lines and bare containers do,
    tqdm would draw nothing.
    """
    try:
        sized = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):  # a notebook: standard error is no terminal
        sized = True
    if sized:
        return {"dynamic_ncols": True}
    return {"ncols": DEFAULT_COLUMNS, "nrows": DEFAULT_ROWS}


class _Lines:
    def __init__(self, label: str, total: float | None, unit: str) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._done = 0.0
        self._note = ""
        self._started = self._last_line = time.monotonic()
        self._print("…")

    def tick(self) -> None:
        self._maybe_print()

    def advance(self, amount: float = 1) -> None:
        self._done += amount
        self._maybe_print()

    def reach(self, done: float, total: float | None = None) -> None:
        self._done = done
        self._total = self._total if total is None else total
        self._maybe_print()

    def note(self, text: str) -> None:
        self._note = text
        self._maybe_print()

    def close(self, *, failed: bool) -> None:
        took = time.monotonic() - self._started
        self._print(f"{'failed' if failed else 'done'} in {took:.1f} s")

    def _maybe_print(self) -> None:
        if time.monotonic() - self._last_line >= HEADLESS_INTERVAL_S:
            share = f"{100 * self._done / self._total:.0f} %" if self._total else ""
            passed = f"{time.monotonic() - self._started:.0f} s"
            self._print(" ".join(part for part in (share, self._note, passed) if part))

    def _print(self, text: str) -> None:
        self._last_line = time.monotonic()
        sys.stderr.write(f"{self._label}: {text}\n")
        sys.stderr.flush()
