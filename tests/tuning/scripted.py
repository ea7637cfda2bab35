"""Engines, benchmarks and gates that do what a test wants."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from autosre_lab.bench.machine_check import MachineCheck
from autosre_lab.bench.result import Result
from autosre_lab.bench.summary import summarise
from autosre_lab.errors import AutosreError
from autosre_lab.evaluation import GateResult
from autosre_lab.recipe import Recipe
from autosre_lab.stack import Stack
from autosre_lab.tuning import Experiment
from autosre_lab.tuning.trial import TrialGate
from tests.bench.test_comparison import result
from tests.bench.timings import request

SLOTS = "engine.args.max-num-seqs"
STACK = Stack(
    recipe_name="r",
    engine_url="http://127.0.0.1:1",
    proxy_url="http://127.0.0.1:2",
    token="t",
    model="m",
    max_model_len=8192,
    log_dir=None,
    request_log=None,
)
CHECK = MachineCheck(
    at="t", tokens=64, ttft_s=0.1, tpot_s=0.05, step_s=0.05, passes=(0.05,) * 5, answer_sha256="b"
)


def experiment(**more: Any) -> Experiment:
    tree = {
        "schema": "autosre.experiment/v1",
        "recipe": "smollm2-135m-cpu",
        "knobs": [{"path": SLOTS, "values": [2, 4, 8]}],
        "objective": {"figure": "ttft_p50"},
    }
    return Experiment.model_validate(tree | more)


def slots(recipe: Recipe) -> int:
    return int(str(recipe.engine.args.get("max-num-seqs", 0)))


class Engines:
    """Serves anything but what is told to fail; keeps what it was asked."""

    def __init__(self, failures: Mapping[int, AutosreError] | None = None) -> None:
        self.served: list[int] = []
        self.restored = 0
        self._failures = dict(failures or {})

    def serve(self, recipe: Recipe) -> Stack:
        self.served.append(slots(recipe))
        if error := self._failures.get(slots(recipe)):
            raise error
        return STACK

    def restore(self) -> None:
        self.restored += 1


class Speeds:
    """Measures a TTFT that the recipe's slots decide; sessions differ far more than recipes."""

    def __init__(
        self,
        factor: Callable[[int], float],
        *,
        drifts: list[float] | None = None,
        error: AutosreError | None = None,
    ) -> None:
        self.measured: list[tuple[int, float]] = []
        self._factor = factor
        self._drifts = drifts or []
        self._error = error

    def __call__(self, stack: Stack, recipe: Recipe, *, share: float) -> Result:
        self.measured.append((slots(recipe), share))
        if self._error is not None and slots(recipe) == 2:
            raise self._error
        rng = random.Random(1)
        factor = self._factor(slots(recipe))
        timings = [request(str(n), ttft=rng.uniform(1, 5) * factor) for n in range(12)]
        drift = self._drifts.pop(0) if self._drifts else 0.0
        after = msgspec.structs.replace(CHECK, step_s=CHECK.step_s * (1 + drift))
        return msgspec.structs.replace(
            result(f"r{len(self.measured)}"),
            timings=timings,
            summary=summarise(timings),
            check_before=CHECK,
            check_after=after,
            warnings=("machine suspect",) if drift else (),
        )


def passing(stack: Stack, recipe: Recipe) -> GateResult:
    return GateResult(passed=True, reasons=(), checks=(), seconds=1)


def failing_at(number: int) -> TrialGate:
    def gate(stack: Stack, recipe: Recipe) -> GateResult:
        bad = slots(recipe) == number
        return GateResult(
            passed=not bad, reasons=("L1 corrupt",) if bad else (), checks=(), seconds=1
        )

    return gate
