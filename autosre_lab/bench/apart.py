"""A measurement in a process of its own: what draws, beside it, would otherwise be measured too.

A notebook's kernel draws figures and answers the browser in the process, and under the lock, that
would also read the stream; a chunk that came while a figure was drawn would be late by that much.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import msgspec
import yaml

from autosre_lab import errors
from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Result
from autosre_lab.bench.target import Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.workload import Workload
from autosre_lab.errors import AutosreError, BenchmarkError
from autosre_lab.progress import Stopped
from autosre_lab.recipe import Recipe, parse_recipe
from autosre_lab.recipe.dump import recipe_yaml

__all__ = ["main", "run_benchmark_apart"]

_POLL_S = 0.1
_ENDING_S = 5.0


class _Order(msgspec.Struct, kw_only=True):
    workload: Workload
    target: Target
    plan: Plan
    recipe: str | None


class _Told(msgspec.Struct, kw_only=True, omit_defaults=True):
    timing: RequestTiming | None = None
    result: Result | None = None
    error: str = ""
    message: str = ""
    remedy: str = ""


def run_benchmark_apart(
    workload: Workload,
    target: Target,
    plan: Plan | None = None,
    *,
    recipe: Recipe | None = None,
    seen: Callable[[RequestTiming], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Result:
    """Do what `run_benchmark` does, in another process.

    Args:
        workload: As for `run_benchmark`, and so is the rest.
        target: Its token and key go through a pipe, not over the command line.
        plan: How.
        recipe: What is served.
        seen: Called with each request's times as it ends, here.
        stopping: Looked at ten times a second; once it is true the process is ended.

    Raises:
        BenchmarkError: Not even the first request was answered, or the process was killed.
        ConfigError: The arrivals are not understood.
        Stopped: `stopping` said so.
    """
    order = _Order(
        workload=workload,
        target=target,
        plan=plan or Plan(),
        # As YAML, which has dates.
        recipe=None if recipe is None else recipe_yaml(recipe),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "autosre_lab.bench.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None  # noqa: S101 - asked for above
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        for told in _lines(process, stopping):
            if told.timing is not None and seen is not None:
                seen(told.timing)
            if told.error:
                raise _error(told)
            if told.result is not None:
                return told.result
        process.wait(_ENDING_S)
        said = process.stderr.read().decode("utf-8", "replace") if process.stderr else ""
        raise BenchmarkError(
            f"the measuring process ended with {process.returncode}: {said[-500:].strip()}",
            remedy="if it was killed, memory may have run out; else please report this",
        )
    finally:
        _end(process)


def main() -> None:
    """Read an order from standard input; tell timings and the result on standard output."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=_Order)

    def tell(told: _Told) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()

    try:
        result = run_benchmark(
            order.workload,
            order.target,
            order.plan,
            recipe=None if order.recipe is None else parse_recipe(yaml.safe_load(order.recipe)),
            seen=lambda timing: tell(_Told(timing=timing)),
        )
        tell(_Told(result=result))
    except AutosreError as error:
        tell(_Told(error=type(error).__name__, message=error.message, remedy=error.remedy))


def _lines(
    process: subprocess.Popen[bytes], stopping: Callable[[], bool] | None
) -> Iterator[_Told]:
    assert process.stdout is not None  # noqa: S101 - asked for
    descriptor = process.stdout.fileno()
    decoder = msgspec.json.Decoder(_Told)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if stopping is not None and stopping():
                raise Stopped
            if not selector.select(_POLL_S):
                continue
            piece = os.read(descriptor, 1 << 20)
            if not piece:
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from map(decoder.decode, whole)


def _error(told: _Told) -> AutosreError:
    kind = getattr(errors, told.error, BenchmarkError)
    try:
        error: AutosreError = kind(told.message, remedy=told.remedy)
    except TypeError:  # one that wants more than words
        error = BenchmarkError(told.message, remedy=told.remedy)
    return error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, if it has not: the engine hears that its client went away."""
    if process.poll() is None:
        process.terminate()
        deadline = time.monotonic() + _ENDING_S
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


if __name__ == "__main__":
    main()
