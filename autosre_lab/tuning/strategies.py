"""Which combination is next: ask, and tell how it went."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from autosre_lab.errors import MissingExtraError
from autosre_lab.tuning.experiment import Experiment
from autosre_lab.tuning.knobs import Value, combinations, draw

__all__ = ["Candidate", "Strategy", "strategy_for"]

_KEPT = 3
"""Of so many, halving keeps one in the next rung."""


class Candidate(msgspec.Struct, frozen=True):
    """A combination to try, with what share of the workload."""

    values: dict[str, Value]
    share: float = 1.0


class Strategy(Protocol):
    """Chooses combinations; the same tells give the same asks, so a journal can be replayed."""

    def ask(self) -> Candidate | None:
        """Return the next; None when there is none."""

    def tell(self, candidate: Candidate, score: float | None) -> None:
        """Say how it went: the objective's ratio, lower is better; None for a failure."""


def strategy_for(experiment: Experiment, incumbent: dict[str, Value]) -> Strategy:
    """Return an experiment's strategy.

    Args:
        experiment: Names it.
        incumbent: The incumbent's values; not tried again.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    every = [one for one in combinations(experiment.knobs) if not _same(one, incumbent)]
    if experiment.strategy == "optuna":
        return _Optuna(experiment)
    if experiment.strategy == "grid":
        return _InOrder(every)
    rng = random.Random(f"strategy {experiment.seed}")  # noqa: S311 - a choice, not a secret
    if len(every) > 10_000:
        every = [draw(experiment.knobs, rng) for _ in range(10_000)]
    rng.shuffle(every)
    if experiment.strategy == "random":
        return _InOrder(every)
    return _Halving(every[: experiment.budget.trials])


class _InOrder:
    def __init__(self, every: Sequence[dict[str, Value]]) -> None:
        self._left = list(every)

    def ask(self) -> Candidate | None:
        return Candidate(self._left.pop(0)) if self._left else None

    def tell(self, candidate: Candidate, score: float | None) -> None:
        """Nothing is learnt."""


class _Halving:
    """Successive halving: all with little of the workload, the best third with three times that.

    Source:
        Jamieson and Talwalkar, AISTATS 2016 (arXiv:1502.07943).
    """

    def __init__(self, every: Sequence[dict[str, Value]]) -> None:
        rungs = max(1, math.ceil(math.log(max(1, len(every)), _KEPT)) + 1)
        self._share = _KEPT ** -(rungs - 1.0)
        self._left = list(every)
        self._scores: list[tuple[float, int, dict[str, Value]]] = []
        self._told = 0

    def ask(self) -> Candidate | None:
        if not self._left:
            if self._share >= 1 or not self._scores:
                return None
            keep = max(1, len(self._scores) // _KEPT)
            best = sorted(self._scores, key=lambda one: one[:2])[:keep]
            self._left = [values for *_, values in best]
            self._scores = []
            self._share = min(1.0, self._share * _KEPT)
        return Candidate(self._left.pop(0), self._share)

    def tell(self, candidate: Candidate, score: float | None) -> None:
        self._told += 1
        if score is not None:
            self._scores.append((score, self._told, candidate.values))


class _Optuna:
    """Optuna's tree-structured Parzen estimator behind ask and tell."""

    def __init__(self, experiment: Experiment) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("the strategy optuna", extra="tune") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._knobs = experiment.knobs
        self._study: Any = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=experiment.seed, n_startup_trials=5)
        )
        self._fail = optuna.trial.TrialState.FAIL
        self._asked: dict[str, Any] = {}

    def ask(self) -> Candidate | None:
        trial = self._study.ask()
        # By position: Optuna wants values that it can store, and null is a value here.
        values = {
            knob.path: knob.values[trial.suggest_int(knob.path, 0, len(knob.values) - 1)]
            for knob in self._knobs
        }
        self._asked[repr(values)] = trial
        return Candidate(values)

    def tell(self, candidate: Candidate, score: float | None) -> None:
        trial = self._asked.pop(repr(candidate.values))
        if score is None:
            self._study.tell(trial, state=self._fail)
        else:
            self._study.tell(trial, score)


def _same(a: dict[str, Value], b: dict[str, Value]) -> bool:
    return {k: repr(v) for k, v in a.items()} == {k: repr(v) for k, v in b.items()}
