"""Is it still right: protocol, cache path, code, and the user's own tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

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
else:
    __getattr__, __dir__ = lazy_exports(__name__)

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
