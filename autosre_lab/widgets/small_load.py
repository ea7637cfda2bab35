"""A little traffic, so that a dashboard has something to show."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from autosre_lab.errors import NotReadyError

if TYPE_CHECKING:
    from autosre_lab.bench.target import Target
    from autosre_lab.bench.workload import Workload

__all__ = ["running_target", "send_small_load"]

_LOOK_S = 0.2


def running_target() -> Target:
    """Return the running stack as something to send requests to.

    Raises:
        NotReadyError: No stack is ready.
    """
    from autosre_lab import lifecycle
    from autosre_lab.bench.running_stack import what_runs

    state = lifecycle.status().state
    if state != "ready":  # one that starts is not waited for here
        raise NotReadyError(
            f"the stack is {state}", remedy="start it: autosre start, or notebook 2"
        )
    return what_runs().target


def send_small_load(
    seconds: float = 30.0,
    *,
    at_once: int = 2,
    window: int = 8192,
    stopping: threading.Event | None = None,
    target: Target | None = None,
) -> int:
    """Send short sessions through the proxy until the time is over.

    Args:
        seconds: No session starts later than that.
        at_once: Sessions under way at the same time.
        window: Tokens that the model's context holds.
        stopping: Once set, what runs is cancelled.
        target: Where to; the running stack by default.

    Returns:
        Requests answered.

    Raises:
        NotReadyError: No stack is ready.
    """
    from autosre_lab.bench.running import run_async

    return run_async(_send(target or running_target(), seconds, at_once, window, stopping))


async def _send(
    target: Target, seconds: float, at_once: int, window: int, stopping: threading.Event | None
) -> int:
    from autosre_lab.bench.arrivals import parse_arrivals
    from autosre_lab.bench.load import run_load
    from autosre_lab.bench.timing import RequestTiming
    from autosre_lab.progress import Stopped, step

    answered = 0

    def seen(timing: RequestTiming) -> None:
        nonlocal answered
        answered += timing.error is None

    begin = time.monotonic()
    seed = int(begin * 1000)
    with step("Send a small load", total=seconds, unit="s") as bar:
        while (left := seconds - (time.monotonic() - begin)) > 0:
            seed += 1
            load = asyncio.create_task(
                run_load(
                    _sessions(seed, at_once, window),
                    target,
                    parse_arrivals(f"closed:{at_once}"),
                    duration_s=left,
                    seen=seen,
                )
            )
            while not load.done():
                await asyncio.wait([load], timeout=_LOOK_S)
                if stopping is not None and stopping.is_set():
                    load.cancel()
                    await asyncio.wait([load])
                    return answered
                # Raised in here, Stop would tear the loop down with requests under way.
                with suppress(Stopped):
                    bar.reach(min(seconds, time.monotonic() - begin))
            load.result()
    return answered


def _sessions(seed: int, at_once: int, window: int) -> Workload:
    """Return short sessions with a shared prefix, so that caches and classes move too."""
    from autosre_lab.bench.synthetic import make_workload

    return make_workload(
        "cc-session",
        seed=seed,
        sessions=at_once,
        prefix_tokens=min(1000, window // 8),
        turns=3,
        scale=0.05,
        context=window,
        waits=0.1,
        subagents=1,
    )
