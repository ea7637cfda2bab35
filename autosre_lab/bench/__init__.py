"""What a stack takes to answer, measured so that it can be repeated.

`run`, `compare`, `workloads`, `load_result` and `save_result` are what a person needs; the rest is
in the modules.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.bench.comparison import Comparison
    from autosre_lab.bench.measure import run_benchmark
    from autosre_lab.bench.plan import Plan
    from autosre_lab.bench.result import Result, load_result, save_result
    from autosre_lab.bench.synthetic import make_workload
    from autosre_lab.bench.target import Target
    from autosre_lab.bench.verbs import compare, run, workloads

_HOME = {
    "Comparison": "comparison",
    "Plan": "plan",
    "Result": "result",
    "Target": "target",
    "compare": "verbs",
    "load_result": "result",
    "make_workload": "synthetic",
    "run": "verbs",
    "run_benchmark": "measure",
    "save_result": "result",
    "workloads": "verbs",
}

__all__ = [
    "Comparison",
    "Plan",
    "Result",
    "Target",
    "compare",
    "load_result",
    "make_workload",
    "run",
    "run_benchmark",
    "save_result",
    "workloads",
]


def __getattr__(name: str) -> object:
    # Whoever wants one module of it must not wait for an HTTP stack.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
