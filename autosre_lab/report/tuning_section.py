"""Experiments as sections of a report."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.report.page import Figure, PageSection, Table
from autosre_lab.tuning.experiment import Experiment
from autosre_lab.tuning.journal import Journal
from autosre_lab.tuning.run import best_trial
from autosre_lab.tuning.trial import Trial

__all__ = ["tuning_section"]

_YES = {True: "yes", False: "no", None: "n/a"}


def tuning_section(folder: Path, experiment: Experiment, journal: Journal) -> PageSection:
    """Return one experiment: its trials against the incumbent of their time."""
    figure, best = experiment.objective.figure, best_trial(journal.trials)
    work = experiment.workload
    end = (
        f"Best: trial {best.number}."
        if best is not None
        else "Nothing beat the incumbent beyond doubt."
    )
    budget = experiment.budget
    made = {
        "folder": str(folder),
        "workload": ", ".join(
            (
                *(work.name, f"seed {work.seed}", work.arrivals),
                *(f"{name}={value}" for name, value in work.parameters.items()),
            )
        ),
        "objective": f"{figure}, {experiment.objective.want} is better",
        "order": "incumbent, candidate, candidate, incumbent" if experiment.abba else "once each",
        "gate": "on answers out of the prefix cache" if experiment.gate else "none",
        "budget": f"{budget.minutes:g} min, {budget.restarts} restarts, {budget.trials} trials",
        "strategy": f"{experiment.strategy}, seed {experiment.seed}",
    }
    return PageSection(
        title=f"Tuning of {experiment.recipe}",
        text=(
            f"{end} A ratio is the candidate's {figure} over the incumbent's measured around it; "
            "better means that its 95 % interval excludes 1 and the gate was passed.",
        ),
        warnings=tuple(journal.notes()),
        tables=(
            Table(
                head=(
                    *("trial", "turned", "outcome", "ratio", "95 % interval", "better", "gate"),
                    *("restarts", "took", "reasons"),
                ),
                rows=tuple(_row(one) for one in journal.trials),
            ),
            Table(head=("made how", ""), rows=tuple(made.items()), words=True),
        ),
        figures=(_ratios(journal.trials, figure),) if journal.trials else (),
    )


def _row(trial: Trial) -> tuple[str, ...]:
    low_high = trial.interval
    return (
        str(trial.number),
        _turned(trial),
        trial.outcome.replace("_", " "),
        "n/a" if trial.ratio is None else f"{trial.ratio:.3f}",
        "n/a" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}",
        _YES[trial.better],
        {True: "passed", False: "failed", None: "not asked"}[trial.gated],
        str(trial.restarts),
        f"{trial.seconds:.0f} s",
        "; ".join(trial.reasons)[:300],
    )


def _turned(trial: Trial) -> str:
    return ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in trial.values.items())


def _ratios(trials: list[Trial], figure: str) -> Figure:
    known = [one for one in trials if one.ratio is not None]
    ratios = [one.ratio or 0.0 for one in known]
    spans = [one.interval or (ratio, ratio) for one, ratio in zip(known, ratios, strict=True)]
    paired = list(zip(ratios, spans, strict=True))
    return Figure(
        data=[
            {
                "type": "scatter",
                "mode": "markers",
                "name": "candidate over incumbent",
                "marker": {
                    "size": 10,
                    "symbol": ["star" if one.better else "circle-open" for one in known],
                },
                "x": [f"{one.number}: {_turned(one)}" for one in known],
                "y": ratios,
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [high - ratio for ratio, (_, high) in paired],
                    "arrayminus": [ratio - low for ratio, (low, _) in paired],
                },
            }
        ],
        layout={
            "title": {"text": f"{figure} over the incumbent's"},
            "xaxis": {"title": {"text": "trial"}, "type": "category"},
            "yaxis": {"title": {"text": "ratio"}},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": 1,
                    "y1": 1,
                    "line": {"dash": "dot", "width": 1},
                }
            ],
        },
        summary=f"{len(known)} of {len(trials)} trials were measured; a star beat the incumbent, "
        "a ring did not, the dotted line is the incumbent.",
    )
