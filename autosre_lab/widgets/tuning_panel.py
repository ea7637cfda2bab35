"""The experiment's panel: design it, watch its trials, make the winner a recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.markup import html_text
from autosre_lab.widgets.panel import Panel
from autosre_lab.widgets.surface import require_widgets
from autosre_lab.widgets.tuning_trials import (
    plot_parallel,
    plot_pareto,
    plot_trials,
    trials_table,
)

if TYPE_CHECKING:
    import pandas

    from autosre_lab.tuning import Experiment, Trial

__all__ = ["TuningPanel", "design_experiment"]

_STRATEGIES = ("grid", "random", "halving", "optuna")


def design_experiment(
    recipe: str,
    *,
    knobs: Mapping[str, Sequence[Any]] | None = None,
    workload: str = "",
    parameters: str = "",
    arrivals: str = "",
    trials: int = 12,
    minutes: float = 120,
    strategy: str = "random",
    abba: bool = True,
) -> Experiment:
    """Return an experiment: what `suggested_experiment` says, where nothing else is said.

    Args:
        recipe: The incumbent's name or path.
        knobs: Values to try, by path in the recipe.
        workload: A workload's name.
        parameters: Its parameters, ``NAME: VALUE`` with commas between.
        arrivals: When sessions start.
        trials: At most so many.
        minutes: Of wall clock.
        strategy: grid, random, halving or optuna.
        abba: Measure the incumbent before and after each candidate.

    Raises:
        ExperimentError: Something in it cannot be used.
        RecipeError: There is no such recipe.
    """
    from autosre_lab.bench.synthetic import parameters_in
    from autosre_lab.bench.target import badge_of
    from autosre_lab.errors import ExperimentError
    from autosre_lab.recipe import load_recipe
    from autosre_lab.tuning import Experiment, suggested_experiment

    tree = suggested_experiment(recipe)
    if knobs is not None:
        tree["knobs"] = [{"path": path, "values": list(values)} for path, values in knobs.items()]
    if workload:
        tree["workload"] |= {"name": workload, "parameters": {}}
    if parameters:
        tree["workload"]["parameters"] = parameters_in(parameters)
    if arrivals:
        tree["workload"]["arrivals"] = arrivals
    tree["budget"] |= {"trials": trials, "minutes": minutes}
    tree |= {"strategy": strategy, "abba": abba}
    if badge_of(load_recipe(recipe)) != "gpu":
        tree["check_tokens"] = 32
    try:
        return Experiment.model_validate(tree)
    except ValueError as error:
        raise ExperimentError(
            f"this is no experiment: {error}", remedy="correct what it names in the form"
        ) from error


class TuningPanel(Panel):
    """Designs and runs experiments. Its twins are `design_experiment` and `trials_table`.

    Args:
        recipe: The incumbent.
        folder: Where experiments are kept, one folder each; the same form goes on with its own.
        knobs: Knobs and values at first, ``PATH: [VALUE, VALUE]`` with commas between; what the
            recipe suggests where empty.
        parameters: Of the workload ``cc-session``; what the recipe suggests where empty.
        trials: Budget.
        minutes: Budget.
        strategy: grid, random, halving or optuna.
        abba: Measure the incumbent before and after each candidate.
    """

    def __init__(
        self,
        recipe: str,
        folder: str | Path,
        *,
        knobs: str = "",
        workload: str = "",
        parameters: str = "",
        trials: int = 12,
        minutes: float = 120,
        strategy: str = "random",
        abba: bool = True,
    ) -> None:
        from autosre_lab.bench.target import badge_of
        from autosre_lab.recipe import load_recipe
        from autosre_lab.tuning import suggested_experiment

        super().__init__(f"Tune {recipe}")
        self.recipe = recipe
        self.folder = Path(folder)
        self.badge = badge_of(load_recipe(recipe))
        suggested = suggested_experiment(recipe)
        given = _knobs(knobs)
        offered = {one["path"]: one["values"] for one in suggested["knobs"]}
        self.knobs: dict[str, Sequence[Any]] = given or offered
        self._offered = offered | given
        self._asked: dict[str, Any] = {
            "workload": workload,
            "parameters": parameters,
            "trials": trials,
            "minutes": minutes,
            "strategy": strategy,
            "abba": abba,
        }
        self.experiment: Experiment | None = None
        self.promoted: Path | None = None

    def design(self) -> Experiment:
        """Return the experiment that the form says.

        Raises:
            AutosreError: It says none.
        """
        if not self.knobs:
            raise ConfigError("no knob is turned", remedy="choose one at least")
        return design_experiment(self.recipe, knobs=self.knobs, **self._asked)

    def run(self) -> list[Trial] | None:
        """Run the experiment that the form says, or go on with it.

        Returns:
            Its trials; None where it still runs, in the background.
        """
        from autosre_lab.tuning import LiveBench, LiveOperator, live_gate, run_experiment

        experiment = self.experiment = self.design()

        def call() -> list[Trial]:
            try:
                return run_experiment(
                    experiment,
                    self.place(experiment),
                    LiveOperator(experiment),
                    LiveBench(experiment, stopping=self.work.stopping.is_set),
                    live_gate if experiment.gate else None,
                )
            finally:
                self.changed()

        found: list[Trial] | None = self.begin(call)
        return found

    def place(self, experiment: Experiment) -> Path:
        """Return the folder of an experiment: another one for another experiment."""
        digest = hashlib.sha256(experiment.model_dump_json(by_alias=True).encode()).hexdigest()
        return self.folder / f"{experiment.strategy}-{digest[:8]}"

    def trials(self) -> list[Trial]:
        """Return the trials so far."""
        from autosre_lab.tuning import experiment_in

        if self.experiment is None:
            return []
        try:
            return experiment_in(self.place(self.experiment))[1].trials
        except AutosreError:
            return []  # before its first line is written

    def promote(self, name: str = "") -> Path:
        """Write the winner as a recipe, and return its file.

        Raises:
            ExperimentError: Nothing beat the incumbent beyond doubt, or it was not gated.
        """
        from autosre_lab.tuning import promote

        if self.experiment is None:
            raise ConfigError("nothing was tried yet", remedy="run the experiment first")
        self.promoted = promote(self.place(self.experiment), name=name or None)
        self.changed()
        return self.promoted

    def actions(self) -> Sequence[Any]:
        """Return the buttons that run and promote, and the name of what is promoted."""
        widgets = require_widgets()
        run = self.button("Run", "play", "Run the experiment, or go on with it", self.run)
        name = widgets.Text(
            placeholder=f"{self.recipe}-tuned",
            description="as",
            style={"description_width": "20px"},
        )
        winner = self.button(
            "Promote", "check", "Write the winner as a recipe", lambda: self.promote(name.value)
        )
        return [run, winner, name]

    def form(self) -> Mapping[str, Sequence[Any]]:
        """Return the knobs with their values, and the budget."""
        widgets = require_widgets()
        style = {"description_width": "90px"}
        rows = [self._knob_row(widgets, path, values) for path, values in self._offered.items()]
        fields = {
            "parameters": widgets.Text(
                description="Workload",
                placeholder="NAME: VALUE of cc-session; empty for what the recipe suggests",
                style=style,
                layout={"width": "520px"},
            ),
            "trials": widgets.BoundedIntText(min=1, max=500, description="Trials", style=style),
            "minutes": widgets.BoundedFloatText(
                min=0.5, max=10_000, description="Minutes", style=style
            ),
            "strategy": widgets.Dropdown(options=_STRATEGIES, description="Strategy", style=style),
            "abba": widgets.Checkbox(
                description="Measure the incumbent before and after each candidate", indent=False
            ),
        }
        self.bind(fields, self._asked)
        what = widgets.HTML("<div>What is turned, and the values to try:</div>")
        return {"Settings": [what, *rows, *fields.values()]}

    def tables(self) -> Mapping[str, pandas.DataFrame]:
        """Return the trials."""
        return {"Trials": trials_table(self.trials(), self._objective)}

    def figures(self) -> Mapping[str, Any]:
        """Return ratios by trial, the Pareto front, and parallel coordinates."""
        from autosre_lab.widgets.figures import new_figure

        trials = self.trials()
        measured = [one for one in trials if one.ratio is not None]
        empty = new_figure("", dark=self.dark)
        more: dict[str, Any] = {"objective": self._objective, "dark": self.dark}
        return {
            "trials": plot_trials(trials, self.badge, **more) if trials else empty,
            "pareto": plot_pareto(trials, self.badge, dark=self.dark) if measured else empty,
            "parallel": plot_parallel(trials, self.badge, **more) if measured else empty,
        }

    def notes(self) -> Sequence[str]:
        """Return what a trial costs, the best one, and where it was written."""
        from autosre_lab.tuning import best_trial

        starts = "two starts" if self._asked["abba"] else "one start"
        found = [f'<div class="autosre-dim">A trial costs {starts} of the engine.</div>']
        if (best := best_trial(self.trials())) is not None:
            found.append(f"<div>★ Best: trial {best.number}.</div>")
        elif self.experiment is not None and not self.work.running and self.trials():
            found.append("<div>○ Nothing beat the incumbent beyond doubt.</div>")
        if self.promoted is not None:
            found.append(f"<div>✓ Written: {html_text(str(self.promoted))}</div>")
        return found

    def summary(self) -> dict[str, Any]:
        """Return how the experiment went, for `save_summary`."""
        from autosre_lab.tuning import best_trial

        trials = self.trials()
        best = best_trial(trials)
        return {
            "badge": self.badge,
            "folder": str(self.place(self.experiment)) if self.experiment is not None else None,
            "trials": [
                {
                    "values": one.values,
                    "outcome": one.outcome,
                    "ratio": one.ratio,
                    "interval": one.interval,
                    "better": one.better,
                    "gated": one.gated,
                }
                for one in trials
            ],
            "best": best.number if best is not None else None,
            "promoted": str(self.promoted) if self.promoted is not None else None,
        }

    @property
    def _objective(self) -> str:
        return self.experiment.objective.figure if self.experiment is not None else "e2el_p50"

    def _knob_row(self, widgets: Any, path: str, values: Sequence[Any]) -> Any:
        box = widgets.Checkbox(
            value=path in self.knobs, description=path, indent=False, layout={"width": "320px"}
        )
        text = widgets.Text(
            value=", ".join(_as_text(one) for one in values),
            layout={"width": "280px"},
            tooltip=f"Values of {path}, with commas between",
        )

        def turned(_: Any) -> None:
            left = {one: kept for one, kept in self.knobs.items() if one != path}
            self.knobs = left | ({path: _values(text.value)} if box.value else {})

        for one in (box, text):
            one.observe(turned, names="value")
        return widgets.HBox([box, text], layout={"flex_flow": "row wrap"})

    def _redraw(self) -> None:
        # The journal grows without telling anybody.
        self._stale = self._stale or self.work.running
        super()._redraw()


def _knobs(text: str) -> dict[str, Sequence[Any]]:
    try:
        found = yaml.safe_load(f"{{{text}}}")
    except yaml.YAMLError as error:
        found = error
    if not isinstance(found, dict) or not all(isinstance(one, list) for one in found.values()):
        raise ConfigError(
            f"{text!r} are no knobs", remedy="write PATH: [VALUE, VALUE], with commas between"
        )
    return {str(path): tuple(values) for path, values in found.items()}


def _values(text: str) -> tuple[Any, ...]:
    """Read values as YAML does: numbers and booleans are such, null leaves a setting out."""
    return tuple(yaml.safe_load(one.strip()) for one in text.split(",") if one.strip())


def _as_text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if value in (True, False) else str(value)
