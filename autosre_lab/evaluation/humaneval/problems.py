"""The problems, read from the package."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib import resources

import msgspec

from autosre_lab.errors import EvaluationError

__all__ = ["SHA256", "Problem", "problems"]

SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
"""Digest of HumanEval.jsonl.gz: other problems are another benchmark."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem.

    Attributes:
        task_id: ``HumanEval/0`` to ``HumanEval/163``.
        prompt: Imports, signature and docstring.
        entry_point: The function's name.
        canonical_solution: A right body.
        test: Defines ``check(candidate)``.
    """

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


@functools.cache
def problems() -> tuple[Problem, ...]:
    """Return all problems in order.

    Raises:
        EvaluationError: The file is not the one that was published.
    """
    file = resources.files("autosre_lab.evaluation.humaneval") / "HumanEval.jsonl.gz"
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise EvaluationError(
            "HumanEval's problems are not those that were published",
            remedy="install autosre-lab again",
        )
    decoder = msgspec.json.Decoder(Problem)
    return tuple(decoder.decode(line) for line in gzip.decompress(data).splitlines() if line)
