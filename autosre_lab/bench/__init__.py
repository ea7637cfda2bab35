"""What a stack takes to answer, measured so that it can be repeated.

`run`, `compare`, `workloads`, `load_result` and `save_result` are what a person needs; the rest is
in the modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.bench.comparison import Comparison
    from autosre_lab.bench.measure import run_benchmark
    from autosre_lab.bench.plan import Plan
    from autosre_lab.bench.result import Result, load_result, save_result
    from autosre_lab.bench.synthetic import make_workload
    from autosre_lab.bench.target import Target
    from autosre_lab.bench.verbs import compare, run, workloads
else:
    # Whoever wants one module of it must not wait for an HTTP stack.
    __getattr__, __dir__ = lazy_exports(__name__)

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
