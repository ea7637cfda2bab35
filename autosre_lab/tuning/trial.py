"""A trial is a transaction: serve, gate, measure, and whatever happens is a result."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from autosre_lab.bench.result import Result
from autosre_lab.engine.diagnosis import diagnose
from autosre_lab.errors import (
    AutosreError,
    NotReadyError,
    RolloutError,
    ServiceCrashedError,
)
from autosre_lab.evaluation.short_form import GateResult
from autosre_lab.recipe import Recipe
from autosre_lab.stack import Stack
from autosre_lab.tuning.knobs import Value

__all__ = ["Operator", "Outcome", "Trial", "TrialBench", "TrialGate", "outcome_of"]

Outcome = Literal[
    "ok",
    "lint_rejected",
    "crashed",
    "out_of_memory",
    "not_ready",
    "gate_failed",
    "bench_failed",
    "machine_suspect",
    "constraint_broken",
]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One combination, tried.

    Attributes:
        number: From 1.
        values: What was turned, by path.
        share: Of the workload that was measured; below 1 in early rungs of halving.
        outcome: How it went.
        reasons: In words.
        figures: Figures of the candidate by name.
        incumbent_figures: The same of the incumbent, measured around it.
        ratio: The objective over the incumbent's.
        interval: 95 % bootstrap interval of that ratio; None where sessions are too few.
        better: Whether it beats the incumbent beyond doubt; None where it was not measured.
        gated: Whether the gate on cache hits was passed; None where it was not asked.
        restarts: Of the engine, for this trial.
        seconds: Of wall clock.
        results: Result cards, relative to the experiment's folder.
    """

    number: int
    values: dict[str, Value]
    outcome: Outcome
    share: float = 1.0
    reasons: tuple[str, ...] = ()
    figures: dict[str, float | None] = {}
    incumbent_figures: dict[str, float | None] = {}
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    better: bool | None = None
    gated: bool | None = None
    restarts: int = 0
    seconds: float = 0.0
    results: tuple[str, ...] = ()


class Operator(Protocol):
    """Serves recipes, one at a time."""

    def serve(self, recipe: Recipe) -> Stack:
        """Serve a recipe in the place of what runs; raises what a start raises."""

    def restore(self) -> None:
        """Leave things as they were before the experiment."""


class TrialBench(Protocol):
    """Measures a running stack."""

    def __call__(self, stack: Stack, recipe: Recipe, *, share: float) -> Result:
        """Return the result for that share of the workload."""


class TrialGate(Protocol):
    """Says whether a running stack may be measured."""

    def __call__(self, stack: Stack, recipe: Recipe) -> GateResult:
        """Return the gate's verdict."""


def outcome_of(error: AutosreError) -> tuple[Outcome, str]:
    """Classify why a recipe could not be served.

    Args:
        error: What the start raised.

    Returns:
        The outcome, and the reason in words.
    """
    if isinstance(error, ServiceCrashedError):
        # vLLM tells its cause first, and long tracebacks after it: the tail alone may not have it.
        said = error.cause or diagnose(error.log_tail, error.exit_code).cause
        return ("out_of_memory" if _is_memory(said) else "crashed"), said
    if isinstance(error, RolloutError):
        memory = "OOM" in error.reason or _is_memory(error.message)
        return ("out_of_memory" if memory else "crashed"), error.message
    if isinstance(error, NotReadyError):
        return "not_ready", error.message
    return "crashed", error.message


def _is_memory(text: str) -> bool:
    return "memory" in text.lower()
