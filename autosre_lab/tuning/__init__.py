"""Experiments over a recipe: trials that are started, measured, gated, and rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.tuning.deferred import DEFERRED, Deferred, deferred_experiment, deferred_rows
    from autosre_lab.tuning.experiment import Experiment, load_experiment
    from autosre_lab.tuning.knobs import Knob, apply_knobs, suggested_knobs
    from autosre_lab.tuning.live import LiveBench, LiveOperator, live_gate
    from autosre_lab.tuning.run import best_trial, run_experiment
    from autosre_lab.tuning.suggestion import suggested_experiment
    from autosre_lab.tuning.trial import Trial
    from autosre_lab.tuning.winner import (
        experiment_in,
        experiment_text,
        pareto,
        promote,
        trial_rows,
    )
else:
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "DEFERRED",
    "Deferred",
    "Experiment",
    "Knob",
    "LiveBench",
    "LiveOperator",
    "Trial",
    "apply_knobs",
    "best_trial",
    "deferred_experiment",
    "deferred_rows",
    "experiment_in",
    "experiment_text",
    "live_gate",
    "load_experiment",
    "pareto",
    "promote",
    "run_experiment",
    "suggested_experiment",
    "suggested_knobs",
    "trial_rows",
]
