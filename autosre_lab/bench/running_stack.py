"""The stack that runs, measured: the one way behind command, notebook, report and tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from autosre_lab.bench.apart import run_benchmark_apart
from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Result
from autosre_lab.bench.target import Protocol, Target, badge_of, target_of
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.workload import Workload
from autosre_lab.errors import RecipeError
from autosre_lab.progress import step
from autosre_lab.recipe import Recipe
from autosre_lab.surroundings import in_kernel

if TYPE_CHECKING:
    from autosre_lab.stack import Stack

__all__ = ["Served", "measure", "served_by", "what_runs"]


class Served(NamedTuple):
    """What is measured.

    Attributes:
        target: Where requests go.
        recipe: What is served there; None where nobody knows.
    """

    target: Target
    recipe: Recipe | None = None


def what_runs(api: Protocol = "messages", *, place: str | None = None) -> Served:
    """Return the stack that runs.

    Args:
        api: Messages goes through the proxy, the others to the engine.
        place: Where; by default where the last stack was started.

    Raises:
        NotReadyError: No stack runs.
        RecipeError: Its recipe is not found any more.
    """
    from autosre_lab.lifecycle import wait_ready

    return served_by(wait_ready(place=place), api)


def served_by(stack: Stack, api: Protocol = "messages", recipe: Recipe | None = None) -> Served:
    """Return a stack as what is measured.

    Args:
        stack: It.
        api: Messages goes through the proxy, the others to the engine.
        recipe: What it serves; as it was started where not given.

    Raises:
        RecipeError: There is no recipe of that name.
    """
    if recipe is None:
        recipe = _recipe_of(stack)
    return Served(target_of(stack, protocol=api, badge=badge_of(recipe)), recipe)


def measure(
    workload: Workload,
    plan: Plan | None = None,
    *,
    of: Served | None = None,
    seen: Callable[[RequestTiming], None] | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Result:
    """Measure a workload and show how far it is; in a notebook, in a process of its own.

    Args:
        workload: What to send.
        plan: How.
        of: What to measure; the stack that runs by default.
        seen: Called with each request's times as it ends.
        stopping: As for `run_benchmark`.

    Raises:
        NotReadyError: No stack runs.
        BenchmarkError: It does not answer.
        ConfigError: Something in the plan cannot be used.
        Stopped: `stopping` said so.
    """
    target, recipe = of or what_runs()
    run = run_benchmark_apart if in_kernel() else run_benchmark
    with step(f"Measure {workload.name}", total=workload.requests, unit="turn") as bar:

        def ended(timing: RequestTiming) -> None:
            if seen is not None:
                seen(timing)
            bar.advance()

        return run(workload, target, plan, recipe=recipe, seen=ended, stopping=stopping)


def _recipe_of(stack: Stack) -> Recipe:
    from autosre_lab.recipe import load_recipe

    if stack.recipe is not None:
        return stack.recipe  # of a path too, and as it was when it was started

    try:
        return load_recipe(stack.recipe_name)
    except RecipeError as error:
        raise RecipeError(
            f"the running stack's recipe, {stack.recipe_name}, cannot be found, so results cannot "
            "be labelled",
            remedy=f"put {stack.recipe_name}.yaml into the recipes folder that "
            "`autosre_lab.show_settings()` names",
        ) from error
