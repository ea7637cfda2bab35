"""Is it still right: protocol, cache path, code, and the user's own tasks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.evaluation.check import CheckResult
    from autosre_lab.evaluation.ladder import LEVELS, evaluate
    from autosre_lab.evaluation.own_tasks import Task, evaluate_tasks, load_tasks
    from autosre_lab.evaluation.result import (
        EvaluationResult,
        compare_evaluations,
        load_evaluation,
        save_evaluation,
    )
    from autosre_lab.evaluation.short_form import GateResult, gate

_HOME = {
    "LEVELS": "ladder",
    "CheckResult": "check",
    "EvaluationResult": "result",
    "GateResult": "short_form",
    "Task": "own_tasks",
    "compare_evaluations": "result",
    "evaluate": "ladder",
    "evaluate_tasks": "own_tasks",
    "gate": "short_form",
    "load_evaluation": "result",
    "load_tasks": "own_tasks",
    "save_evaluation": "result",
}

__all__ = [
    "LEVELS",
    "CheckResult",
    "EvaluationResult",
    "GateResult",
    "Task",
    "compare_evaluations",
    "evaluate",
    "evaluate_tasks",
    "gate",
    "load_evaluation",
    "load_tasks",
    "save_evaluation",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
