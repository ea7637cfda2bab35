"""The real operator, bench and gate behind an experiment."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import msgspec

from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Result
from autosre_lab.bench.running_stack import measure, served_by
from autosre_lab.bench.slo import parse_slo
from autosre_lab.bench.synthetic import make_workload
from autosre_lab.errors import AutosreError, ExperimentError
from autosre_lab.evaluation.short_form import GateResult, gate
from autosre_lab.lifecycle import place_for, status, stop, switch
from autosre_lab.processes.files import read_json, write_private_json
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.stack import Stack
from autosre_lab.tuning.experiment import Experiment

__all__ = ["LiveBench", "LiveOperator", "live_gate"]

_BEFORE = "before.json"


class LiveOperator:
    """Serves recipes on this machine or in the cluster, and puts back what ran before.

    What ran before is noted in the experiment's folder: an experiment that is killed and goes on
    later would otherwise take its own trial for it.

    Args:
        experiment: Says where.
        folder: The experiment's; None keeps no note.

    Raises:
        ExperimentError: A stack runs that could not be put back afterwards.
    """

    def __init__(self, experiment: Experiment, folder: Path | None = None) -> None:
        self._place = place_for(
            load_recipe(experiment.recipe), None if experiment.place == "auto" else experiment.place
        ).name
        self._note = folder / _BEFORE if folder is not None else None
        noted = read_json(self._note) if self._note is not None else None
        if noted is not None:
            self._before: str | None = noted.get("recipe")
            return
        before = status(place=self._place)
        self._before = before.recipe_name if before.state in ("ready", "starting") else None
        if self._before is not None:
            _refuse_what_cannot_be_put_back(self._before)
        if self._note is not None:
            write_private_json(self._note, {"recipe": self._before})

    def serve(self, recipe: Recipe) -> Stack:
        """Serve a recipe in the place of what runs."""
        return switch(recipe, place=self._place)

    def restore(self) -> None:
        """Serve what ran before the experiment; stop, if nothing did."""
        if self._before is not None:
            switch(self._before, place=self._place)
        else:
            stop(place=self._place)
        if self._note is not None:
            self._note.unlink(missing_ok=True)


def _refuse_what_cannot_be_put_back(name: str) -> None:
    try:
        load_recipe(name)
    except AutosreError as error:
        raise ExperimentError(
            f"the stack of {name} runs, and no recipe of that name is found to put it back",
            remedy="stop it first (`autosre stop`), or put its recipe into your recipes' folder",
        ) from error


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
        return measure(
            msgspec.structs.replace(self._workload, sessions=sessions),
            Plan(
                arrivals=work.arrivals,
                limits=parse_slo(work.slo),
                check_tokens=self._experiment.check_tokens,
            ),
            of=served_by(stack, work.api, recipe),
            stopping=self._stopping,
        )


def live_gate(stack: Stack, recipe: Recipe) -> GateResult:
    """Check a running stack: protocol, and answers out of the cache where there is one."""
    target = served_by(stack, recipe=recipe).target
    return gate(target, cache=recipe.engine.args.get("enable-prefix-caching") is not False)
