"""Runs an experiment: trial after trial, each against the incumbent, until the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from autosre_lab.bench.result import Result, save_result
from autosre_lab.errors import AutosreError, ConfigError, RecipeError
from autosre_lab.progress import step
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.stack import Stack
from autosre_lab.tuning.experiment import Experiment
from autosre_lab.tuning.journal import Journal
from autosre_lab.tuning.knobs import Value, apply_knobs, lint_faults
from autosre_lab.tuning.strategies import Candidate, strategy_for
from autosre_lab.tuning.trial import Operator, Outcome, Trial, TrialBench, TrialGate, outcome_of
from autosre_lab.tuning.verdict import compare_blocks

__all__ = ["FIGURES", "best_trial", "run_experiment"]

FIGURES = ("ttft_p50", "tpot_p50", "e2el_p50", "output_tps", "hit_rate", "good_fraction")
"""Kept of each trial beside the objective."""

_RETRIES = 1
"""How often a trial is tried again where the machine was suspect."""


class _FailedError(Exception):
    """A trial ends here, with this outcome."""

    def __init__(self, outcome: Outcome, *reasons: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.reasons = reasons


def best_trial(trials: list[Trial]) -> Trial | None:
    """Return the last trial that beat the incumbent of its time; None where none did."""
    winners = [one for one in trials if one.better and one.outcome == "ok" and one.share >= 1]
    return winners[-1] if winners else None


def run_experiment(
    experiment: Experiment,
    folder: Path,
    operator: Operator,
    bench: TrialBench,
    gate: TrialGate | None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[Trial]:
    """Run an experiment, or go on with it where it was killed.

    Each trial is measured against the incumbent before and after it (ABBA), unless `abba` is off.
    The incumbent's second measurement is the next trial's first, so a trial costs two restarts. A
    candidate that is better beyond doubt is the incumbent from then on.

    Args:
        experiment: What to do.
        folder: Its journal and result cards.
        operator: Serves recipes.
        bench: Measures.
        gate: Says whether answers out of the cache are right; None leaves it out.
        clock: Seconds, rising.

    Returns:
        All trials, those of earlier runs included. What ran before is restored, whatever happens.

    Raises:
        ExperimentError: The folder holds another experiment.
        AutosreError: The incumbent itself cannot be served or measured.
    """
    journal = Journal(folder, experiment)
    runner = _Runner(experiment, journal, operator, bench, gate, clock)
    try:
        with step("Tune", total=experiment.budget.trials, unit="trial") as bar:
            runner.run(bar.advance, bar.note)
    finally:
        operator.restore()
    return journal.trials


class _Runner:
    def __init__(
        self,
        experiment: Experiment,
        journal: Journal,
        operator: Operator,
        bench: TrialBench,
        gate: TrialGate | None,
        clock: Callable[[], float],
    ) -> None:
        self._experiment = experiment
        self._journal = journal
        self._operator = operator
        self._bench = bench
        self._gate = gate
        self._clock = clock
        self._base = load_recipe(experiment.recipe)
        self._incumbent: dict[str, Value] = {}
        self._latest: dict[float, Result] = {}
        self._serving: dict[str, Value] | None = None
        self._restarts = 0

    def run(self, advance: Callable[[], None], note: Callable[[str], None]) -> None:
        budget = self._experiment.budget
        strategy = strategy_for(self._experiment, {})
        done = {trial.number: trial for trial in self._journal.trials}
        spent_s = sum(trial.seconds for trial in done.values())
        restarts = sum(trial.restarts for trial in done.values())
        number = 0
        while (candidate := strategy.ask()) is not None:
            number += 1
            trial = done.get(number)
            if trial is None:
                if over := self._over(number, spent_s, restarts, len(done)):
                    self._journal.note(f"{over}; not tried: {_named(candidate.values)} and after")
                    return
                note(_named(candidate.values))
                self._journal.begin(number)
                trial = self._try(number, candidate)
                self._journal.end(trial)
                done[number] = trial
                spent_s += trial.seconds
                restarts += trial.restarts
            if trial.better and trial.share >= 1:
                self._incumbent = trial.values
                self._latest = {}
            strategy.tell(candidate, self._score(trial))
            advance()
            if number >= budget.trials:
                return

    def _over(self, number: int, spent_s: float, restarts: int, done: int) -> str:
        """Why the budget has no room for one more trial, or "". Trials cost what others did."""
        budget = self._experiment.budget
        share = (done + 1) / done if done else 1.0
        if spent_s * share > budget.minutes * 60:
            return f"{budget.minutes:g} minutes would not suffice for trial {number}"
        needed = 1 + self._experiment.abba + (not self._latest)
        if restarts + needed > budget.restarts:
            return f"{budget.restarts} restarts would not suffice for trial {number}"
        return ""

    def _try(self, number: int, candidate: Candidate) -> Trial:
        started, restarts = self._clock(), self._restarts
        for attempt in range(_RETRIES + 1):
            trial = self._attempt(number, candidate)
            if trial.outcome != "machine_suspect" or attempt == _RETRIES:
                break
        return msgspec.structs.replace(
            trial, seconds=self._clock() - started, restarts=self._restarts - restarts
        )

    def _attempt(self, number: int, candidate: Candidate) -> Trial:
        trial = Trial(
            number=number, values=candidate.values, share=candidate.share, outcome="crashed"
        )
        try:
            return self._measured(trial, candidate)
        except _FailedError as failed:
            return msgspec.structs.replace(trial, outcome=failed.outcome, reasons=failed.reasons)

    def _measured(self, trial: Trial, candidate: Candidate) -> Trial:
        recipe = self._checked(candidate.values)
        before = self._incumbents_block(candidate.share)
        stack = self._serve(candidate.values, recipe)
        gated = self._gated(stack, recipe)
        blocks = [self._block(stack, recipe, candidate.share) for _ in range(self._blocks)]
        incumbent = [before]
        if self._experiment.abba:
            incumbent.append(self._incumbents_block(candidate.share, again=True))
        files = tuple(
            save_result(one, self._journal.folder / "results" / f"{trial.number}-{name}.json.gz")
            for name, one in [
                *((f"candidate-{at}", one) for at, one in enumerate(blocks)),
                *((f"incumbent-{at}", one) for at, one in enumerate(incumbent)),
            ]
        )
        objective = self._experiment.objective
        ratio, interval, better = compare_blocks(objective, incumbent, blocks)
        broken = [fault for one in blocks for fault in objective.violated(one.summary)]
        outcome: Outcome = "constraint_broken" if broken else "ok"
        suspects = [one for one in (*blocks, *incumbent) if one.machine_suspect]
        if suspects:
            outcome, broken = "machine_suspect", list(suspects[0].warnings[:1])
        return msgspec.structs.replace(
            trial,
            outcome=outcome,
            reasons=tuple(broken),
            figures=self._figures(blocks),
            incumbent_figures=self._figures(incumbent),
            ratio=ratio,
            interval=interval,
            better=better and outcome == "ok",
            gated=gated,
            results=tuple(str(one.relative_to(self._journal.folder)) for one in files),
        )

    @property
    def _blocks(self) -> int:
        return 2 if self._experiment.abba else 1

    def _checked(self, values: dict[str, Value]) -> Recipe:
        try:
            recipe = apply_knobs(self._base, values)
        except (RecipeError, ConfigError) as error:
            raise _FailedError("lint_rejected", error.message) from error
        if faults := lint_faults(recipe):
            raise _FailedError("lint_rejected", *faults)
        return recipe

    def _serve(self, values: dict[str, Value], recipe: Recipe) -> Stack:
        self._serving = None
        self._restarts += 1
        try:
            stack = self._operator.serve(recipe)
        except AutosreError as error:
            outcome, said = outcome_of(error)
            raise _FailedError(outcome, said) from error
        self._serving = values
        return stack

    def _gated(self, stack: Stack, recipe: Recipe) -> bool | None:
        if self._gate is None:
            return None
        try:
            verdict = self._gate(stack, recipe)
        except AutosreError as error:
            raise _FailedError("gate_failed", error.message) from error
        if not verdict.passed:
            raise _FailedError("gate_failed", *verdict.reasons)
        return True

    def _block(self, stack: Stack, recipe: Recipe, share: float) -> Result:
        try:
            result = self._bench(stack, recipe, share=share)
        except AutosreError as error:
            raise _FailedError("bench_failed", error.message) from error
        if result.summary.failed or result.summary.unsent:
            raise _FailedError("bench_failed", *result.warnings)
        return result

    def _incumbents_block(self, share: float, *, again: bool = False) -> Result:
        """The incumbent's measurement; the last one where nothing but a trial came between."""
        if share in self._latest and not again:
            return self._latest[share]
        recipe = apply_knobs(self._base, self._incumbent)
        try:
            stack = self._serve(self._incumbent, recipe)
            self._latest[share] = self._block(stack, recipe, share)
        except _FailedError as failed:
            cause = failed.__cause__
            if isinstance(cause, AutosreError):
                # Without the incumbent there is nothing to compare with.
                raise cause from failed
            raise
        return self._latest[share]

    def _figures(self, blocks: list[Result]) -> dict[str, float | None]:
        names = dict.fromkeys((self._experiment.objective.figure, *FIGURES))
        found: dict[str, float | None] = {}
        for name in names:
            values = [one.summary.value(name) for one in blocks]
            known = [one for one in values if one is not None]
            found[name] = sum(known) / len(known) if known else None
        return found

    def _score(self, trial: Trial) -> float | None:
        if trial.ratio is None or trial.outcome != "ok":
            return None
        return trial.ratio if self._experiment.objective.want == "low" else 1 / trial.ratio


def _named(values: dict[str, Value]) -> str:
    return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in values.items())
