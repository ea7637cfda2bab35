"""An experiment's file: what is turned, what is measured, and what it may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from autosre_lab.bench.arrivals import parse_arrivals
from autosre_lab.bench.slo import parse_slo
from autosre_lab.bench.summary import Summary, summarise
from autosre_lab.bench.synthetic import workload_names
from autosre_lab.errors import ExperimentError
from autosre_lab.tuning.knobs import Knob

__all__ = ["Budget", "Experiment", "Objective", "load_experiment"]

_Above0 = Annotated[float, pydantic.Field(gt=0)]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Objective(_Section):
    """What is to be better.

    Attributes:
        figure: A figure of a result: ``ttft_p50``, ``tpot_p50``, ``output_tps``, ``goodput_rps``.
        want: Whether it shall be low or high.
        constraints: Other figures, and the most that each may be.
    """

    figure: str = "e2el_p50"
    want: Literal["low", "high"] = "low"
    constraints: dict[str, float] = {}

    @pydantic.field_validator("figure")
    @classmethod
    def _known(cls, figure: str) -> str:
        _empty().value(figure)
        return figure

    @pydantic.field_validator("constraints")
    @classmethod
    def _all_known(cls, constraints: dict[str, float]) -> dict[str, float]:
        for figure in constraints:
            _empty().value(figure)
        return constraints

    def better(self, ratio: float) -> bool:
        """Whether a figure that is `ratio` times another's is the better one."""
        return ratio < 1 if self.want == "low" else ratio > 1

    def violated(self, summary: Summary) -> list[str]:
        """Return the constraints that a run breaks; a figure that is missing breaks its own."""
        broken = []
        for figure, most in self.constraints.items():
            value = summary.value(figure)
            if value is None or value > most:
                broken.append(
                    f"{figure} is {'n/a' if value is None else f'{value:.4g}'} > {most:g}"
                )
        return broken


class Budget(_Section):
    """What it may cost.

    Attributes:
        minutes: Of wall clock; no trial is begun that would not fit, by those before it.
        restarts: Of the engine.
        trials: At most so many.
    """

    minutes: _Above0 = 60
    restarts: Annotated[int, pydantic.Field(ge=1)] = 40
    trials: Annotated[int, pydantic.Field(ge=1)] = 20


class TrialWork(_Section):
    """What each trial measures.

    Attributes:
        name: A workload's.
        parameters: Its.
        seed: Its.
        arrivals: As `parse_arrivals` reads them.
        slo: Limits of a good request.
        api: Through which API.
    """

    name: str = "cc-session"
    parameters: dict[str, int | float | str | bool] = {}
    seed: int = 0
    arrivals: str = "closed:1"
    slo: str = ""
    api: Literal["messages", "chat", "responses"] = "messages"

    @pydantic.model_validator(mode="after")
    def _readable(self) -> TrialWork:
        parse_arrivals(self.arrivals)
        parse_slo(self.slo)
        if self.name not in workload_names():
            raise ValueError(f"no workload {self.name!r}; there are {', '.join(workload_names())}")
        return self


class Experiment(_Section):
    """An experiment.

    Attributes:
        recipe: The incumbent's name or path.
        knobs: What is turned.
        workload: What is measured.
        objective: What is to be better.
        budget: What it may cost.
        strategy: How combinations are chosen.
        seed: Of the choice.
        place: Where the stack runs.
        abba: Measure the incumbent before and after each candidate, and the candidate twice.
        gate: Speed counts only after the gate on cache hits; without it nothing can be promoted.
        check_tokens: Of the machine check around each measurement; 0 for none, by default as many
            as suit what answers.
        notes: What a person should know of it: shown with the trials.
    """

    format: Annotated[Literal["autosre.experiment/v1"], pydantic.Field(alias="schema")]
    recipe: str
    knobs: Annotated[tuple[Knob, ...], pydantic.Field(min_length=1)]
    workload: TrialWork = TrialWork()
    objective: Objective = Objective()
    budget: Budget = Budget()
    strategy: Literal["grid", "random", "halving", "optuna"] = "grid"
    seed: int = 0
    place: Literal["auto", "local", "cluster"] = "auto"
    abba: bool = True
    gate: bool = True
    check_tokens: Annotated[int, pydantic.Field(ge=0)] | None = None
    notes: str = ""


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment's file.

    Raises:
        ExperimentError: It is not one.
    """
    try:
        tree: Any = yaml.safe_load(Path(path).read_text("utf-8"))
        return Experiment.model_validate(tree)
    except (OSError, yaml.YAMLError, ValueError, KeyError) as error:
        raise ExperimentError(
            f"{path} is not an experiment: {error}",
            remedy="`autosre tune suggest RECIPE` writes one to start from",
        ) from error


def _empty() -> Summary:
    return summarise([])
