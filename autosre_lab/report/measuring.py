"""Measures a running stack from several sides, for a report of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.bench.plan import CacheState, Plan
from autosre_lab.bench.result import save_result
from autosre_lab.bench.running_stack import Served, measure, served_by
from autosre_lab.bench.synthetic import make_workload
from autosre_lab.bench.workload import Workload
from autosre_lab.evaluation import evaluate, save_evaluation
from autosre_lab.metrics import Feed, Recorder, Sources
from autosre_lab.recipe import Recipe
from autosre_lab.stack import Stack

__all__ = ["Measurement", "measure_stack", "planned"]

_SMALL = 32_768
"""A window below this many tokens has no room for Claude Code's usual session."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark of a report.

    Attributes:
        name: Of its file.
        workload: What is sent.
        arrivals: When.
        cache: State of the prefix cache as a session begins.
    """

    name: str
    workload: Workload
    arrivals: str = "closed:1"
    cache: CacheState = "cold"


def planned(window: int, *, quick: bool = False) -> list[Measurement]:
    """Return the benchmarks of a report: decode, prefill cold and warm, sessions.

    Args:
        window: Context window in tokens.
        quick: Little of each: it shows that everything works, its figures are rough.
    """
    scale = {"scale": 0.05, "context": window} if window < _SMALL else {"context": window}
    sessions: dict[str, Any] = {"sessions": 3, "turns": 3 if quick else 8, "waits": 0.0, **scale}
    decode = {"requests": 3, "output_tokens": 32} if quick else {"requests": 8}
    prefill = {"context": min(window, 2048 if quick else 65_536), "repeats": 3}
    return [
        Measurement(name="decode", workload=make_workload("decode", **decode)),
        Measurement(name="prefill-cold", workload=make_workload("prefill-curve", **prefill)),
        Measurement(
            name="prefill-warm", workload=make_workload("prefill-curve", **prefill), cache="warm"
        ),
        Measurement(
            name="sessions", workload=make_workload("cc-session", **sessions), arrivals="closed:2"
        ),
    ]


def measure_stack(
    stack: Stack,
    folder: str | Path,
    *,
    recipe: Recipe | None = None,
    levels: Sequence[str] = ("L0", "L1"),
    limit: int | None = None,
    quick: bool = False,
    record: bool = True,
) -> Path:
    """Measure a running stack and keep everything in a folder, for `gather`.

    Args:
        stack: What runs.
        folder: For the results; what is there from before is written over.
        recipe: What it serves; found by its name where not given.
        levels: Of the evaluation; none to leave it out.
        limit: As for `evaluate`.
        quick: Little of each.
        record: Record the stack meanwhile; for a stack on this machine.

    Returns:
        The folder.

    Raises:
        BenchmarkError: The stack does not answer.
        EvaluationError: Likewise.
    """
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    served = served_by(stack, recipe=recipe)
    recorder = None
    if record and stack.log_dir is not None:
        facts = {"command": "autosre report run", "recipe": stack.recipe_name}
        facts["badge"] = served.target.badge
        _forget(where / "recording.jsonl")
        recorder = Recorder(where / "recording.jsonl", facts=facts)
        feed = Feed(Sources.of_local_stack(), interval_s=1.0, recorder=recorder)
    if recorder is None:
        _measure(stack, served, where, levels=levels, limit=limit, quick=quick)
        return where
    with recorder, feed:
        _measure(stack, served, where, levels=levels, limit=limit, quick=quick)
    return where


def _measure(
    stack: Stack,
    served: Served,
    where: Path,
    *,
    levels: Sequence[str],
    limit: int | None,
    quick: bool,
) -> None:
    if levels:
        # First: speed of an engine whose answers are wrong is none.
        evaluation = evaluate(
            served.target,
            levels=levels,
            limit=limit,
            recipe=served.recipe,
            window=stack.max_model_len,
        )
        save_evaluation(evaluation, where / "evaluation.json")
    for one in planned(stack.max_model_len, quick=quick):
        plan = Plan(arrivals=one.arrivals, cache=one.cache)
        result = measure(one.workload, plan, of=served)
        save_result(result, where / f"{one.name}.json.gz")


def _forget(recording: Path) -> None:
    from autosre_lab.metrics.recorder import segments

    for part in segments(recording):
        part.unlink()
