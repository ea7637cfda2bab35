"""The real operator, bench and gate behind an experiment."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.result import Result
from autosre_lab.bench.slo import parse_slo
from autosre_lab.bench.target import Target, badge_of, target_of
from autosre_lab.bench.workloads import make_workload
from autosre_lab.engine import Stack
from autosre_lab.evaluation.short_form import GateResult, gate
from autosre_lab.lifecycle import place_for, start, status, stop, switch
from autosre_lab.metrics import GpuReader
from autosre_lab.recipe import Recipe
from autosre_lab.tuning.experiment import Experiment

__all__ = ["LiveBench", "LiveOperator", "live_gate"]


class LiveOperator:
    """Serves recipes on this machine or in the cluster, and puts back what ran before.

    Args:
        experiment: Says where.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._place = None if experiment.place == "auto" else experiment.place
        before = status()
        running = before.state in ("ready", "starting")
        self._before = before.recipe_name if running else None

    def serve(self, recipe: Recipe) -> Stack:
        """Serve a recipe in the place of what runs."""
        place = place_for(recipe, self._place)
        if place == "cluster":
            return switch(recipe, place=place)
        # The same name with other settings: a switch would take it for what runs already.
        stop(place=place)
        return start(recipe, place=place)

    def restore(self) -> None:
        """Serve what ran before the experiment; stop, if nothing did."""
        stop()
        if self._before is not None:
            start(self._before, place=self._place)


class LiveBench:
    """Measures an experiment's workload.

    Args:
        experiment: Names it.
        stopping: As for `run_benchmark`.
    """

    def __init__(
        self, experiment: Experiment, *, stopping: Callable[[], bool] | None = None
    ) -> None:
        self._experiment = experiment
        self._stopping = stopping
        work = experiment.workload
        self._workload = make_workload(work.name, seed=work.seed, **work.parameters)

    def __call__(self, stack: Stack, recipe: Recipe, *, share: float) -> Result:
        """Return the result for that share of the workload's sessions."""
        work = self._experiment.workload
        roots = [one for one in self._workload.sessions if one.parent is None]
        kept = {one.id for one in roots[: max(1, math.ceil(len(roots) * share))]}
        sessions = tuple(one for one in self._workload.sessions if (one.parent or one.id) in kept)
        gpus = () if badge_of(recipe) == "cpu-engine" else GpuReader().read().gpus
        return run_benchmark(
            msgspec.structs.replace(self._workload, sessions=sessions),
            target_of(stack, protocol=work.api, badge=badge_of(recipe)),
            arrivals=work.arrivals,
            limits=parse_slo(work.slo),
            recipe=recipe,
            gpu=gpus[0].name if gpus else None,
            canary_tokens=self._experiment.canary_tokens,
            stopping=self._stopping,
        )


def live_gate(stack: Stack, recipe: Recipe) -> GateResult:
    """Check a running stack: protocol, and answers out of the cache where there is one."""
    target: Target = target_of(stack, badge=badge_of(recipe))
    return gate(target, cache=recipe.engine.args.get("enable-prefix-caching") is not False)
