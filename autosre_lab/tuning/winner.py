"""The winner as a recipe, with its evidence."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

from autosre_lab.bench.card_text import text_table
from autosre_lab.errors import ExperimentError
from autosre_lab.private_files import write_whole
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe
from autosre_lab.recipe.dump import recipe_yaml
from autosre_lab.settings import paths
from autosre_lab.tuning.experiment import Experiment, load_experiment
from autosre_lab.tuning.journal import Journal
from autosre_lab.tuning.knobs import apply_knobs
from autosre_lab.tuning.run import best_trial
from autosre_lab.tuning.trial import Trial

__all__ = ["experiment_in", "experiment_text", "pareto", "promote", "trial_rows"]


def experiment_in(folder: Path) -> tuple[Experiment, Journal]:
    """Return what a folder holds.

    Raises:
        ExperimentError: It is no experiment's folder.
    """
    file = folder / "experiment.json"
    if not file.exists():
        raise ExperimentError(
            f"{folder} holds no experiment", remedy="give a folder that `autosre tune run` wrote"
        )
    experiment = load_experiment(file)
    return experiment, Journal(folder, experiment)


def promote(folder: Path, *, name: str | None = None, target: Path | None = None) -> Path:
    """Write the winner as a recipe.

    Args:
        folder: The experiment's.
        name: Of the new recipe; the incumbent's with ``-tuned`` by default.
        target: Its file; in the user's own recipes by default.

    Returns:
        The file.

    Raises:
        ExperimentError: Nothing beat the incumbent, or it was not gated, or the file is there.
    """
    experiment, journal = experiment_in(folder)
    best = best_trial(journal.trials)
    if best is None:
        raise ExperimentError(
            "no trial beat the incumbent beyond doubt",
            remedy="keep the recipe; more sessions in the workload tell smaller differences",
        )
    if best.gated is not True:
        raise ExperimentError(
            f"trial {best.number} was never checked for correct answers, so its speed does not "
            "count",
            remedy="run the experiment again with `gate: true`",
        )
    base = load_recipe(experiment.recipe)
    named = name or f"{base.name}-tuned"
    recipe = _with_evidence(apply_knobs(base, best.values, name=named), best, folder)
    file = target or paths().config / "recipes" / f"{named}.yaml"
    if file.exists():
        raise ExperimentError(
            f"{file} exists already", remedy="give another --name, or remove the file"
        )
    return write_whole(file, recipe_yaml(recipe))


def trial_rows(trials: list[Trial], objective: str) -> list[dict[str, object]]:
    """Return one row a trial, for a table or a DataFrame."""
    return [
        {
            "trial": one.number,
            **{path.rpartition(".")[2]: value for path, value in one.values.items()},
            "share": one.share,
            "outcome": one.outcome,
            objective: one.figures.get(objective),
            "incumbent": one.incumbent_figures.get(objective),
            "ratio": one.ratio,
            "interval": one.interval,
            "better": one.better,
            "gated": one.gated,
            "restarts": one.restarts,
            "seconds": one.seconds,
            "reasons": "; ".join(one.reasons),
        }
        for one in trials
    ]


def pareto(points: list[tuple[float, float]]) -> list[int]:
    """Return which points no other point beats in both numbers; low is good.

    Args:
        points: Pairs.

    Returns:
        Their places, in order.
    """
    return [
        at
        for at, (x, y) in enumerate(points)
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
    ]


def experiment_text(experiment: Experiment, journal: Journal) -> str:
    """Return an experiment's trials as a table, and what was not tried."""
    figure = experiment.objective.figure
    rows = [
        [
            str(one.number),
            ", ".join(f"{path.rpartition('.')[2]}={value}" for path, value in one.values.items()),
            one.outcome,
            _figure(one.figures.get(figure)),
            _figure(one.incumbent_figures.get(figure)),
            _figure(one.ratio),
            "n/a" if one.interval is None else f"{one.interval[0]:.3f} to {one.interval[1]:.3f}",
            {True: "yes", False: "no", None: "n/a"}[one.better],
            {True: "passed", False: "failed", None: "no"}[one.gated],
            str(one.restarts),
            f"{one.seconds:.0f} s",
        ]
        for one in journal.trials
    ]
    head = ["trial", "turned", "outcome", figure, "incumbent", "ratio", "95 % interval"]
    table = text_table([*head, "better", "gate", "restarts", "took"], rows)
    reasons = [f"{one.number}: {'; '.join(one.reasons)}" for one in journal.trials if one.reasons]
    best = best_trial(journal.trials)
    end = (
        f"Best: trial {best.number}. `autosre tune promote {journal.folder}` writes it as a recipe."
        if best is not None
        else "Nothing beat the incumbent beyond doubt."
    )
    return "\n\n".join(
        part
        for part in (
            experiment.notes,
            table,
            "\n".join(reasons),
            "\n".join(journal.notes()),
            end,
        )
        if part
    )


def _with_evidence(recipe: Recipe, best: Trial, folder: Path) -> Recipe:
    interval = best.interval
    said = (
        f"tuned: {best.ratio:.3f} of the incumbent's time" if best.ratio is not None else "tuned"
    ) + (f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
    tree = recipe.model_dump(by_alias=True, exclude_defaults=True)
    tree = {"schema": recipe.format, **tree}
    device = recipe.runtime.device if recipe.runtime is not None else "cuda"
    statement = {
        "hardware": f"{'gpu' if device == 'cuda' else device}_{platform.machine()}",
        "state": "verified",
        "vllm": recipe.vllm_version,
        "date": datetime.datetime.now(datetime.UTC).date(),
        "evidence": f"{said}; gate passed; {folder.resolve()}",
    }
    tree["verified"] = [statement]
    return parse_recipe(tree)


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"
