"""Experiments over a recipe: trials that are started, measured, gated, and rolled back."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOME = {
    "Experiment": "experiment",
    "Knob": "knobs",
    "LiveBench": "live",
    "LiveOperator": "live",
    "Trial": "trial",
    "apply_knobs": "knobs",
    "best_trial": "run",
    "experiment_in": "winner",
    "experiment_text": "winner",
    "live_gate": "live",
    "load_experiment": "experiment",
    "pareto": "winner",
    "promote": "winner",
    "run_experiment": "run",
    "suggested_experiment": "suggestion",
    "suggested_knobs": "knobs",
    "trial_rows": "winner",
}

__all__ = [
    "Experiment",
    "Knob",
    "LiveBench",
    "LiveOperator",
    "Trial",
    "apply_knobs",
    "best_trial",
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


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
