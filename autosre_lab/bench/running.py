"""Runs a coroutine from plain code, also where an event loop is running, as in a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

__all__ = ["run_async"]

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own and return its result.

    In a notebook that loop runs in a thread of its own: the kernel's would share its time with
    the display, and the times measured would be the display's.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    box: list[T] = []
    failures: list[BaseException] = []

    def target() -> None:
        try:
            box.append(_run(work))
        except BaseException as error:  # raised again in the caller
            failures.append(error)

    thread = threading.Thread(target=target, name="benchmark", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return box[0]


def _run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
