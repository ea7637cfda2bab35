"""HumanEval's 164 problems (Chen et al. 2021, MIT licence), as its package 1.0.3 has them."""

from __future__ import annotations

from autosre_lab.evaluation.humaneval.problems import Problem, problems
from autosre_lab.evaluation.humaneval.solving import extract_code, solve

__all__ = ["Problem", "extract_code", "problems", "solve"]
