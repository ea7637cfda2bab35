"""Measuring and evaluating the stack that runs, by what a form says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from autosre_lab.errors import AutosreError

if TYPE_CHECKING:
    from autosre_lab.bench.result import Result
    from autosre_lab.bench.target import Protocol
    from autosre_lab.bench.timing import RequestTiming
    from autosre_lab.bench.workload import Workload
    from autosre_lab.evaluation import EvaluationResult

__all__ = ["evaluate_stack", "evaluations_in", "measure_stack", "results_in"]

T = TypeVar("T")


def measure_stack(
    workload: str | Workload = "smoke",
    parameters: str = "",
    *,
    arrivals: str = "closed:1",
    cache: str = "cold",
    api: Protocol = "messages",
    folder: Path | None = None,
    seen: Callable[[RequestTiming], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Result:
    """Measure a workload against the stack that runs.

    Args:
        workload: A workload, or a name of `autosre_lab.bench.synthetic.workload_names()`.
        parameters: Its parameters, ``NAME: VALUE`` with commas between.
        arrivals: As `parse_arrivals` reads them.
        cache: ``cold`` or ``warm``.
        api: Messages goes through the proxy, the others to the engine.
        folder: Where the result card is kept; nowhere by default.
        seen: Called with each request's times as it ends.
        stopping: As for `run_benchmark`.

    Raises:
        NotReadyError: No stack runs.
        ConfigError: Something in the form cannot be used.
        BenchmarkError: The stack does not answer.
    """
    from autosre_lab.bench.plan import Plan
    from autosre_lab.bench.result import save_result
    from autosre_lab.bench.running_stack import measure, what_runs
    from autosre_lab.bench.synthetic import make_workload, parameters_in

    work = workload
    if isinstance(work, str):
        work = make_workload(work, **parameters_in(parameters))
    plan = Plan(arrivals=arrivals, cache="warm" if cache == "warm" else "cold")
    result = measure(work, plan, of=what_runs(api), seen=seen, stopping=stopping)
    if folder is not None:
        save_result(result, folder / f"{_stamp(result.at)}-{result.id}.result.json.gz")
    return result


def evaluate_stack(
    levels: Sequence[str] = ("L0", "L1"), *, limit: int | None = None, folder: Path | None = None
) -> EvaluationResult:
    """Evaluate the model that runs.

    Args:
        levels: Names of `autosre_lab.evaluation.LEVELS`.
        limit: So many problems of the levels that have many.
        folder: Where the evaluation is kept; nowhere by default.

    Raises:
        NotReadyError: No stack runs.
        EvaluationError: It does not answer.
    """
    from autosre_lab.bench.running_stack import what_runs
    from autosre_lab.evaluation import evaluate, save_evaluation
    from autosre_lab.lifecycle import wait_ready

    target, recipe = what_runs()
    result = evaluate(
        target, levels=levels, limit=limit, recipe=recipe, window=wait_ready().max_model_len
    )
    if folder is not None:
        save_evaluation(result, folder / f"{_stamp(result.at)}-{result.id}.evaluation.json")
    return result


def results_in(folder: Path) -> list[Result]:
    """Return the result cards of a folder, the oldest first; what cannot be read is left out."""
    from autosre_lab.bench.result import load_result

    return _readable(load_result, folder.glob("*.result.json.gz"))


def evaluations_in(folder: Path) -> list[EvaluationResult]:
    """Return the evaluations of a folder, the oldest first; what cannot be read is left out."""
    from autosre_lab.evaluation import load_evaluation

    return _readable(load_evaluation, folder.glob("*.evaluation.json"))


def _readable(read: Callable[[Path], T], files: Iterable[Path]) -> list[T]:
    found = []
    for file in sorted(files):
        try:
            found.append(read(file))
        except AutosreError:
            continue
    return found


def _stamp(at: str) -> str:
    """A time as the beginning of a file's name, so that names sort by it."""
    return at[:19].replace(":", "").replace("-", "")
