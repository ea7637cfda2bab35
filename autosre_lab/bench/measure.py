"""One measurement from beginning to end: machine check, load, the engine's own figures, check."""

from __future__ import annotations

import asyncio
import importlib.metadata
import secrets
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from autosre_lab import __version__
from autosre_lab.bench.arrivals import Arrivals
from autosre_lab.bench.ceiling import ceiling_of
from autosre_lab.bench.conditions import conditions_of, scrape_engine
from autosre_lab.bench.doubts import doubts_about
from autosre_lab.bench.gpu_use import GpuWatch, MeasuredGpu, gpu_reader_for
from autosre_lab.bench.load import LoadRun, run_load
from autosre_lab.bench.machine import machine_facts
from autosre_lab.bench.machine_check import MachineCheck, check_machine, check_tokens_for
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Harness, Result
from autosre_lab.bench.running import run_async
from autosre_lab.bench.summary import summarise
from autosre_lab.bench.target import Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.warming import warm_up
from autosre_lab.bench.workload import Workload
from autosre_lab.metrics.rates import WindowRates, window_rates
from autosre_lab.progress import Stopped
from autosre_lab.recipe import Recipe

__all__ = ["run_benchmark", "salted_sessions"]

T = TypeVar("T")
Seen = Callable[[RequestTiming], None]


class _Measured(NamedTuple):
    run: LoadRun
    before: MachineCheck | None
    after: MachineCheck | None
    server: WindowRates | None
    gpu: MeasuredGpu | None


def run_benchmark(
    workload: Workload,
    target: Target,
    plan: Plan | None = None,
    *,
    recipe: Recipe | None = None,
    seen: Seen | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Result:
    """Measure a workload against a target.

    Before anything is measured, requests of several sizes go there, since the first of a kind is
    slower. Every system prompt begins with words that no earlier run had, so nothing of an earlier
    run is in the prefix cache.

    Args:
        workload: What to send.
        target: Where to.
        plan: How.
        recipe: What is served, for the card and the roofline.
        seen: Called with each request's times as it ends.
        stopping: Looked at ten times a second; once it is true, everything under way is ended.

    Returns:
        The result. Failed requests are part of it.

    Raises:
        BenchmarkError: Not even the first request was answered.
        ConfigError: The arrivals are not understood.
        Stopped: `stopping` said so.
    """
    plan = plan or Plan()
    plan = msgspec.structs.replace(plan, arrivals=plan.parsed_arrivals)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    machine = machine_facts()
    salt = secrets.token_hex(6)
    work = _measure(salted_sessions(workload, salt), target, plan, seen)
    run, before, after, server, gpu = run_async(_unless(stopping, work))
    summary = summarise(run.timings, unsent=run.unsent, cut=run.cut, limits=plan.limits)
    name = plan.gpu or (gpu.name if gpu is not None else None)
    wall_s = (run.ended_ns - run.started_ns) / 1e9
    result = Result(
        id=secrets.token_hex(4),
        at=at,
        badge=target.badge,
        conditions=conditions_of(workload, target, plan, salt=salt, recipe=recipe),
        summary=summary,
        server=server,
        check_before=before,
        check_after=after,
        roofline=ceiling_of(recipe, summary, server, gpu=name) if recipe is not None else None,
        machine=machine,
        gpu=gpu,
        harness=Harness(
            cpu_s=run.cpu_s,
            cpu_share=run.cpu_s / wall_s if wall_s else 0.0,
            loop_lag_s=run.loop_lag_s,
            versions={"autosre_lab": __version__, "aiohttp": importlib.metadata.version("aiohttp")},
        ),
        timings=run.timings,
    )
    return msgspec.structs.replace(result, warnings=doubts_about(result))


def salted_sessions(workload: Workload, salt: str) -> Workload:
    """Return the workload with words in front of each system prompt that make it new."""
    sessions = tuple(
        msgspec.structs.replace(one, system=f"Session {salt}.\n{one.system}")
        for one in workload.sessions
    )
    return msgspec.structs.replace(workload, sessions=sessions)


async def _measure(workload: Workload, target: Target, plan: Plan, seen: Seen | None) -> _Measured:
    await warm_up(workload, target, timeout_s=plan.timeout_s)
    before = await _check(target, plan)
    if plan.cache == "warm":
        await run_load(_first_prompts(workload), target, Arrivals(), timeout_s=plan.timeout_s)
    earlier = scrape_engine(target)
    with GpuWatch(gpu_reader_for(target)) as watch:
        run = await run_load(
            workload,
            target,
            plan.parsed_arrivals,
            duration_s=plan.duration_s,
            warmup_s=plan.warmup_s,
            timeout_s=plan.timeout_s,
            seen=seen,
        )
        tokens = sum(one.output_tokens or 0 for one in run.timings)
        gpu = watch.result(run.started_ns, run.ended_ns, tokens=tokens)
    later = scrape_engine(target)
    after = await _check(target, plan)
    server = None
    if earlier is not None and later is not None:
        server = window_rates(earlier, later)
    return _Measured(run, before, after, server, gpu)


async def _unless(stopping: Callable[[], bool] | None, work: Coroutine[Any, Any, T]) -> T:
    """Run work to its end, or to where it shall stop: not even a long answer is waited for."""
    if stopping is None:
        return await work
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=0.1)
        if not task.done() and stopping():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise Stopped
    return task.result()


async def _check(target: Target, plan: Plan) -> MachineCheck | None:
    tokens = check_tokens_for(target.badge) if plan.check_tokens is None else plan.check_tokens
    return await check_machine(target, tokens=tokens) if tokens else None


def _first_prompts(workload: Workload) -> Workload:
    sessions = tuple(
        msgspec.structs.replace(
            one, turns=(msgspec.structs.replace(one.turns[0], max_tokens=1),), parent=None
        )
        for one in workload.sessions
    )
    return msgspec.structs.replace(workload, sessions=sessions)
