"""Measuring and evaluating the stack that runs, by what a form says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from autosre_lab.errors import AutosreError, RecipeError
from autosre_lab.progress import step

if TYPE_CHECKING:
    from autosre_lab.bench.result import Result
    from autosre_lab.bench.target import Protocol, Target
    from autosre_lab.bench.timing import RequestTiming
    from autosre_lab.bench.workload import Workload
    from autosre_lab.evaluation import EvaluationResult
    from autosre_lab.recipe import Recipe

__all__ = ["evaluate_stack", "evaluations_in", "measure_stack", "results_in"]

T = TypeVar("T")

_CANARY_TOKENS = {"cpu-engine": 32, "scripted": 32}
"""Fewer than a GPU's 256, which would take ten seconds on a CPU."""


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
        workload: A workload, or a name of `autosre_lab.bench.workloads.workload_names()`.
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
    from autosre_lab.bench.measure import CANARY_TOKENS, run_benchmark
    from autosre_lab.bench.result import save_result
    from autosre_lab.bench.workloads import make_workload, parameters_in

    work = workload
    if isinstance(work, str):
        work = make_workload(work, **parameters_in(parameters))
    target, recipe = _running(api)
    with step(f"Measure {work.name}", total=work.requests, unit="turn") as bar:

        def ended(timing: RequestTiming) -> None:
            if seen is not None:
                seen(timing)
            bar.advance()

        result = run_benchmark(
            work,
            target,
            arrivals=arrivals,
            cache="warm" if cache == "warm" else "cold",
            recipe=recipe,
            gpu=_gpu(target),
            canary_tokens=_CANARY_TOKENS.get(target.badge, CANARY_TOKENS),
            seen=ended,
            stopping=stopping,
        )
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
    from autosre_lab.evaluation import evaluate, save_evaluation
    from autosre_lab.lifecycle import wait_ready

    target, recipe = _running("messages")
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


def _running(api: Protocol) -> tuple[Target, Recipe]:
    from autosre_lab.bench.target import badge_of, target_of
    from autosre_lab.lifecycle import wait_ready
    from autosre_lab.recipe import load_recipe

    stack = wait_ready()
    try:
        recipe = load_recipe(stack.recipe_name)
    except RecipeError as error:
        raise RecipeError(
            f"the stack runs {stack.recipe_name}, and there is no recipe of that name: nobody can "
            "tell what its numbers are of",
            remedy="put its file into the folder of your own recipes: `autosre config` names it",
        ) from error
    return target_of(stack, protocol=api, badge=badge_of(recipe)), recipe


def _gpu(target: Target) -> str | None:
    if target.badge != "gpu":
        return None
    from autosre_lab.metrics import GpuReader

    gpus = GpuReader().read().gpus
    return gpus[0].name if gpus else None


def _stamp(at: str) -> str:
    """A time as the beginning of a file's name, so that names sort by it."""
    return at[:19].replace(":", "").replace("-", "")
