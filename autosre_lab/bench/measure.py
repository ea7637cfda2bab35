"""One measurement from beginning to end: canary, load, the engine's own figures, canary."""

from __future__ import annotations

import asyncio
import importlib.metadata
import secrets
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

from autosre_lab import __version__
from autosre_lab.bench.arrivals import Arrivals, parse_arrivals
from autosre_lab.bench.canary import DRIFT_LIMIT, Canary, ask_canary
from autosre_lab.bench.ceiling import ceiling_of
from autosre_lab.bench.load import LoadRun, run_load
from autosre_lab.bench.machine import machine_facts
from autosre_lab.bench.result import Conditions, Harness, Result
from autosre_lab.bench.running import run_async
from autosre_lab.bench.summary import Summary, summarise
from autosre_lab.bench.target import Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.workload import Session, Turn, Workload
from autosre_lab.errors import AutosreError, BenchmarkError
from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.rates import WindowRates, window_rates
from autosre_lab.metrics.vllm_text import read_engine_metrics
from autosre_lab.progress import Stopped
from autosre_lab.recipe import Recipe

__all__ = ["CacheState", "run_benchmark", "salted_sessions"]

T = TypeVar("T")
CacheState = Literal["cold", "warm"]
CANARY_TOKENS = 256


class _Plan(msgspec.Struct, kw_only=True):
    workload: Workload
    target: Target
    arrivals: Arrivals
    cache: CacheState
    warmup_s: float
    duration_s: float | None
    timeout_s: float
    canary_tokens: int
    seen: Callable[[RequestTiming], None] | None


