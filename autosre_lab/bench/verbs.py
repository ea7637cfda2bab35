"""What a person asks of the benchmarks, in one call each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autosre_lab.bench.comparison import Comparison, compare_results
from autosre_lab.bench.plan import CacheState, Plan
from autosre_lab.bench.result import Result, load_result
from autosre_lab.bench.running_stack import measure, what_runs
from autosre_lab.bench.slo import parse_slo
from autosre_lab.bench.synthetic import WORKLOADS, make_workload
from autosre_lab.bench.target import Protocol
from autosre_lab.bench.workload import Workload

__all__ = ["compare", "run", "workloads"]


def run(
    workload: str | Workload = "smoke",
    *,
    arrivals: str = "closed:1",
    cache: CacheState = "cold",
    slo: str = "",
    api: Protocol = "messages",
    duration_s: float | None = None,
    seed: int = 0,
    **parameters: Any,
) -> Result:
    """Measure the stack that runs.

    Args:
        workload: A name of `workloads()`, or a workload.
        arrivals: As `parse_arrivals` reads them: ``closed:2``, ``poisson:0.5`` …
        cache: State of the prefix cache as a session begins.
        slo: Limits of a good request, like ``ttft=2s,tpot=50ms``.
        api: Messages goes through the proxy, the others to the engine.
        duration_s: Start no turn later than this.
        seed: What the workload is drawn from.
        **parameters: Of the workload.

    Raises:
        NotReadyError: No stack runs.
        ConfigError: A name, a parameter or a limit is not known.
        BenchmarkError: The stack does not answer.

    Example:
        >>> from autosre_lab import bench
        >>> result = bench.run("decode", requests=4, arrivals="closed:2")  # doctest: +SKIP
        >>> result.summary.value("ttft_p50")  # doctest: +SKIP
    """
    work = workload
    if isinstance(work, str):
        work = make_workload(work, seed=seed, **parameters)
    plan = Plan(arrivals=arrivals, cache=cache, duration_s=duration_s, limits=parse_slo(slo))
    return measure(work, plan, of=what_runs(api))


def compare(a: Result | str | Path, b: Result | str | Path) -> Comparison:
    """Compare two results of the same work, or their files.

    Raises:
        NotComparableError: They are of different work.
        BenchmarkError: A file is not a result.
    """
    return compare_results(
        *(one if isinstance(one, Result) else load_result(one) for one in (a, b))
    )


def workloads() -> dict[str, str]:
    """Return the workloads by name, with what each is."""
    return {name: (maker.__doc__ or "").partition("\n")[0] for name, maker in WORKLOADS.items()}