def run_benchmark(
    workload: Workload,
    target: Target,
    *,
    arrivals: Arrivals | str = "closed:1",
    cache: CacheState = "cold",
    warmup_s: float = 0.0,
    duration_s: float | None = None,
    limits: Mapping[str, float] | None = None,
    recipe: Recipe | None = None,
    gpu: str | None = None,
    canary_tokens: int = CANARY_TOKENS,
    timeout_s: float = 3600.0,
    seen: Callable[[RequestTiming], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Result:
    """Measure a workload against a target.

    Before anything is measured, one request of its own goes to the engine, since the first one
    after a start is slower. Every system prompt begins with words that no earlier run had, so
    nothing of an earlier run is in the prefix cache; ``cache="warm"`` sends each session's first
    prompt once before the measurement.

    Args:
        workload: What to send.
        target: Where to.
        arrivals: When sessions start; text as `parse_arrivals` reads it.
        cache: State of the prefix cache as a session begins.
        warmup_s: Leave out requests due before this.
        duration_s: Start no turn later than this.
        limits: What a good request keeps, seconds by metric; see `parse_slo`.
        recipe: What is served, for the card and the roofline.
        gpu: The GPU's name as NVML gives it.
        canary_tokens: Tokens of the canary before and after; 0 leaves it out.
        timeout_s: Seconds a request may take.
        seen: Called with each request's times as it ends.
        stopping: Looked at ten times a second; once it is true, everything under way is ended.

    Returns:
        The result. Failed requests are part of it.

    Raises:
        BenchmarkError: Not even the first request was answered.
        ConfigError: The arrivals are not understood.
        Stopped: `stopping` said so.
    """
    plan = _Plan(
        workload=workload,
        target=target,
        arrivals=parse_arrivals(arrivals) if isinstance(arrivals, str) else arrivals,
        cache=cache,
        warmup_s=warmup_s,
        duration_s=duration_s,
        timeout_s=timeout_s,
        canary_tokens=canary_tokens,
        seen=seen,
    )
    at = datetime.now(UTC).isoformat(timespec="seconds")
    machine = machine_facts()
    salt = secrets.token_hex(6)
    run, before, after, server = run_async(_unless(stopping, _measure(plan, salt)))
    summary = summarise(run.timings, unsent=run.unsent, cut=run.cut, limits=limits)
    ceiling = ceiling_of(recipe, summary, server, gpu=gpu) if recipe is not None else None
    wall_s = (run.ended_ns - run.started_ns) / 1e9
    harness = Harness(
        cpu_s=run.cpu_s,
        cpu_share=run.cpu_s / wall_s if wall_s else 0.0,
        loop_lag_s=run.loop_lag_s,
        versions={"autosre_lab": __version__, "aiohttp": importlib.metadata.version("aiohttp")},
    )
    result = Result(
        id=secrets.token_hex(4),
        at=at,
        badge=target.badge,
        conditions=_conditions(plan, salt, dict(limits or {}), recipe),
        summary=summary,
        server=server,
        canary_before=before,
        canary_after=after,
        roofline=ceiling,
        machine=machine,
        harness=harness,
        timings=run.timings,
    )
    return msgspec.structs.replace(result, warnings=_warnings(result))


def salted_sessions(workload: Workload, salt: str) -> Workload:
    """Return the workload with words in front of each system prompt that make it new."""
    sessions = tuple(
        msgspec.structs.replace(one, system=f"Session {salt}.\n{one.system}")
        for one in workload.sessions
    )
    return msgspec.structs.replace(workload, sessions=sessions)


async def _measure(
    plan: _Plan, salt: str
) -> tuple[LoadRun, Canary | None, Canary | None, WindowRates | None]:
    await _first_request(plan)
    before = await _canary(plan)
    workload = salted_sessions(plan.workload, salt)
    if plan.cache == "warm":
        await run_load(_first_prompts(workload), plan.target, Arrivals(), timeout_s=plan.timeout_s)
    earlier = _scrape(plan.target)
    run = await run_load(
        workload,
        plan.target,
        plan.arrivals,
        duration_s=plan.duration_s,
        warmup_s=plan.warmup_s,
        timeout_s=plan.timeout_s,
        seen=plan.seen,
    )
    later = _scrape(plan.target)
    after = await _canary(plan)
    server = None
    if earlier is not None and later is not None:
        server = window_rates(earlier, later)
    return run, before, after, server


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


async def _first_request(plan: _Plan) -> None:
    turn = Turn(text="Say hello.", max_tokens=2)
    hello = Session(id="first", system="You greet.", turns=(turn,))
    alone = Workload(name="first", seed=0, parameters={}, sessions=(hello,))
    run = await run_load(alone, plan.target, Arrivals(), timeout_s=plan.timeout_s)
    if run.timings[0].failed:
        raise BenchmarkError(
            f"{plan.target.url} does not answer: {run.timings[0].error}",
            remedy="`autosre status` says whether the stack runs; start it, or correct the URL",
        )


async def _canary(plan: _Plan) -> Canary | None:
    if not plan.canary_tokens:
        return None
    return await ask_canary(plan.target, tokens=plan.canary_tokens)


def _scrape(target: Target) -> EngineSample | None:
    if target.engine_url is None:
        return None
    try:
        return read_engine_metrics(target.engine_url)
    except AutosreError:
        return None


def _first_prompts(workload: Workload) -> Workload:
    sessions = tuple(
        msgspec.structs.replace(
            one, turns=(msgspec.structs.replace(one.turns[0], max_tokens=1),), parent=None
        )
        for one in workload.sessions
    )
    return msgspec.structs.replace(workload, sessions=sessions)


def _conditions(
    plan: _Plan, salt: str, limits: dict[str, float], recipe: Recipe | None
) -> Conditions:
    from autosre_lab.recipe.dump import recipe_sha256, recipe_yaml

    workload, target = plan.workload, plan.target
    return Conditions(
        workload=workload.name,
        workload_sha256=workload.sha256,
        workload_seed=workload.seed,
        workload_parameters=workload.parameters,
        history=workload.history,
        arrivals=str(plan.arrivals),
        arrivals_seed=plan.arrivals.seed,
        cache=plan.cache,
        salt=salt,
        warmup_s=plan.warmup_s,
        duration_s=plan.duration_s,
        limits=limits,
        url=target.url,
        protocol=target.protocol,
        model=target.model,
        recipe=recipe.name if recipe is not None else None,
        recipe_sha256=recipe_sha256(recipe) if recipe is not None else None,
        recipe_yaml=recipe_yaml(recipe) if recipe is not None else None,
        engine=_engine_facts(target),
    )


def _engine_facts(target: Target) -> dict[str, str | int | float]:
    if target.engine_url is None:
        return {}
    from autosre_lab.engine import VllmBackend

    facts: dict[str, str | int | float] = {}
    try:
        with VllmBackend(target.engine_url) as backend:
            facts |= {"version": backend.version(), "max_model_len": backend.max_model_len()}
    except AutosreError:
        return facts
    sample = _scrape(target)
    for labels in sample.cache_config[:1] if sample is not None else ():
        facts |= {f"cache.{name}": value for name, value in labels.items()}
    return facts


def _warnings(result: Result) -> tuple[str, ...]:
    found: list[str] = []
    before, after, summary = result.canary_before, result.canary_after, result.summary
    if before is not None and after is not None:
        drift = after.drift_from(before)
        if abs(drift) > DRIFT_LIMIT:
            found.append(
                f"machine suspect: the canary's step took {drift:+.0%} after the run "
                f"({before.step_s * 1e3:.1f} ms before, {after.step_s * 1e3:.1f} ms after)"
            )
        if before.answer_sha256 != after.answer_sha256:
            found.append("the canary's greedy answer was another after the run than before")
    if result.roofline is not None and result.roofline.above:
        found.append("above roofline: check how tokens are counted, or for a repeated prompt")
    if summary.failed:
        found.append(f"{summary.failed} of {summary.requests} requests failed")
    if summary.unsent:
        found.append(f"{summary.unsent} turns were not sent")
    if summary.hit_rate is None:
        found.append("the server does not say what came from the prefix cache")
    if result.harness.cpu_share > 0.8:
        found.append(f"the client itself used {result.harness.cpu_share:.0%} of a core")
    found += _disagreement(summary, result.server)
    return tuple(found)


def _disagreement(summary: Summary, server: WindowRates | None) -> list[str]:
    """Name what client and engine see differently: somebody else was served meanwhile."""
    if server is None:
        return []
    if server.dropped is not None:
        return [f"the engine's own figures are missing: {server.dropped}"]
    if server.gen_tps is None or not summary.output_tokens:
        return []
    told = server.gen_tps * server.duration_s
    if told > summary.output_tokens * 1.02 + 5:
        return [
            f"the engine generated {told:.0f} tokens, this run {summary.output_tokens}: "
            "others were served meanwhile"
        ]
    return []
